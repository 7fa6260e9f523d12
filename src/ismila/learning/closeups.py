"""How much of a picture the subject fills, without a detector.

A linear probe (subject against the rest) on the frozen backbone's features is applied to each cell of the grid
that the features are the mean of: a class activation map (Zhou et al. 2016, https://arxiv.org/abs/1512.04150). The
mean of the map over a box is what the probe says of that box. `subject_share` is the area of such a box, averaged
over all boxes with the softmax of what the probe says of them: where one small box says "Mila" much louder than the
whole picture, she is far away. Each photo's map comes from a probe that did not see the photo's group.

docs/closeups.md says how well this agrees with a person, and what else was tried.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.learning.features import Floats, OnnxMobileNet, Progress, encode_missing, open_store
from ismila.photos.images import ImageSpec, PhotoError, read_image

PROBE = ImageSpec()
MAP = ImageSpec(320)
"""The map is drawn on a finer grid (10 x 10) than the probe was trained on (7 x 7)."""
PROBE_FOLDS = 5
MAX_NEGATIVES = 2000
STRENGTH = 0.01
"""scikit-learn's C of the probe."""


def subject_shares(rows: pd.DataFrame, root: Path, derived: Path, progress: Progress | None = None) -> pd.Series[float]:
    """`subject_share` in [0, 1] for the subject's photos, NaN for all others and for photos that can't be read.

    Args:
        rows: the usable index.
    """
    encoder, fine = OnnxMobileNet(PROBE), OnnxMobileNet(MAP)
    subject, negatives = rows[rows["label"] == "subject"], rows[rows["label"] != "subject"]
    if len(negatives) > MAX_NEGATIVES:
        negatives = negatives.sort_values("sha256").head(MAX_NEGATIVES)
    chosen = pd.concat([subject, negatives])
    store = open_store(derived, PROBE, encoder)
    photos = [(str(row.sha256), root / str(row.path)) for row in chosen.itertuples()]
    problems = encode_missing(photos, 1, PROBE, encoder, store, progress)
    chosen = chosen[~chosen["sha256"].isin(list(problems))]
    is_subject = (chosen["label"] == "subject").to_numpy()
    probes = _probes(store.rows([(sha, 0) for sha in chosen["sha256"]]), is_subject, chosen["group"].to_numpy())
    shares = pd.Series(np.nan, index=rows.index, dtype=float)
    for at, row in zip(np.flatnonzero(is_subject), chosen[is_subject].itertuples(), strict=True):
        try:
            grid = fine.grid(read_image(root / str(row.path), MAP)[None])[0]
        except PhotoError:  # it was there a moment ago; training names it
            continue
        shares.at[row.Index] = box_share(np.tensordot(probes[at], grid, 1))
    return shares


def _probes(features: Floats, is_subject: npt.NDArray[np.bool_], groups: npt.NDArray[np.object_]) -> Floats:
    """`[N, D]`: for each photo the weights of a probe trained without the photo's group."""
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


def box_share(heat: Floats) -> float:
    """Mean area of a box, weighted with the softmax of the map's mean in it.

    Args:
        heat: `[h, w]`, logits without their intercept. Boxes of a single row or column of cells, or more than twice
            as long as wide, do not count.

    Returns:
        Share of the map's area, in [0, 1].
    """
    h, w = heat.shape
    sums = np.zeros((h + 1, w + 1))
    sums[1:, 1:] = heat.cumsum(0).cumsum(1)
    means, areas = [], []
    for box_h in range(2, h + 1):
        for box_w in range(max(2, box_h // 2), min(w, 2 * box_h) + 1):
            box = sums[box_h:, box_w:] - sums[:-box_h, box_w:] - sums[box_h:, :-box_w] + sums[:-box_h, :-box_w]
            means.append(box.ravel() / (box_h * box_w))
            areas.append(np.full(box.size, box_h * box_w / (h * w)))
    logits = np.concatenate(means)
    weights = np.exp(logits - logits.max())
    return float((weights * np.concatenate(areas)).sum() / weights.sum())
