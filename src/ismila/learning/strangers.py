"""Background negatives: features of thousands of animals and things that are not the subject.

The package carries feature rows, not photos; `tools/make_strangers.py` writes them. One half of the photos, by a hash,
may be trained on and may choose a threshold. The other half never does either: it gives everybody a false-positive rate
with a narrow interval, also somebody with eight photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ismila.learning.crossval import Examples, views_among
from ismila.photos.images import FAR_PX
from ismila.vision.graphs import Bools, Floats, Ints, Objects
from ismila.vision.weights import STRANGERS, shipped

LEVELS = 31
"""Steps that the root of a feature is kept in: with 31, 47 or 63 heads find as much, with 15 a photo or two fewer."""


@dataclass(frozen=True)
class Strangers:
    """Feature rows of strangers, `[M]` each.

    Attributes:
        x: `[M, D]`.
        photo: which photo the row is of; rows of one photo stand together.
        kind: `dog`, `cat` or `things`.
        held_out: the photo is in the half that is never trained on.
        far: `[K, D]`: some images that may be trained on once more, as if from afar (`images.low_resolution`).
        far_of: `[K]`: the rows of `x` that they show.
    """

    x: Floats
    photo: Ints
    kind: Objects
    held_out: Bools
    far: Floats
    far_of: Ints

    def half(self, held_out: bool) -> Strangers:
        """One of the two halves."""
        rows = self.held_out == held_out
        _, photo = np.unique(self.photo[rows], return_inverse=True)
        far, far_of = views_among(rows, self.far_of, len(rows))
        return Strangers(
            self.x[rows], photo, self.kind[rows], self.held_out[rows], self.far[far], far_of
        )

    def examples(self, views: int) -> Examples:
        """As what a head is trained on; each view of a stranger is the same, but from afar."""
        n = len(self.photo)
        everything = np.ones(n, np.bool_)
        stratum = np.where(self.kind == "things", "things", "pets/" + self.kind).astype(object)
        group = np.array([f"stranger {number}" for number in self.photo], object)
        return Examples(
            self.x,
            stratum,
            group,
            everything,
            everything,
            self.photo,
            everything,
            everything,
            np.zeros(n, np.float32),
            np.concatenate([np.tile(self.x, (views - 1, 1)), self.far]),
            np.concatenate([np.tile(np.arange(n), views - 1), self.far_of]),
        )


def strangers_of(made_by: str) -> Strangers | None:
    """The strangers as one backbone sees them; None where they were not shipped for it.

    Args:
        made_by: as `weights.shipped`.
    """
    path = shipped(STRANGERS, made_by)
    return unpack(path) if path else None


@lru_cache
def unpack(path: Path) -> Strangers:
    """What `pack` made, but for the steps."""
    with np.load(path, allow_pickle=False) as file:
        rows = ((file["steps"] * (file["highest"] / np.float32(LEVELS))) ** 2).astype(np.float32)
        n = len(file["photo"])
        return Strangers(
            rows[:n],
            file["photo"].astype(np.int64),
            file["kind"].astype(object),
            file["held_out"],
            rows[n:],
            file["far_of"].astype(np.int64),
        )


def pack(strangers: Strangers, made_by: str) -> dict[str, np.ndarray]:
    """What `unpack` and `weights.shipped` read: each channel's root in steps of its highest."""
    root = np.sqrt(np.concatenate([strangers.x, strangers.far]))
    highest = root.max(0).clip(1e-6).astype(np.float32)
    return {
        "steps": np.round(root / highest * LEVELS).astype(np.uint8),
        "highest": highest,
        "photo": strangers.photo.astype(np.int32),
        "kind": strangers.kind.astype("U6"),
        "held_out": strangers.held_out,
        "far_of": strangers.far_of.astype(np.int32),
        "far_px": np.array(FAR_PX),
        "made_by": np.array(made_by),
    }
