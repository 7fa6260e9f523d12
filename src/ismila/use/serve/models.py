"""What the application asks: one pet's classifiers by name, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ismila.photos.images import Pixels
from ismila.use.ask.pets import PetClassifier
from ismila.vision.graphs import Floats


@dataclass(frozen=True)
class Resembling:
    """A training photo that resembles the one asked about.

    Attributes:
        path: in the album; `file` is where that lies on this disk.
        similarity: cosine of their features, at most 1.
    """

    file: Path
    path: str
    kind: str
    similarity: float


@dataclass(frozen=True)
class ModelExplanation:
    """Why one photo got its answer.

    Attributes:
        heat: `[size_px, size_px]` in 0..1; None where nobody can say.
        words: the occlusion test, or nothing.
        nearest: the training photos most like it, the most alike first.
    """

    heat: Floats | None = None
    words: str = ""
    nearest: list[Resembling] = field(default_factory=list)


class Model(Protocol):
    """A classifier that has a name."""

    run_id: str

    @property
    def classifier(self) -> PetClassifier: ...

    def prepare(self) -> None:
        """Load what `explain` needs, which may take seconds; in a thread that nothing waits for."""

    def explain(self, image: Pixels) -> ModelExplanation:
        """Called in the backbone's thread, after `prepare`."""


class Models(Protocol):
    """All that a server answers for of one pet.

    Attributes:
        takes_corrections: there is an album that a correction can be written into.
    """

    subject: str
    takes_corrections: bool

    @property
    def default(self) -> Model: ...

    def names(self) -> list[str]:
        """`champion` and every run id, the newest first."""

    def get(self, name: str) -> Model:
        """Raises KeyError when no model is called this."""

    def correct(self, content: bytes, label: str) -> str:
        """Write a photo's right label down; returns its path in the album. Raises UserError.

        Args:
            label: the subject's name, another kind's, or `drop`.
        """
