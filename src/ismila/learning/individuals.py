"""How photos of one animal differ: what light, pose and surroundings do to the features, whoever the animal is.

Of fourteen cats that nobody here has the package carries what tells each photo from the mean of its cat's photos;
`tools/make_individuals.py` writes that. A head that leans on such differences takes one animal for another, so the
penalty makes them dear: within-class covariance normalisation (Hatch, Kajarekar and Stolcke 2006,
https://www.isca-archive.org/interspeech_2006/hatch06_interspeech.html). docs/reid.md says what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ismila.vision.graphs import Floats, Ints
from ismila.vision.weights import INDIVIDUALS, shipped

STEPS = 31
"""Of a feature's largest difference, on either side; what the file keeps, see `strangers.LEVELS`."""


@dataclass(frozen=True)
class Differences:
    """Of photos from the mean of their animal's.

    Attributes:
        x: `[M, D]`.
        n_animals: whose means they are from.
    """

    x: Floats
    n_animals: int

    @property
    def in_units(self) -> Floats:
        """`[M, D]`: rows whose squares sum up to the within-class covariance."""
        return self.x / np.float32(np.sqrt(len(self.x) - self.n_animals))


def differences(x: Floats, animal: Ints) -> Differences:
    """What tells rows `[M, D]` from the mean of those of the same animal `[M]`; an animal with one row says nothing."""
    _, number, count = np.unique(animal, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), x.shape[1]), np.float64)
    np.add.at(sums, number, x)
    several = count[number] > 1
    away = x - (sums / count[:, None])[number]
    return Differences(away[several].astype(np.float32), int((count > 1).sum()))


def differences_of(made_by: str) -> Differences | None:
    """Those that one backbone sees; None where they were not shipped for it.

    Args:
        made_by: as `weights.shipped`.
    """
    path = shipped(INDIVIDUALS, made_by)
    return unpack(path) if path else None


@lru_cache
def unpack(path: Path) -> Differences:
    """What `pack` made, but for the steps."""
    with np.load(path, allow_pickle=False) as file:
        x = file["steps"] * (file["highest"] / np.float32(STEPS))
        return Differences(x.astype(np.float32), int(file["n_animals"]))


def pack(found: Differences, made_by: str) -> dict[str, np.ndarray]:
    """What `unpack` and `weights.shipped` read: each channel in steps of its largest difference."""
    highest = np.abs(found.x).max(0).clip(1e-6).astype(np.float32)
    return {
        "steps": np.round(found.x / highest * STEPS).astype(np.int8),
        "highest": highest,
        "n_animals": np.array(found.n_animals),
        "made_by": np.array(made_by),
    }
