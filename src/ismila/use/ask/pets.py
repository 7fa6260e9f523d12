"""Several pets, each with its own classifier, asked about the same photos in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ismila.learning.animals import Animal
from ismila.learning.classifier import Classifier
from ismila.learning.decision import pet_verdict
from ismila.learning.features import BATCH
from ismila.learning.graphs import Floats
from ismila.learning.judgement import Named, PetAnswers, assign_names, named_animals
from ismila.learning.views import Viewer, Views
from ismila.photos.images import Pixels
from ismila.runs.find import load_classifier

Looks = Mapping[str, Views]
"""The views of one photo by the digest of the viewer that made them."""


@dataclass(frozen=True)
class PetAnswer:
    """What is said of one pet in one photo.

    Attributes:
        probability: the highest that the pet's own run gives an image of the photo, whoever gets that image.
        is_subject: an image of the photo got the pet's name.
        verdict: the same in words, which are `unsure` near the threshold.
    """

    probability: float
    is_subject: bool
    threshold: float
    run: str
    verdict: str


@dataclass(frozen=True)
class Together:
    """What is said of all pets in one photo.

    Attributes:
        subjects: by name, in the order in which they were asked for.
        animals: those that were asked about; empty where the whole photo was.
    """

    subjects: Mapping[str, PetAnswer]
    animals: tuple[Named, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Who is in the photo."""
        return tuple(name for name, answer in self.subjects.items() if answer.is_subject)


@dataclass(frozen=True)
class Pets:
    """Several pets' classifiers.

    Attributes:
        classifiers: by subject, in the order in which they were asked for; at least one.
        runs: subject -> the id of the run that its classifier comes from.
    """

    classifiers: Mapping[str, Classifier]
    runs: Mapping[str, str]

    @classmethod
    def load(cls, runs: Mapping[str, str]) -> Pets:
        """The classifiers that runs recorded. Raises UserError.

        Args:
            runs: subject -> run id.
        """
        return cls({subject: load_classifier(run) for subject, run in runs.items()}, runs)

    @cached_property
    def viewers(self) -> Mapping[str, Viewer]:
        """The distinct ones by digest: those that find animals first."""
        viewers = [classifier.viewer for classifier in self.classifiers.values()]
        viewers.sort(key=lambda viewer: viewer.detector is None)
        return {viewer.digest: viewer for viewer in viewers}

    @cached_property
    def _viewer_of(self) -> Mapping[str, str]:
        return {name: one.viewer.digest for name, one in self.classifiers.items()}

    @cached_property
    def _alike(self) -> list[list[str]]:
        """Subjects whose heads get the same rows stand together: same views, same bundled backbone."""
        groups: dict[tuple[str, str], list[str]] = {}
        for subject, classifier in self.classifiers.items():
            encoder = classifier.encoder
            backbone = encoder.digest if encoder else f"of {subject} alone"
            groups.setdefault((self._viewer_of[subject], backbone), []).append(subject)
        return list(groups.values())

    def read(self, source: Path) -> Looks:
        """Decode a photo and find its animals, once for all who look at it alike. Raises PhotoError."""
        looks: dict[str, Views] = {}
        animals: dict[str, tuple[Animal, ...]] = {}
        for digest, viewer in self.viewers.items():
            detector = viewer.detector.digest if viewer.detector else ""
            looks[digest] = viewer.read(source, animals=animals.get(detector))
            animals[detector] = looks[digest].animals
        return looks

    def judge(self, photos: Sequence[Looks]) -> list[Together]:
        """What is said of each photo; each backbone runs once over all of their images."""
        if not photos:
            return []
        answers: dict[str, list[Floats]] = {}
        for subjects in self._alike:
            views = [photo[self._viewer_of[subjects[0]]] for photo in photos]
            ends = np.cumsum([len(one.images) for one in views])
            images = np.concatenate([one.images for one in views])
            for subject, of_images in self._probabilities(subjects, images).items():
                answers[subject] = np.split(of_images, ends[:-1])
        return [
            self._together(photo, {subject: of_all[at] for subject, of_all in answers.items()})
            for at, photo in enumerate(photos)
        ]

    def _probabilities(self, subjects: Sequence[str], images: Pixels) -> dict[str, Floats]:
        """Subject -> `[N]`, of subjects whose heads get the same rows."""
        first = self.classifiers[subjects[0]]
        if len(subjects) == 1:
            return {subjects[0]: first.probabilities(images)}
        starts = range(0, len(images), BATCH)
        features = np.concatenate([first.features(images[at : at + BATCH]) for at in starts])
        return {subject: self.classifiers[subject].answer(features) for subject in subjects}

    def _together(self, photo: Looks, answers: Mapping[str, Floats]) -> Together:
        """Names for one photo.

        Pets are told from each other where they look at the same animals. One whose classifier looks at the whole photo
        while another's looks at animals cannot be compared with it, and has a name of its own to give.
        """
        pets = {
            subject: PetAnswers(subject, answers[subject], classifier.threshold)
            for subject, classifier in self.classifiers.items()
        }
        by_animals: dict[tuple[Animal, ...], list[PetAnswers]] = {}
        for subject, pet in pets.items():
            seen = photo[self._viewer_of[subject]].animals
            by_animals.setdefault(seen, []).append(pet)
        names: set[str] = set()
        animals: tuple[Named, ...] = ()
        for seen, of_same in by_animals.items():
            given = assign_names(of_same)
            names |= set(given)
            animals += named_animals(seen, of_same, given)
        subjects = {name: self._answer(pet, name in names) for name, pet in pets.items()}
        return Together(subjects, animals)

    def _answer(self, pet: PetAnswers, is_named: bool) -> PetAnswer:
        probability = float(pet.probabilities.max())
        verdict = pet_verdict(probability, pet.threshold, pet.subject, is_named)
        return PetAnswer(probability, is_named, pet.threshold, self.runs[pet.subject], verdict)
