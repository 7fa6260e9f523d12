"""What classifiers say of a photo: of each animal in it, of the photo by the likeliest, and which pet is which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ismila.photos.boxes import Box
from ismila.photos.images import Pixels
from ismila.vision.animals import Animal, in_common
from ismila.vision.decision import logits_of
from ismila.vision.graphs import Floats
from ismila.vision.views import Views

SEEN_AGAIN = 0.5
"""A box that lies in another one by more than this shows the same animal as far as names go (docs/reid.md)."""


@dataclass(frozen=True)
class Judgement:
    """One photo's answer.

    Attributes:
        probability: of the subject in it: the highest of its images.
        image: which of its images that is.
        animals: those that were asked about, with the probability of each, the likeliest first; empty where the whole
            photo was asked.
    """

    probability: float
    image: int = 0
    animals: tuple[tuple[Animal, float], ...] = ()


def judgements(
    photos: Sequence[Views], probabilities: Callable[[Pixels], Floats]
) -> list[Judgement]:
    """Ask about the images of all photos, and say what that means for each photo.

    Args:
        probabilities: `[M, size_px, size_px, 3]` -> `[M]`.
    """
    if not photos:
        return []
    answers = probabilities(np.concatenate([photo.images for photo in photos]))
    ends = np.cumsum([len(photo.images) for photo in photos])
    parts = np.split(answers, ends[:-1])
    return [_judgement(photo, part) for photo, part in zip(photos, parts, strict=True)]


def _judgement(photo: Views, answer: Floats) -> Judgement:
    asked = zip(photo.animals, map(float, answer), strict=False)
    animals = sorted(asked, key=lambda one: -one[1])
    return Judgement(float(answer.max()), int(answer.argmax()), tuple(animals))


OTHER = "another animal"


@dataclass(frozen=True)
class NamedAnimal:
    """An animal in a photo, and who it is.

    Attributes:
        box: x0 y0 x1 y1 in [0, 1] of the upright photo.
        kind: COCO's name for it, a hint only.
        name: the subject's, or "another animal".
        probability: of the subject.
    """

    box: Box
    kind: str
    name: str
    probability: float


def named(judgement: Judgement, subject: str, threshold: float) -> tuple[NamedAnimal, ...]:
    """The animals of a photo by name, the likeliest first; the subject is in a photo once at most."""
    names = [OTHER] * len(judgement.animals)
    if names and judgement.probability >= threshold:
        names[0] = subject
    return tuple(
        NamedAnimal(animal.box, animal.kind, name, probability)
        for (animal, probability), name in zip(judgement.animals, names, strict=True)
    )


@dataclass(frozen=True)
class PetProbabilities:
    """What one pet's classifier says of the images of one photo.

    Attributes:
        probabilities: `[n]`, that the image shows the pet.
        threshold: an image may be the pet from this probability on.
    """

    subject: str
    probabilities: Floats
    threshold: float


def assign_names(
    pets: Sequence[PetProbabilities], animals: Sequence[Animal] = ()
) -> tuple[str, ...]:
    """A name for each image of a photo, empty where it is none of the pets.

    An image gets one name at most, and a pet is in a photo once at most. One animal is often seen twice, as a whole and
    in part: where more than half of a box lies in that of an animal with a name, it gets none. Who claims an image, or
    which image a pet claims, is settled by how far the probability is above that pet's own threshold, in logits:
    thresholds differ between pets, and a probability of 0.99 says little of a pet whose threshold is 0.98.

    Args:
        pets: at least one, with answers to the same images.
        animals: that the images show; none where the one image is the whole photo.
    """
    names = [""] * len(pets[0].probabilities)
    # Greedy, the largest margin first, not the assignment with the largest sum: the surest name is never given up for
    # two doubtful ones, each name can be explained by itself, and with a handful of pets they hardly ever differ.
    for *_, pet, image in sorted(_claims(pets)):
        subject = pets[pet].subject
        taken = [animals[at].box for at, name in enumerate(names) if name and animals]
        again = any(in_common(animals[image].box, box) > SEEN_AGAIN for box in taken)
        if not names[image] and subject not in names and not again:
            names[image] = subject
    return tuple(names)


def _claims(pets: Sequence[PetProbabilities]) -> list[tuple[float, float, int, int]]:
    """(-margin, -probability, pet, image) wherever a pet reaches its threshold; of equal ones the first wins.

    Probabilities that are nearly 1 have equal margins: then the likelier image wins, as it does where one is asked.
    """
    claims = []
    for number, pet in enumerate(pets):
        # in double precision, as a single classifier's verdict is compared
        probabilities = pet.probabilities.astype(np.float64)
        margins = logits_of(probabilities) - logits_of(pet.threshold)
        reached = np.flatnonzero(probabilities >= pet.threshold)
        claims += [
            (-float(margins[image]), -float(probabilities[image]), number, int(image))
            for image in reached
        ]
    return claims


def named_animals(
    animals: Sequence[Animal], pets: Sequence[PetProbabilities], names: Sequence[str]
) -> tuple[NamedAnimal, ...]:
    """The animals of a photo by the names that `assign_names` gave, the likeliest first.

    The probability is that of the name; of another animal it is the highest that any of the pets has there.
    """
    named_ones = []
    for number, (animal, name) in enumerate(zip(animals, names, strict=False)):
        of_pet = {pet.subject: float(pet.probabilities[number]) for pet in pets}
        probability = of_pet[name] if name else max(of_pet.values())
        named_ones.append(NamedAnimal(animal.box, animal.kind, name or OTHER, probability))
    return tuple(sorted(named_ones, key=lambda one: -one.probability))
