"""Ask a run's classifier about photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ismila.learning.decision import verdict_of
from ismila.photos.images import PhotoError, read_image
from ismila.photos.labels import walk
from ismila.runs.find import load_classifier


@dataclass(frozen=True)
class Answer:
    """What a run says of one photo.

    Attributes:
        is_subject: the probability reaches the threshold.
        verdict: the same in words, which are `unsure` near the threshold.
        run: the run's id.
    """

    path: Path
    probability: float
    is_subject: bool
    threshold: float
    run: str
    verdict: str


@dataclass(frozen=True)
class Unread:
    """A photo that cannot be read; `error` says why in a few words."""

    path: Path
    error: str


def predict(paths: Iterable[Path], run: str) -> Iterator[Answer | Unread]:
    """Answers in order, each as soon as it is known.

    Args:
        paths: photos, and folders that stand for the photos below them.
        run: a run's id.
    """
    classifier = load_classifier(run)
    threshold = classifier.threshold
    for path in _photos(paths):
        try:
            image = read_image(path, classifier.spec)
        except PhotoError as error:
            yield Unread(path, str(error))
            continue
        probability = float(classifier.probabilities(image[None])[0])
        verdict = verdict_of(probability, threshold, classifier.subject)
        yield Answer(path, probability, probability >= threshold, threshold, run, verdict)


def _photos(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (path / name for name in sorted(walk(path)))
        else:
            yield path
