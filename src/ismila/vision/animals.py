"""Photos -> the animals in them: where, how large, how sure.

A bundled detector (NanoDet, trained on COCO) looks at each photo once; what it saw is kept in
`animals.parquet` of the album's derived folder. It tells that and where an animal is; of what kind
is a hint only: a dog is often its "cat" or "bear".

docs/animals.md says how often it is right, and how fast it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from ismila.photos.boxes import Box
from ismila.photos.images import ImageSpec, Pixels, pixels_digest
from ismila.vision.graphs import Bools, Floats, Ints, graph_session
from ismila.vision.weights import NANODET

KINDS = (
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
)
"""COCO's animals, in the order of the graph's scores."""
SIZE_PX = 352
"""With `MIN_SCORE` as low as it is, more pixels find hardly more (docs/animals.md)."""
MULTIPLE_PX = 32
"""The graph's coarsest cells are so large."""
MIN_SCORE = 0.15
"""Low: what is seen is asked about, and what is no animal is then no subject either."""
MOST = 8
"""Animals of a photo at most: the best."""
SAME_IOU = 0.5
"""Boxes that share more of their union are one animal."""
PART = 0.8
"""A box that lies in another one by so much of its area is a part of that animal."""
CANDIDATES = 200
"""Boxes of a photo that are compared with one another at most: the best."""
CHUNK = 4
"""Images that the graph sees at a time."""


@dataclass(frozen=True)
class Animal:
    """An animal that was seen in a photo.

    Attributes:
        box: x0, y0, x1, y1 in [0, 1], of the upright photo.
        kind: COCO's name of it, one of `KINDS`; a hint only.
        score: in [`MIN_SCORE`, 1].
    """

    box: Box
    kind: str
    score: float

    @property
    def share(self) -> float:
        """Of the picture's area, in [0, 1]."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


def in_common(one: Box, other: Box) -> float:
    """How much of the smaller of two boxes lies in the other one, in [0, 1]."""
    shared, areas = _shared(np.array([one, other]))
    smaller = float(areas.min())
    return float(shared[0, 1]) / smaller if smaller > 0 else 0.0


class Spotter(Protocol):
    """Finds animals in images; `recipe` and `digest` name whatever decides what it finds."""

    recipe: str
    digest: str
    spec: ImageSpec

    def __call__(self, images: Pixels, /) -> list[list[Animal]]: ...


class Detector:
    """The bundled detector.

    Attributes:
        recipe: names the graph, its size and the limits of what is an animal.
        digest: 16 hex digits for that and for what decodes photos: what was seen is kept under it.
        spec: how photos become its images.

    Args:
        size_px: side of its square images, a multiple of 32.
        threads: that compute; 0: as many as there are cores.

    Raises:
        ValueError: no such size.
    """

    def __init__(self, size_px: int = SIZE_PX, threads: int = 0) -> None:
        if size_px <= 0 or size_px % MULTIPLE_PX:
            raise ValueError(f"size_px={size_px}: expected a multiple of {MULTIPLE_PX}")
        self.spec = ImageSpec(size_px, "squash")
        limits = f"{MIN_SCORE} {MOST} {SAME_IOU} {PART} {CANDIDATES}"
        self.recipe = f"{_graph_digest()} {size_px} {limits}"
        text = f"{self.recipe} {pixels_digest(self.spec)}"
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._threads = threads

    def __call__(self, images: Pixels) -> list[list[Animal]]:
        """`[N, S, S, 3]` uint8, whole photos squashed -> animals of each, best first."""
        session = graph_session(NANODET, self._threads)
        found: list[list[Animal]] = []
        for at in range(0, len(images), CHUNK):
            chunk = images[at : at + CHUNK].transpose(0, 3, 1, 2)
            inputs = {"images": np.ascontiguousarray(chunk, np.float32)}
            boxes, scores = session.run(["boxes", "scores"], inputs)
            found += [_animals(*one) for one in zip(boxes, scores, strict=True)]
        return found


@lru_cache
def bundled_detector() -> Detector:
    """For who looks at one photo in each of several threads."""
    return Detector(threads=1)


@lru_cache
def _graph_digest() -> str:
    return hashlib.sha256(NANODET.read_bytes()).hexdigest()


def _animals(boxes: Floats, scores: Floats) -> list[Animal]:
    """Of one image: `[cells, 4]` and `[cells, 10]` -> animals, best first."""
    best = scores.max(1)
    sure = np.flatnonzero(best >= MIN_SCORE)
    inside = boxes[sure].clip(0, 1)
    return [
        Animal(
            box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            kind=KINDS[int(scores[cell].argmax())],
            score=float(best[cell]),
        )
        for cell, box in ((sure[at], inside[at]) for at in distinct(inside, best[sure]))
    ]


def distinct(boxes: Floats, scores: Floats) -> Ints:
    """Non-maximum suppression, whatever the kind: of each animal its best box.

    Args:
        boxes: `[N, 4]`.
        scores: `[N]`.

    Returns:
        Rows that are kept, best first; boxes without area are not.
    """
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    order = np.argsort(np.where(has_area, -scores, np.inf), kind="stable")
    order = order[: min(int(has_area.sum()), CANDIDATES)]
    same = _same_animal(boxes[order])
    left = np.ones(len(order), np.bool_)
    kept: list[np.int64] = []
    for at, row in enumerate(order):
        if left[at] and len(kept) < MOST:
            kept.append(row)
            left &= ~same[at]
    return np.array(kept, np.int64)


def _same_animal(boxes: Floats) -> Bools:
    """`[N, N]`: do two boxes show the same animal, or one a part of the other's?"""
    shared, areas = _shared(boxes)
    union = areas[:, None] + areas - shared
    part = shared / np.minimum(areas[:, None], areas)
    same: Bools = (shared / union > SAME_IOU) | (part > PART)
    return same


def _shared(boxes: Floats) -> tuple[Floats, Floats]:
    """Boxes `[N, 4]` -> the areas that each two share `[N, N]`, and their own `[N]`."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    return (high - low).clip(0).prod(2), (boxes[:, 2:] - boxes[:, :2]).prod(1)
