"""Several pets, each with its own classifier, asked about the same photos in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ismila.photos.images import MAX_PIXELS, ImageSpec, Pixels, open_photo
from ismila.vision.animals import Animal
from ismila.vision.decision import pet_verdict
from ismila.vision.encoders import Encoder, in_batches
from ismila.vision.graphs import Floats
from ismila.vision.judgement import (
    Judgement,
    NamedAnimal,
    PetProbabilities,
    assign_names,
    named_animals,
)
from ismila.vision.views import Viewer, Views


class PetClassifier(Protocol):
    """One pet's classifier: a `Classifier`, or an `ExportedClassifier`."""

    spec: ImageSpec
    subject: str
    scores: dict[str, float]

    @property
    def threshold(self) -> float: ...

    @property
    def viewer(self) -> Viewer: ...

    @property
    def encoder(self) -> Encoder | None:
        """None where no other classifier can share its rows."""

    def answer(self, rows: Floats, /) -> Floats:
        """`[N, D]`, what `encoder` gives -> `[N]` probability of the subject."""

    def probabilities(self, images: Pixels, /) -> Floats:
        """`[N, size_px, size_px, 3]` -> `[N]` probability of the subject."""

    def judge(self, photos: Sequence[Views], /) -> list[Judgement]:
        """What it says of each photo, asked alone."""


ViewsByDigest = Mapping[str, Views]
"""The views of one photo by the digest of the viewer that made them."""


@dataclass(frozen=True)
class PetPrediction:
    """What is said of one pet in one photo.

    Attributes:
        probability: the highest that the pet's own run gives an image of the photo, whoever gets that image.
        is_subject: an image of the photo got the pet's name.
        verdict: the same in words, which are `unsure` near the threshold.
        image: number of the image that the answer is about, among those its own classifier gets: the one with the pet's
            name, or the likeliest.
    """

    probability: float
    is_subject: bool
    threshold: float
    run: str
    verdict: str
    image: int = 0


@dataclass(frozen=True)
class PetPredictions:
    """What is said of all pets in one photo.

    Attributes:
        subjects: by name, in the order in which they were asked for.
        animals: those that were asked about; empty where the whole photo was.
    """

    subjects: Mapping[str, PetPrediction]
    animals: tuple[NamedAnimal, ...] = ()

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

    classifiers: Mapping[str, PetClassifier]
    runs: Mapping[str, str]

    @classmethod
    def load(cls, runs: Mapping[str, str]) -> Pets:
        """The classifiers that runs recorded. Raises UserError.

        Args:
            runs: subject -> run id.
        """
        from ismila.runs.find import load_classifier  # who asks an exported file has no MLflow

        return cls({subject: load_classifier(run) for subject, run in runs.items()}, runs)

    @cached_property
    def viewers(self) -> Mapping[str, Viewer]:
        """The distinct ones by digest: those that find animals first."""
        viewers = [classifier.viewer for classifier in self.classifiers.values()]
        viewers.sort(key=lambda viewer: viewer.detector is None)
        return {viewer.digest: viewer for viewer in viewers}

    @property
    def look_for_animals(self) -> bool:
        """Whether any of them is asked about animals, not always about the whole photo."""
        return any(viewer.detector for viewer in self.viewers.values())

    @property
    def decoded_px(self) -> int:
        """Pixels a side that a photo is decoded to at least."""
        return max(viewer.decoded_px for viewer in self.viewers.values())

    @cached_property
    def _viewer_of(self) -> Mapping[str, str]:
        return {name: one.viewer.digest for name, one in self.classifiers.items()}

    def views_of(self, subject: str, looks: ViewsByDigest) -> Views:
        """What one pet's classifier is asked about."""
        return looks[self._viewer_of[subject]]

    @cached_property
    def _alike(self) -> list[list[str]]:
        """Subjects whose heads get the same rows stand together: same views, same bundled backbone."""
        groups: dict[tuple[str, str], list[str]] = {}
        for subject, classifier in self.classifiers.items():
            encoder = classifier.encoder
            backbone = encoder.digest if encoder else f"of {subject} alone"
            groups.setdefault((self._viewer_of[subject], backbone), []).append(subject)
        return list(groups.values())

    def read(self, source: Path | bytes, max_pixels: int = MAX_PIXELS) -> ViewsByDigest:
        """Decode a photo and look at it. Raises PhotoError."""
        return self._looks(lambda viewer: open_photo(source, viewer.decoded_px, max_pixels))

    def look(self, photo: Image.Image) -> ViewsByDigest:
        """The same of an upright photo in RGB that is decoded already, such as a film's frame."""
        return self._looks(lambda _: photo)

    def _looks(self, decoded: Callable[[Viewer], Image.Image]) -> ViewsByDigest:
        """Find the animals once for all who look for them alike."""
        looks: dict[str, Views] = {}
        animals: dict[str, tuple[Animal, ...]] = {}
        for digest, viewer in self.viewers.items():
            detector = viewer.detector.digest if viewer.detector else ""
            looks[digest] = viewer.views(decoded(viewer), animals.get(detector))
            animals[detector] = looks[digest].animals
        return looks

    def judge(self, photos: Sequence[ViewsByDigest]) -> list[PetPredictions]:
        """What is said of each photo; each backbone runs once over all of their images."""
        if not photos:
            return []
        answers: dict[str, list[Floats]] = {}
        for subjects in self._alike:
            views = [self.views_of(subjects[0], photo) for photo in photos]
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
        if first.encoder is None:
            return {subjects[0]: first.probabilities(images)}
        rows = in_batches(first.encoder, images)
        return {subject: self.classifiers[subject].answer(rows) for subject in subjects}

    def _together(self, photo: ViewsByDigest, answers: Mapping[str, Floats]) -> PetPredictions:
        """Names for one photo.

        Pets are told from each other where they look at the same animals. One whose classifier looks at the whole photo
        while another's looks at animals cannot be compared with it, and has a name of its own to give.
        """
        pets = {
            subject: PetProbabilities(subject, answers[subject], classifier.threshold)
            for subject, classifier in self.classifiers.items()
        }
        by_animals: dict[tuple[Animal, ...], list[PetProbabilities]] = {}
        for subject, pet in pets.items():
            seen = self.views_of(subject, photo).animals
            by_animals.setdefault(seen, []).append(pet)
        image_of: dict[str, int] = {}
        animals: tuple[NamedAnimal, ...] = ()
        for seen, of_same in by_animals.items():
            given = assign_names(of_same, seen)
            image_of |= {name: image for image, name in enumerate(given) if name}
            animals += named_animals(seen, of_same, given)
        subjects = {name: self._answer(pet, image_of.get(name)) for name, pet in pets.items()}
        return PetPredictions(subjects, animals)

    def _answer(self, pet: PetProbabilities, named: int | None) -> PetPrediction:
        """What is said of a pet that got the name of image number `named`, or of none."""
        probability = float(pet.probabilities.max())
        is_named = named is not None
        return PetPrediction(
            probability=probability,
            is_subject=is_named,
            threshold=pet.threshold,
            run=self.runs[pet.subject],
            verdict=pet_verdict(probability, pet.threshold, pet.subject, is_named),
            image=int(pet.probabilities.argmax()) if named is None else named,
        )
