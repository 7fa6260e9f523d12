"""Ask a run's classifier about photos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ismila.photos.images import PhotoError
from ismila.photos.walking import walk
from ismila.runs.find import load_classifier
from ismila.use.ask.films import (
    BurstPrediction,
    FilmOptions,
    FilmPrediction,
    is_film,
    judge_film,
    seen_in_burst,
)
from ismila.use.ask.pets import PetPrediction, PetPredictions, Pets
from ismila.vision.decision import verdict_of
from ismila.vision.judgement import NamedAnimal, named


@dataclass(frozen=True)
class Prediction:
    """What a run says of one photo.

    Attributes:
        is_subject: the probability reaches the threshold.
        verdict: the same in words, which are `unsure` near the threshold.
        run: the run's id.
        animals: those that were asked about; empty where the whole photo was.
    """

    path: Path
    probability: float
    is_subject: bool
    threshold: float
    run: str
    verdict: str
    animals: tuple[NamedAnimal, ...] = ()


@dataclass(frozen=True)
class Unread:
    """A photo or film that cannot be read; `error` says why in a few words."""

    path: Path
    error: str


def predict(
    paths: Iterable[Path], run: str, films: FilmOptions
) -> Iterator[Prediction | FilmPrediction | Unread]:
    """Answers in order, each as soon as it is known.

    Args:
        paths: photos, films, and folders that stand for the photos below them.
        run: a run's id.
    """
    classifier = load_classifier(run)
    threshold = classifier.threshold
    alone = Pets({classifier.subject: classifier}, {classifier.subject: run})
    for path in _photos(paths):
        if is_film(path):
            yield _of_film(path, alone, films)
            continue
        try:
            views = classifier.viewer.read(path)
        except PhotoError as error:
            yield Unread(path, str(error))
            continue
        [judgement] = classifier.judge([views])
        p = judgement.probability
        verdict = verdict_of(p, threshold, classifier.subject)
        animals = named(judgement, classifier.subject, threshold)
        yield Prediction(path, p, p >= threshold, threshold, run, verdict, animals)


@dataclass(frozen=True)
class MultiPetPrediction:
    """What several runs say of one photo together."""

    path: Path
    together: PetPredictions


def predict_pets(
    paths: Iterable[Path], pets: Pets, films: FilmOptions
) -> Iterator[MultiPetPrediction | FilmPrediction | Unread]:
    """The same as `predict` of several pets, in one pass over the photos."""
    for path in _photos(paths):
        if is_film(path):
            yield _of_film(path, pets, films)
            continue
        try:
            looks = pets.read(path)
        except PhotoError as error:
            yield Unread(path, str(error))
            continue
        [together] = pets.judge([looks])
        yield MultiPetPrediction(path, together)


def predict_burst(paths: Iterable[Path], pets: Pets) -> Iterator[BurstPrediction | Unread]:
    """One answer for all photos together, after those that cannot be read."""
    read: list[Path] = []
    answers: dict[str, list[PetPrediction]] = {subject: [] for subject in pets.classifiers}
    for path in _photos(paths):
        try:
            looks = pets.read(path)
        except PhotoError as error:
            yield Unread(path, str(error))
            continue
        read.append(path)
        [together] = pets.judge([looks])
        for subject, answer in together.subjects.items():
            answers[subject].append(answer)
    if read:
        seen = {subject: seen_in_burst(of_all, subject) for subject, of_all in answers.items()}
        yield BurstPrediction(tuple(read), seen)


def _of_film(path: Path, pets: Pets, films: FilmOptions) -> FilmPrediction | Unread:
    try:
        return judge_film(path, pets, films)
    except PhotoError as error:
        return Unread(path, str(error))


def _photos(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - which no name is too long for
            yield from (path / name for name in sorted(walk(path)))
        else:
            yield path
