"""How much of a picture the subject fills, without a detector.

A linear probe (subject against the rest) on the frozen backbone's features gives, applied to each cell of the
grid that the features are the mean of, a class activation map (Zhou et al. 2016,
https://arxiv.org/abs/1512.04150). `subject_share` is the share of cells above half of the map's peak. Each
photo's map comes from a probe that did not see the photo's group.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.learning.features import OnnxMobileNet, Progress, encode_missing, open_store
from ismila.photos.images import ImageSpec, read_image

SPEC = ImageSpec()
PROBE_FOLDS = 5
MAX_NEGATIVES = 2000
PEAK_FRACTION = 0.5


def subject_shares(rows: pd.DataFrame, root: Path, derived: Path, progress: Progress | None = None) -> pd.Series[float]:
    """`subject_share` in [0, 1] for the subject's photos, NaN for all others.

    Args:
        rows: the usable index.
    """
    encoder = OnnxMobileNet(SPEC)
    negatives = rows[rows["label"] != "subject"]
    if len(negatives) > MAX_NEGATIVES:
        negatives = negatives.sort_values("sha256").head(MAX_NEGATIVES)
    subject = rows[rows["label"] == "subject"]
    chosen = pd.concat([subject, negatives])
    store = open_store(derived, SPEC, encoder)
    photos = [(str(row.sha256), root / str(row.path)) for row in chosen.itertuples()]
    problems = encode_missing(photos, 1, SPEC, encoder, store, progress)
    chosen = chosen[~chosen["sha256"].isin(list(problems))]
    features = store.rows([(sha, 0) for sha in chosen["sha256"]])
    weights = _probe_weights(features, (chosen["label"] == "subject").to_numpy(), chosen["group"].to_numpy())
    shares = pd.Series(np.nan, index=rows.index, dtype=float)
    for at, (index, row) in enumerate(chosen.iterrows()):
        if row["label"] == "subject":
            grid = encoder.grid(read_image(root / row["path"], SPEC)[None])[0]
            shares.at[index] = _share(np.tensordot(weights[at], grid, 1))
    return shares


def _probe_weights(
    features: npt.NDArray[np.float32], is_subject: npt.NDArray[np.bool_], groups: npt.NDArray[np.object_]
) -> npt.NDArray[np.float32]:
    """`[N, D]`: for each photo the weights of a probe trained without the photo's group."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(PROBE_FOLDS, len(np.unique(groups[is_subject])))
    weights = np.zeros_like(features)
    if folds < 2:
        weights[:] = RidgeClassifier(100.0, class_weight="balanced").fit(features, is_subject).coef_[0]
        return weights
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for train, held_out in splitter.split(features, is_subject, groups):
        probe = RidgeClassifier(100.0, class_weight="balanced").fit(features[train], is_subject[train])
        weights[held_out] = probe.coef_[0]
    return weights


def _share(heat: npt.NDArray[np.float32]) -> float:
    peak = float(heat.max())
    return float((heat > PEAK_FRACTION * peak).mean()) if peak > 0 else 0.0
