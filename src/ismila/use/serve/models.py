"""Names in an address -> classifiers of the registry, loaded when they are first asked for."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from ismila.evidence.explain import Explainer, album_of, open_explainer
from ismila.learning.classifier import Classifier
from ismila.photos import UserError
from ismila.runs import Recorded, find_run, finished_runs, load_classifier, read_run

KEPT = 3
"""Classifiers in memory at once, the last used."""


@dataclass
class Model:
    """A run that answers."""

    run: Recorded
    classifier: Classifier
    explainer: Explainer | None = None


class Models:
    """The finished runs of a subject by id, by a unique prefix of one, or as `champion`, the best.

    Args:
        which: the run that answers where none is named.
        root: the album, when it has moved since the runs.
        loopback: only this machine can reach the server.

    Raises:
        UserError: there is no such run.
    """

    def __init__(self, subject: str, which: str, root: Path | None, loopback: bool = True) -> None:
        self.subject, self._root, self.loopback = subject, root, loopback
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()
        self.default = self._model(find_run(which, subject))

    def names(self) -> list[str]:
        """`champion` and every run id, the newest first."""
        return ["champion", *(run.run_id for run in finished_runs(self.subject))]

    def get(self, name: str) -> Model:
        """Raises KeyError when no run is called this."""
        if not name:
            return self.default
        if name != "champion" and not re.fullmatch("[0-9a-f]{6,32}", name):
            raise KeyError(name)
        with self._lock:
            try:
                return self._model(find_run("best" if name == "champion" else name, self.subject))
            except UserError as error:
                raise KeyError(name) from error

    def _model(self, run_id: str) -> Model:
        if run_id not in self._loaded:
            self._loaded[run_id] = Model(read_run(run_id), load_classifier(run_id))
        self._loaded.move_to_end(run_id)
        while len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return self._loaded[run_id]

    def album(self, model: Model) -> Path:
        """Where the run's album lies. Raises UserError when it is not there."""
        return album_of(model.run, self._root)

    def explainer(self, model: Model) -> Explainer:
        """What explains the model's answers; without nearest photos when the album is gone."""
        if model.explainer is None:
            import numpy as np
            import pandas as pd

            try:
                model.explainer = open_explainer(model.run, model.classifier, self.album(model))
            except UserError:
                nothing = pd.DataFrame({"path": [], "kind": []})
                model.explainer = Explainer(model.classifier, nothing, np.zeros((0, 1), np.float32))
        return model.explainer
