"""Index -> fold column: a function of seed and content alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pandas as pd

FRACTIONS = {"train": 0.6, "val": 0.15, "test": 0.25}


def assign_folds(
    index: pd.DataFrame, seed: int, fractions: Mapping[str, float] = FRACTIONS
) -> pd.Series:
    """`train`, `val` or `test` for every row of the usable index.

    A hash of seed and group is a number in [0, 1), and the folds are stretches of that line. So a
    fold depends on nothing but the photo's own group: photos that come, go or are renamed move no
    photo of another group, and there is nothing to remember between two runs.

    Groups are not dealt so that each fold gets its exact share of every kind. That would be more
    even, but makes each photo's fold depend on all the others: one photo more in one group, and all
    that are dealt after it may move. What is held out must stay held out while an album grows; else
    a later run is tested on what an earlier one, whose settings were kept, was trained on. The
    price is chance: of n photos in groups of one, the test fold holds n/4, give or take 0.43 times
    the root of n, and with very few photos a fold may hold none of a kind.

    Args:
        index: needs `group`.
        seed: another seed draws other folds.
        fractions: fold -> share of the groups, adding up to 1; in this order along the line.
    """
    fold_of = {group: _fold(str(group), seed, fractions) for group in index["group"].unique()}
    return index["group"].map(fold_of).astype(object).rename("fold")


def _fold(group: str, seed: int, fractions: Mapping[str, float]) -> str:
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    rest = int.from_bytes(digest[:8]) / 2**64
    for fold, share in fractions.items():
        if rest < share:
            return fold
        rest -= share
    return fold  # shares that add up to a little less than 1, by rounding
