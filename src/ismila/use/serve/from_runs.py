"""A subject's runs behind the server, loaded when first asked for; their album is only read."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from pathlib import Path

import pyarrow.parquet  # noqa: F401  which pandas would import when it is asked first, in a thread

from ismila.evidence.explain import Explainer, open_explainer, used_rows
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.files import write_aside
from ismila.photos.images import Pixels
from ismila.runs.find import (
    Recorded,
    album_of,
    find_run,
    finished_runs,
    load_classifier,
    read_run,
)
from ismila.runs.registry import aliases
from ismila.use.gate import GATE
from ismila.use.serve.models import ModelExplanation, Resembling
from ismila.vision.architecture import GRAPHS
from ismila.vision.classifier import Classifier

KEPT = 3
"""Classifiers in memory at once, the last used."""
RESOLVED_S = 5.0
"""So long a name is taken to mean the run it meant: MLflow takes longer than the backbone."""

_importing = threading.Lock()
"""Held while something is loaded that may import torch: two threads that do so meet it half-way."""


class RunModel:
    """A run that answers.

    Args:
        root: the album, when it has moved since the run.
    """

    def __init__(self, run_id: str, root: Path | None) -> None:
        self.run_id = run_id
        self._root = root
        self.run = read_run(run_id)
        with _importing:
            self.classifier = (
                _loaded_alone(run_id) if needs_torch(self.run) else load_classifier(run_id)
            )
        self._explainer: Explainer | None = None
        self._photos = Path()

    def album(self) -> Album:
        """The run's album. Raises UserError when it is not there."""
        return album_of(self.run, self._root)

    def prepare(self) -> None:
        """Open the features of the training photos that are cached already."""
        if self._explainer is not None:
            return
        with _importing:
            try:
                album = self.album()
                self._explainer = open_explainer(
                    used_rows(self.run), self.classifier, album, encode=False
                )
                self._photos = album.root
            except (UserError, OSError):  # the album has gone
                self._explainer = Explainer.without_photos(self.classifier)

    def explain(self, image: Pixels) -> ModelExplanation:
        """Heat, its test and the nearest photos; without these when the album is gone."""
        assert self._explainer is not None  # `prepare` comes first
        explanation = self._explainer.explain(image)
        words = explanation.words(self.classifier.subject)
        if not explanation.nearest:
            return ModelExplanation(explanation.heat, words)
        nearest = [
            Resembling(self._photos / near.path, near.path, near.kind, near.similarity)
            for near in explanation.nearest
        ]
        return ModelExplanation(explanation.heat, words, nearest)


class RunModels:
    """A subject's finished runs by id, a unique prefix of one, or alias; `champion` is the best.

    Args:
        which: the run that answers where none is named.
        root: the album, when it has moved since the runs.

    Raises:
        UserError: there is no such run.
    """

    takes_corrections = True

    def __init__(self, subject: str, which: str, root: Path | None) -> None:
        self.subject = subject
        self._root = root
        self._loaded: OrderedDict[str, RunModel] = OrderedDict()
        self._resolved: dict[str, tuple[str, float]] = {}
        self._naming = threading.Lock()
        self._loading = threading.Lock()
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
        try:
            return self._model(self._run_id(name))
        except UserError as error:
            raise KeyError(name) from error

    def _run_id(self, name: str) -> str:
        with self._naming:
            run_id, known_until = self._resolved.get(name, ("", 0.0))
            if time.monotonic() > known_until:
                run_id = find_run(name, self.subject)
                self._resolved[name] = (run_id, time.monotonic() + RESOLVED_S)
            return run_id

    def _model(self, run_id: str) -> RunModel:
        model = self._loaded.get(run_id)  # one that is loaded does not wait for one that is not
        if model is None:
            with self._loading:
                model = self._loaded.get(run_id) or RunModel(run_id, self._root)
                self._loaded[run_id] = model
        with self._naming:
            self._loaded[run_id] = model
            self._loaded.move_to_end(run_id)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        return model

    def correct(self, content: bytes, label: str) -> str:
        """Write the correction to the album's labels.csv; a new photo is put in `feedback/` first.

        Returns:
            The photo's path in the album.
        """
        album = self.default.album()
        sha256 = hashlib.sha256(content).hexdigest()
        index = album.read()
        known: list[str] = list(index.loc[index["sha256"] == sha256, "path"])
        path = known[0] if known else f"feedback/{sha256[:16]}.{_suffix(content)}"
        if not (album.root / path).is_file():
            _keep(album.root / path, content)
        album.correct(path, {"label": label})
        return path


def needs_torch(run: Recorded) -> bool:
    """Whether torch answers for a run, or explains its answers: unless it is a linear head on a bundled network."""
    params = run.params
    is_bundled = params.get("model.weights") == "bundled" and params.get("model.backbone") in GRAPHS
    return not (is_bundled and run.is_solved)


def _loaded_alone(run_id: str) -> Classifier:
    with GATE.alone():
        import captum.attr  # noqa: F401  which imports torch; what is loaded may import more

        return load_classifier(run_id)


def _keep(file: Path, content: bytes) -> None:
    try:
        write_aside(file, content)
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; corrections need an album that may be written"
        ) from error


def _suffix(content: bytes) -> str:
    beginnings = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp"}
    for begins, suffix in beginnings.items():
        if content.startswith(begins):
            return suffix
    if content[4:8] == b"ftyp":
        return "avif" if content[8:12] == b"avif" else "heic"
    return "webp" if content[8:12] == b"WEBP" else "tif"
