"""Index -> fold column; pure, seeded, groups whole, stable as the album grows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pandas as pd

FRACTIONS = {"train": 0.6, "val": 0.15, "test": 0.25}


def assign_folds(
    index: pd.DataFrame, seed: int, fractions: Mapping[str, float] = FRACTIONS
) -> pd.Series[str]:
    """`train`, `val` or `test` for every row of the usable index.

    Within each stratum (label and kind) groups are dealt, one after another, to the fold that is furthest below
    its share of the photos dealt so far. The turn is `added` first, then a hash of seed and group: photos added
    later are dealt later, so that they move no earlier one.

    Args:
        index: needs `group, added, label, kind`.
        seed: another seed draws other folds.
        fractions: fold -> share of the photos, in the order in which ties are settled.
    """
    groups = index.assign(
        stratum=index["label"].map({"subject": "0", "pets": "1", "things": "2"}) + index["kind"]
    ).groupby("group", sort=False)
    table = groups.agg(
        added=("added", "min"), stratum=("stratum", "min"), size=("group", "size")
    ).reset_index()
    table["draw"] = [
        hashlib.sha256(f"{seed}:{group}".encode()).hexdigest() for group in table["group"]
    ]
    fold_of: dict[str, str] = {}
    dealt: dict[str, dict[str, int]] = {}
    for row in table.sort_values(["added", "draw"]).itertuples():
        counts = dealt.setdefault(str(row.stratum), dict.fromkeys(fractions, 0))
        total = sum(counts.values()) + int(row.size)  # type: ignore[arg-type]
        fold = max(fractions, key=lambda f: fractions[f] * total - counts[f])
        counts[fold] += int(row.size)  # type: ignore[arg-type]
        fold_of[str(row.group)] = fold
    return index["group"].map(fold_of).rename("fold")
