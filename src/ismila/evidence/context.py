"""Does it look at the animal? The subject's held-out photos with all but the animal greyed out, and with the animal.

A network that knows a pet by its sofa finds it there when it is gone: the context trap (Xiao et al. 2020,
https://arxiv.org/abs/2006.09994).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from PIL import Image

from ismila.evidence.metrics import is_subject
from ismila.learning.held_out import HeldOutClassifiers
from ismila.photos.album import Album
from ismila.photos.images import PhotoError, open_photo
from ismila.photos.progress import Progress
from ismila.vision.animals import Animal, bundled_detector
from ismila.vision.classifier import Classifier
from ismila.vision.views import Viewer

GREY = (128, 128, 128)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What is left of recall.

    Attributes:
        n: held-out photos of the subject in which an animal was seen.
        whole: recognised as they are.
        animal: recognised with all but the animal greyed out.
        surroundings: recognised with the animal greyed out: the lower the better.
    """

    n: int = 0
    whole: int = 0
    animal: int = 0
    surroundings: int = 0

    @property
    def kept_by_animal(self) -> float:
        """Recall by the animal alone, as a share of recall; NaN where there is none."""
        return self.animal / self.whole if self.whole else float("nan")


def context_of(
    reported: pd.DataFrame,
    classifiers: HeldOutClassifiers,
    album: Album,
    progress: Progress | None = None,
) -> Context:
    """Predict the subject's reported photos in three ways, each with the classifier that was not trained on it.

    Args:
        reported: rows with `path, label, threshold, held_out_by`.
    """
    rows = reported[is_subject(reported)]
    photos: Iterable[tuple[str, float, str]] = zip(
        rows["path"], rows["threshold"], rows["held_out_by"], strict=True
    )
    if progress and len(rows):
        photos = progress(photos, len(rows), "Greying out")
    counts = [0, 0, 0, 0]
    for path, threshold, held_out_by in photos:
        taken = _taken(classifiers[held_out_by], album, str(path), float(threshold))
        counts = [count + one for count, one in zip(counts, taken, strict=True)]
    n, whole, animal, surroundings = counts
    return Context(n=n, whole=whole, animal=animal, surroundings=surroundings)


def _taken(classifier: Classifier, album: Album, path: str, threshold: float) -> list[bool]:
    """Was an animal seen, and is the photo taken for the subject: whole, animal alone, surroundings alone?"""
    finder = Viewer(classifier.spec, bundled_detector())
    try:
        photo = open_photo(album.root / path, finder.decoded_px)
    except PhotoError:
        return [False] * 4
    animals = finder.animals(photo)
    if not animals:
        return [False] * 4
    animal = _deciding_animal(classifier, photo, animals)
    alone = Image.new("RGB", photo.size, GREY)
    place = _pixels(animal, photo)
    alone.paste(photo.crop(place), place[:2])
    gone = photo.copy()
    gone.paste(GREY, place)
    viewer = classifier.viewer
    known = [animal] if viewer.detector else []
    views = [viewer.views(one, known) for one in (photo, alone, gone)]
    return [True, *(one.probability >= threshold for one in classifier.judge(views))]


def _deciding_animal(classifier: Classifier, photo: Image.Image, animals: list[Animal]) -> Animal:
    """The animal that decides, or the surest one where the whole photo is asked."""
    if classifier.viewer.detector is None:
        return animals[0]
    [judgement] = classifier.judge([classifier.viewer.views(photo, animals)])
    return judgement.animals[0][0]


def _pixels(animal: Animal, photo: Image.Image) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = animal.box
    width, height = photo.size
    return round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)
