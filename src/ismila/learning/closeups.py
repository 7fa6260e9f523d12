"""How much of a picture the subject fills, without a detector.

A linear probe (subject against things) on the frozen backbone's features is applied to each cell of the grid that
the features are the mean of, less what it says of the mean negative: a class activation map (Zhou et al. 2016,
https://arxiv.org/abs/1512.04150). `subject_share` is the share of cells above a tenth of the map's peak. Each photo's
map comes from a probe that did not see the photo's group. Other animals stay out of the probe: against them it would
look for what tells Mila from a dog, which is a part of her, not the whole.

docs/closeups.md says how well this agrees with a person, and what else was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
import pandas as pd

from ismila.learning.crossval import Objects, group_folds
from ismila.learning.features import (
    Bools,
    Features,
    Floats,
    OnnxBackbone,
    Photo,
    Progress,
    decode_ahead,
    read_checked,
)
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec, PhotoError

PROBE = ImageSpec()
MAP = ImageSpec(448)
"""The map is drawn on a finer grid (14 x 14) than the probe was trained on (7 x 7)."""
MAP_BATCH = 4
PROBE_SEED = 0
MAX_NEGATIVES = 2000
STRENGTH = 0.001
"""scikit-learn's C of the probe."""
PEAK_FRACTION = 0.1
T = TypeVar("T")


def subject_shares(
    album: Album, index: pd.DataFrame, progress: Progress | None = None
) -> pd.Series[float]:
    """`subject_share` in [0, 1] for the subject's photos, NaN for all others and for photos that can't be read.

    NaN for all where there is no photo of things to tell the subject from.

    Args:
        index: the usable index.
    """
    rows = _probed(index)
    features = Features(album.derived, PROBE, OnnxBackbone(PROBE))
    problems = features.fill(album.photos(rows), 1, progress)
    rows = rows[~rows["sha256"].isin(list(problems))]
    shares = pd.Series(np.nan, index=index.index, dtype=float)
    is_subject = (rows["label"] == "subject").to_numpy()
    if not is_subject.any() or is_subject.all():
        return shares
    x = features.rows(rows["sha256"])
    probes = _probes(x, rows)
    background = probes @ x[~is_subject].mean(0)
    at = dict(zip(rows.loc[is_subject, "sha256"], np.flatnonzero(is_subject), strict=True))
    for shas, grids in _grids(album.photos(rows[is_subject])):
        for sha, grid in zip(shas, grids, strict=True):
            i = at[sha]
            shares.loc[rows.index[i]] = hot_share(np.tensordot(probes[i], grid, 1) - background[i])
    return shares


def _probed(index: pd.DataFrame) -> pd.DataFrame:
    """The subject's photos and at most `MAX_NEGATIVES` of things, in the order of their content."""
    ordered = index.sort_values("sha256")
    things = ordered[ordered["label"] == "things"].head(MAX_NEGATIVES)
    return pd.concat([ordered[ordered["label"] == "subject"], things])


def _grids(photos: Sequence[Photo]) -> Iterator[tuple[list[str], Floats]]:
    """(sha256 of each, `[n, D, 14, 14]`) of some photos at a time; those that can't be read are left out."""
    encoder = OnnxBackbone(MAP)
    for batch in batched(decode_ahead(photos, MAP, read_checked), MAP_BATCH):
        read = [(sha, image) for sha, image in batch if not isinstance(image, PhotoError)]
        if read:
            images = np.stack([image for _, image in read])
            yield [sha for sha, _ in read], encoder.grid(images)


def batched(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of n items, the last one shorter (itertools has it from Python 3.12 on)."""
    items = iter(items)
    while batch := list(islice(items, n)):
        yield batch


def _probes(x: Floats, rows: pd.DataFrame) -> Floats:
    """`[N, D]`: for each photo the weights of a probe trained without the photo's group.

    Photos without which no probe can be trained (all of the subject's in one burst) get the one of all photos.
    """
    # scipy looks into a loaded torch, and trips over one that another thread is half-way through importing
    import torch  # noqa: F401
    from sklearn.linear_model import LogisticRegression

    def weights_of(chosen: Bools) -> Floats:
        probe = LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
        return np.asarray(probe.fit(x[chosen], is_subject[chosen]).coef_[0], dtype=np.float32)

    everything = np.ones(len(x), np.bool_)
    stratum: Objects = rows["label"].to_numpy(dtype=object)
    is_subject = stratum == "subject"
    fold = group_folds(stratum, rows["group"].to_numpy(dtype=object), everything, PROBE_SEED)
    weights = np.tile(weights_of(everything), (len(x), 1))
    for number in range(fold.max(initial=-1) + 1):
        seen = fold != number
        if is_subject[seen].any() and not is_subject[seen].all():
            weights[fold == number] = weights_of(seen)
    return weights


def hot_share(heat: Floats) -> float:
    """Share of a map's cells above `PEAK_FRACTION` of its peak; 0 when nothing in it is above 0."""
    peak = float(heat.max())
    return float((heat > PEAK_FRACTION * peak).mean()) if peak > 0 else 0.0
