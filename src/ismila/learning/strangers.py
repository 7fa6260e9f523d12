"""Animals that are not she, thousands of them, and things: what bundled backbones make of photos that nobody has here.

The package carries feature rows, not photos; `tools/make_strangers.py` writes them. One half of the photos, by a hash,
may be trained on and may choose a threshold. The other half never does either: it gives everybody a false-positive rate
with a narrow interval, also somebody with eight photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ismila.learning.crossval import Examples, Objects
from ismila.learning.graphs import Bools, Floats, Ints
from ismila.learning.weights import STRANGERS, shipped

LEVELS = 63
"""Steps that the root of a feature is kept in: a sixth of a byte's precision compresses to half of its size."""


@dataclass(frozen=True)
class Strangers:
    """Feature rows of strangers, `[M]` each.

    Attributes:
        x: `[M, D]`.
        photo: which photo the row is of; rows of one photo stand together.
        kind: `dog`, `cat` or `things`.
        held_out: the photo is in the half that is never trained on.
    """

    x: Floats
    photo: Ints
    kind: Objects
    held_out: Bools

    def half(self, held_out: bool) -> Strangers:
        """One of the two halves."""
        rows = self.held_out == held_out
        _, photo = np.unique(self.photo[rows], return_inverse=True)
        return Strangers(self.x[rows], photo, self.kind[rows], self.held_out[rows])

    def examples(self, views: int) -> Examples:
        """As what a head is trained on; each view of a stranger is the same."""
        n = len(self.photo)
        everything = np.ones(n, np.bool_)
        stratum = np.where(self.kind == "things", "things", "pets/" + self.kind).astype(object)
        group = np.array([f"stranger {number}" for number in self.photo], object)
        x = np.broadcast_to(self.x, (views, *self.x.shape))
        return Examples(
            x, stratum, group, everything, everything, self.photo, everything, everything
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
        x = (file["steps"] * (file["highest"] / np.float32(LEVELS))) ** 2
        kind = file["kind"].astype(object)
        return Strangers(
            x.astype(np.float32), file["photo"].astype(np.int64), kind, file["held_out"]
        )


def pack(strangers: Strangers, made_by: str) -> dict[str, np.ndarray]:
    """What `unpack` and `weights.shipped` read: each channel's root in steps of its highest."""
    root = np.sqrt(strangers.x)
    highest = root.max(0).clip(1e-6).astype(np.float32)
    return {
        "steps": np.round(root / highest * LEVELS).astype(np.uint8),
        "highest": highest,
        "photo": strangers.photo.astype(np.int32),
        "kind": strangers.kind.astype("U6"),
        "held_out": strangers.held_out,
        "made_by": np.array(made_by),
    }
