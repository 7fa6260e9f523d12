"""Match annotated boxes (labels.csv) to the animals that were detected in a photo of the subject."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ismila.photos.boxes import Box, iou, read_box
from ismila.vision.animals import Animal

if TYPE_CHECKING:
    import pandas as pd  # a server that answers for an exported file has none

MEANT_IOU = 0.5
"""A box means the animal with which it shares at least so much of their union: the same limit as for two boxes of one
animal."""


def annotated_boxes(rows: pd.DataFrame) -> dict[str, str]:
    """What labels.csv says of the subject's boxes, by sha256; without the photos of which it says nothing."""
    given = rows[rows["box"] != ""]
    return dict(zip(given["sha256"].astype(str), given["box"], strict=True))


def animal_matching_box(box: Box, animals: Sequence[Animal]) -> int | None:
    """The number of the animal that a person's box means; None where none was found in that place."""
    shared = [iou(box, animal.box) for animal in animals]
    best = max(range(len(shared)), key=shared.__getitem__, default=None)
    return best if best is not None and shared[best] >= MEANT_IOU else None


def view_matching_box(text: str, animals: Sequence[Animal]) -> int | None:
    """The number of the photo's image that shows what a person's box means; None where none does.

    Args:
        text: as `boxes.box_text` says it.
        animals: of each an image; without any the one image is the whole photo.
    """
    box = read_box(text)
    if box is None:
        return None if animals else 0
    return animal_matching_box(box, animals)


def cut_name(sha256: str, text: str) -> str:
    """What the image is called that a person's box cuts out of a photo: rows are kept under it, as under a sha256.

    A box that changes has another name, so that no row of the old one is taken for it.
    """
    return hashlib.sha256(f"{sha256} {text}".encode()).hexdigest()
