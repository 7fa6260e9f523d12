"""One exported file behind the server: no torch, no MLflow, no album."""

from __future__ import annotations

from pathlib import Path

from ismila.photos import UserError
from ismila.photos.images import Pixels
from ismila.use.export.exported import ExportedClassifier, ExportedFile
from ismila.use.serve.models import ModelExplanation

SHORTEST_PREFIX = 6
"""Characters of a run id that are enough to mean it."""


class FileModel:
    """An exported classifier that answers under its run's id and as `champion`."""

    def __init__(self, classifier: ExportedClassifier) -> None:
        self.classifier = classifier
        self.run_id = classifier.run

    def prepare(self) -> None:
        """The file is all there is."""

    def explain(self, image: Pixels) -> ModelExplanation:
        """The heat that the file tells; it knows no training photo."""
        return ModelExplanation(self.classifier.heat(image))


class FileModels:
    """One subject of a file, the only model of its own."""

    takes_corrections = False

    def __init__(self, classifier: ExportedClassifier) -> None:
        self.default = FileModel(classifier)
        self.subject = classifier.subject

    @classmethod
    def load(cls, file: Path) -> list[FileModels]:
        """Those of each subject. Raises UserError when the file is not there or none of ours."""
        return [cls(classifier) for classifier in ExportedFile.load(file).classifiers.values()]

    def names(self) -> list[str]:
        """`champion`, and the run it was made from."""
        return ["champion", *([self.default.run_id] if self.default.run_id else [])]

    def get(self, name: str) -> FileModel:
        """Raises KeyError for another name."""
        is_run = len(name) >= SHORTEST_PREFIX and self.default.run_id.startswith(name)
        if name in ("", "champion") or is_run:
            return self.default
        raise KeyError(name)

    def correct(self, content: bytes, label: str) -> str:
        """There is no album to correct."""
        raise UserError("an exported model takes no corrections: serve the run")
