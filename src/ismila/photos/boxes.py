"""Where in a photo the subject is, as a person says it in labels.csv."""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[float, float, float, float]
"""x0 y0 x1 y1 in [0, 1] of the upright photo."""
WHOLE = "none"
"""No box says where the subject is: the whole photo shows it."""
DECIMALS = 4
EXPECTED = (
    "x0 y0 x1 y1, four numbers from 0 to 1 with spaces between (left, top, right, bottom of the "
    f"upright photo, such as 0.1 0.25 0.6 1), {WHOLE} for the whole photo, or nothing"
)


def read_box(text: str) -> Box | None:
    """What `x0 y0 x1 y1` or `none` says; None for the whole photo.

    Raises:
        ValueError: it says neither.
    """
    if text.strip().lower() == WHOLE:
        return None
    x0, y0, x1, y1 = (round(float(word), DECIMALS) for word in text.split())
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise ValueError(text)
    return x0, y0, x1, y1


def box_text(box: Sequence[float] | None) -> str:
    """What labels.csv says for it; `read_box` backwards."""
    return WHOLE if box is None else " ".join(f"{side:g}" for side in plain_sides(box))


def plain_sides(box: Sequence[float]) -> list[float]:
    """A box's four numbers as they are written down."""
    return [round(float(side), DECIMALS) for side in box]


def plain_box(text: str) -> str:
    """The same in the one way in which `box_text` says it; empty where it says nothing.

    Raises:
        ValueError: see `read_box`.
    """
    return box_text(read_box(text)) if text.strip() else ""


def iou(a: Box, b: Box) -> float:
    """What two boxes share, as a part of what they cover together."""
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / (area(a) + area(b) - shared)


def area(box: Box) -> float:
    """Of the picture's area, in [0, 1]."""
    return (box[2] - box[0]) * (box[3] - box[1])
