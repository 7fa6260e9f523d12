"""Photos of the subject with several animals: which one training takes for it, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ismila.learning.crossval import most_similar
from ismila.learning.features import Features
from ismila.learning.given import annotated_boxes
from ismila.photos.album import Album
from ismila.photos.boxes import Box, iou
from ismila.photos.images import ImageSpec
from ismila.photos.progress import Progress
from ismila.vision.animals import Animal, bundled_detector
from ismila.vision.encoders import OnnxBackbone
from ismila.vision.graphs import Bools, Floats, Ints, Objects
from ismila.vision.views import Viewer
from ismila.vision.weights import BOTH

SPEC = ImageSpec(256)
"""As `model=reid` has it, whose cached rows are these."""
NARROW = 0.05
"""Cosine: a choice by less is doubtful.

Looked at: 92 photos with several boxes, of 14 real cats and of a real album. Of the 26 chosen by less, 9 were wrong or
showed half of it; of those chosen by more, none (docs/animals.md)."""
SAME_IOU = 0.4
"""Boxes that share more of their union show the same animal, whichever is taken."""
UNLIKE_DEVIATIONS = 3.0
"""What is taken for it, and is so much less like its other photos than they usually are, may be something else."""
FEWEST_TO_BE_USUAL = 10
"""Of fewer photos nobody can say how alike they usually are."""
RARE = 0.25
"""Where no animal is found in more than so much of its photos, the detector does not know its kind: no use to say it
of each."""


WORDS = {
    "which": "which of {n} animals is {subject}?",
    "unlike": "what was found in it is not like the other photos of {subject}",
    "none": "no animal was found in it: is {subject} to be seen?",
}


@dataclass(frozen=True)
class Choice:
    """The animals of one photo of the subject.

    Attributes:
        boxes: of those that are asked about, the surest first.
        chosen: the number of the one that trains; None where the whole photo or a person's own box does.
        settled: labels.csv says so.
        doubt: why it is doubtful, a key of `WORDS`; empty where it is not.
        score: how doubtful, in [0, 1].
    """

    boxes: tuple[Box, ...]
    chosen: int | None
    settled: bool = False
    doubt: str = ""
    score: float = 0.0

    def reason(self, subject: str) -> str:
        """The doubt in words."""
        return WORDS[self.doubt].format(subject=subject, n=len(self.boxes))


def choices(
    album: Album, rows: pd.DataFrame, progress: Progress | None = None
) -> dict[str, Choice]:
    """Of each photo of the subject that can be read, by path, which animal is taken for it.

    Args:
        rows: the usable index.
    """
    rows = rows[rows["label"] == "subject"]
    given = annotated_boxes(rows)
    viewer = Viewer(SPEC, bundled_detector())
    features = Features(album.derived, viewer, OnnxBackbone(SPEC, BOTH), given)
    gone = features.fill(album.photos(rows), 1, progress)
    rows = rows[~rows["sha256"].isin(list(gone))]
    if not len(rows):
        return {}
    shas = [str(sha) for sha in rows["sha256"]]
    images = features.images(shas)
    labelled = np.flatnonzero(images.labelled)
    photo = images.photo[labelled]
    group: Objects = rows["group"].to_numpy(dtype=object)
    numbers = np.array([number for _, number in images.keys])
    asked = np.where(images.asked, numbers, -1)[labelled]
    of_subject = _Similarity.of(features.rows_of(images)[labelled], photo, group)
    found = {}
    for at, (sha, path) in enumerate(zip(shas, rows["path"], strict=True)):
        animals = features.animals.get(sha) if features.animals else None
        here = np.flatnonzero(photo == at)
        found[str(path)] = of_subject.choice(here, asked[here], animals or (), sha in given)
    return _rarely_none(found)


def _rarely_none(found: dict[str, Choice]) -> dict[str, Choice]:
    """And where no animal was found at all, if that is the exception."""
    none = {path for path, one in found.items() if not one.boxes and not one.settled}
    if len(none) > RARE * len(found):
        return found
    return found | {path: Choice((), None, doubt="none", score=0.28) for path in none}


@dataclass(frozen=True)
class _Similarity:
    """How alike the images of the subject's photos are, `[M]` each.

    Attributes:
        unit: `[M, D]`, of length 1.
        taken: one of each photo.
        group: near-duplicates, which say nothing of one another.
        usual: the middle of what those taken have, and a standard deviation; None of too few.
    """

    unit: Floats
    taken: Bools
    group: Objects
    usual: tuple[float, float] | None

    @classmethod
    def of(cls, x: Floats, photo: Ints, group: Objects) -> _Similarity:
        """Of rows `x [M, D]`, and `group` of each photo."""
        away = x - x.mean(0)
        unit = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        taken = most_similar(x, photo)
        plain = cls(unit, taken, group[photo], None)
        each = np.array([plain.with_others(np.array([at]))[0] for at in np.flatnonzero(taken)])
        each = each[np.isfinite(each)]
        if len(each) < FEWEST_TO_BE_USUAL:
            return plain
        middle = float(np.median(each))
        deviation = 1.4826 * float(np.median(np.abs(each - middle))) + 1e-6
        return cls(unit, taken, plain.group, (middle, deviation))

    def with_others(self, here: Ints) -> Floats:
        """`[m]`: cosine of a photo's images with the mean of those of other occasions; NaN where there is none."""
        others = self.taken & (self.group != self.group[here[0]])
        if not others.any():
            return np.full(len(here), np.nan, np.float32)
        middle = self.unit[others].mean(0)
        cosines: Floats = self.unit[here] @ (middle / max(float(np.linalg.norm(middle)), 1e-9))
        return cosines

    def choice(
        self, here: Ints, numbers: Ints, animals: tuple[Animal, ...] | list[Animal], settled: bool
    ) -> Choice:
        """Of the photo whose images stand at `here` and are its animals of these `numbers`."""
        boxes = tuple(animal.box for animal in animals)
        at = int(np.flatnonzero(self.taken[here])[0])
        chosen = int(numbers[at]) if boxes and numbers[at] >= 0 else None
        if settled or chosen is None:
            return Choice(boxes, chosen, settled)
        alike = self.with_others(here)
        doubt, score = self._doubt(alike, at, boxes)
        return Choice(boxes, chosen, False, doubt, score)

    def _doubt(self, alike: Floats, at: int, boxes: tuple[Box, ...]) -> tuple[str, float]:
        apart = [n for n, box in enumerate(boxes) if n != at and iou(box, boxes[at]) < SAME_IOU]
        if apart:
            # without another occasion to compare with, nothing speaks for any of them
            margin = float(alike[at] - alike[apart].max())
            margin = margin if np.isfinite(margin) else 0.0
            if margin < NARROW:
                return "which", min(0.45 - margin, 0.49)
        if self.usual is None or not np.isfinite(alike[at]):
            return "", 0.0
        middle, deviation = self.usual
        below = (middle - float(alike[at])) / deviation
        if below < UNLIKE_DEVIATIONS:
            return "", 0.0
        return "unlike", 0.3 + min(0.01 * below, 0.09)
