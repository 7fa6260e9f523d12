"""How much of a picture the subject fills, without a detector.

A linear probe (subject against things) on the frozen backbone's features is applied to each cell of the grid that
the features are the mean of, less what it says of the mean negative: a class activation map (Zhou et al. 2016,
https://arxiv.org/abs/1512.04150). `subject_share` is the share of cells above a tenth of the map's peak. Each photo's
map comes from a probe that did not see the photo's group. Other animals stay out of the probe: against them it would
look for what tells Mila from a dog, which is a part of her, not the whole.

docs/closeups.md says how well this agrees with a person, and what else was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.learning.features import (
    Floats,
    OnnxBackbone,
    Progress,
    decode_ahead,
    encode_missing,
    open_store,
    photos_of,
)
from ismila.photos.images import ImageSpec, PhotoError

PROBE = ImageSpec()
MAP = ImageSpec(448)
"""The map is drawn on a finer grid (14 x 14) than the probe was trained on (7 x 7)."""
MAP_BATCH = 4
PROBE_FOLDS = 5
MAX_NEGATIVES = 2000
STRENGTH = 0.001
"""scikit-learn's C of the probe."""
PEAK_FRACTION = 0.1
T = TypeVar("T")


def subject_shares(
    rows: pd.DataFrame, root: Path, derived: Path, progress: Progress | None = None
) -> pd.Series[float]:
    """`subject_share` in [0, 1] for the subject's photos, NaN for all others and for photos that can't be read.

    Args:
        rows: the usable index.
    """
    encoder, fine = OnnxBackbone(PROBE), OnnxBackbone(MAP)
    subject, negatives = rows[rows["label"] == "subject"], rows[rows["label"] == "things"]
    if len(negatives) > MAX_NEGATIVES:
        negatives = negatives.sort_values("sha256").head(MAX_NEGATIVES)
    chosen = pd.concat([subject, negatives])
    store = open_store(derived, PROBE, encoder)
    problems = encode_missing(photos_of(chosen, root), 1, PROBE, encoder, store, progress)
    chosen = chosen[~chosen["sha256"].isin(list(problems))]
    is_subject = (chosen["label"] == "subject").to_numpy()
    features = store.rows([(sha, 0) for sha in chosen["sha256"]])
    probes = _probes(features, is_subject, chosen["group"].to_numpy())
    background = probes @ features[~is_subject].mean(0)
    shares = pd.Series(np.nan, index=rows.index, dtype=float)
    at = dict(zip(chosen.loc[is_subject, "sha256"], np.flatnonzero(is_subject), strict=True))
    for batch in batched(decode_ahead(photos_of(chosen[is_subject], root), MAP), MAP_BATCH):
        read = [(at[sha], image) for sha, image in batch if not isinstance(image, PhotoError)]
        if read:
            for (i, _), grid in zip(
                read, fine.grid(np.stack([image for _, image in read])), strict=True
            ):
                shares.loc[chosen.index[i]] = hot_share(
                    np.tensordot(probes[i], grid, 1) - background[i]
                )
    return shares


def batched(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of n items, the last one shorter (itertools has it from Python 3.12 on)."""
    items = iter(items)
    while batch := list(islice(items, n)):
        yield batch


def _probes(
    features: Floats, is_subject: npt.NDArray[np.bool_], groups: npt.NDArray[np.object_]
) -> Floats:
    """`[N, D]`: for each photo the weights of a probe trained without the photo's group."""
    # scipy looks into a loaded torch, and trips over one that another thread is half-way through importing
    import torch  # noqa: F401
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    def weights_of(at: npt.NDArray[np.int64]) -> Floats:
        probe = LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
        return np.asarray(probe.fit(features[at], is_subject[at]).coef_[0], dtype=np.float32)

    folds = min(PROBE_FOLDS, len(np.unique(groups[is_subject])))
    if folds < 2:
        return np.tile(weights_of(np.arange(len(features))), (len(features), 1))
    weights = np.empty_like(features)
    for train, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(
        features, is_subject, groups
    ):
        weights[held_out] = weights_of(train)
    return weights


def hot_share(heat: Floats) -> float:
    """Share of a map's cells above `PEAK_FRACTION` of its peak; 0 when nothing in it is above 0."""
    peak = float(heat.max())
    return float((heat > PEAK_FRACTION * peak).mean()) if peak > 0 else 0.0
