"""The runs of a subject behind the server, loaded when they are first asked for."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd

from ismila.evidence.explain import Explainer, album_of, derived_of, open_explainer
from ismila.photos import UserError
from ismila.photos.images import Pixels, open_photo, write_aside
from ismila.photos.index import read_index
from ismila.photos.labels import correct
from ismila.runs import aliases, find_run, finished_runs, load_classifier, read_run
from ismila.use.serve.models import Explained
from ismila.use.serve.upload import LARGEST_PIXELS

KEPT = 3
"""Classifiers in memory at once, the last used."""
RESOLVED_S = 5.0
"""So long a name is taken to mean the run it meant: asking MLflow costs several times what the backbone does."""


class RunModel:
    """A run that answers.

    Args:
        root: the album, when it has moved since the run.
    """

    def __init__(self, run_id: str, root: Path | None) -> None:
        self.run_id, self._root = run_id, root
        self.run, self.classifier = read_run(run_id), load_classifier(run_id)
        self._explainer: Explainer | None = None

    def album(self) -> Path:
        """Where the run's album lies. Raises UserError when it is not there."""
        return album_of(self.run, self._root)

    def explain(self, image: Pixels) -> Explained:
        """Heat, its test and the nearest photos; without these when the album is gone."""
        if self._explainer is None:
            try:
                self._explainer = open_explainer(self.run, self.classifier, self.album())
            except UserError:
                nothing = pd.DataFrame({"path": [], "kind": []})
                self._explainer = Explainer(self.classifier, nothing, np.zeros((0, 1), np.float32))
        found = self._explainer.explain(image)
        nearest = [(self.album() / near.path, vars(near)) for near in found.nearest]
        return Explained(found.heat, found.said(self.classifier.subject), nearest)


class RunModels:
    """The finished runs of a subject by id, by a unique prefix of one, or by alias; `champion` is the best.

    Args:
        which: the run that answers where none is named.
        root: the album, when it has moved since the runs.

    Raises:
        UserError: there is no such run.
    """

    takes_corrections = True

    def __init__(self, subject: str, which: str, root: Path | None) -> None:
        self.subject, self._root = subject, root
        self._loaded: OrderedDict[str, RunModel] = OrderedDict()
        self._resolved: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self.default = self._model(find_run(which, subject))

    def names(self) -> list[str]:
        """Every alias, and every run id, the newest first."""
        return [*aliases(self.subject), *(run.run_id for run in finished_runs(self.subject))]

    def get(self, name: str) -> RunModel:
        """Raises KeyError when no run is called this."""
        if not name:
            return self.default
        if not re.fullmatch(r"[\w.-]{1,64}", name, re.ASCII):
            raise KeyError(name)
        with self._lock:
            run_id, known_until = self._resolved.get(name, ("", 0.0))
            try:
                if time.monotonic() > known_until:
                    run_id = find_run(name, self.subject)
                    self._resolved[name] = run_id, time.monotonic() + RESOLVED_S
                return self._model(run_id)
            except UserError as error:
                raise KeyError(name) from error

    def _model(self, run_id: str) -> RunModel:
        if run_id not in self._loaded:
            self._loaded[run_id] = RunModel(run_id, self._root)
        self._loaded.move_to_end(run_id)
        while len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return self._loaded[run_id]

    def correct(self, content: bytes, label: str) -> str:
        """Write the correction to the album's labels.csv; a photo that is not in the album is put in `feedback/` first.

        Returns:
            The photo's path in the album.
        """
        root, subject = self.default.album(), self.subject
        open_photo(content, 64, LARGEST_PIXELS)  # only a photo is kept
        if label not in (subject, f"not_{subject}", "pets/other", "drop"):
            raise UserError(
                f"label={label[:40]}: expected {subject}, not_{subject}, pets/other or drop"
            )
        sha = hashlib.sha256(content).hexdigest()
        index = read_index(derived_of(self.default.run, root))
        known: list[str] = list(index.loc[index["sha256"] == sha, "path"]) if len(index) else []
        path = next(iter(known), "") or f"feedback/{sha[:16]}.{_suffix(content)}"
        if not (root / path).is_file():
            write_aside(root / path, content)
        correct(root, subject, path, {"label": label})
        return path


def _suffix(content: bytes) -> str:
    for begins, suffix in (
        (b"\xff\xd8", "jpg"),
        (b"\x89PNG", "png"),
        (b"GIF8", "gif"),
        (b"BM", "bmp"),
    ):
        if content.startswith(begins):
            return suffix
    if content[4:8] == b"ftyp":
        return "avif" if content[8:12] == b"avif" else "heic"
    return "webp" if content[8:12] == b"WEBP" else "tif"
