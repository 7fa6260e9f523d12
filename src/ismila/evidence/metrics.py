"""Figures from predictions."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % Wilson interval of a rate; (0, 1) when n is 0; `successes` may be a mean. https://doi.org/10.2307/2276774"""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.959963984540054, successes / n
    middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
    return max(0.0, low), min(1.0, high)


def auroc(predictions: pd.DataFrame) -> float:
    """Area under the ROC curve of subject against the rest; NaN when one of them is missing."""
    from sklearn.metrics import roc_auc_score

    is_subject = predictions["label"] == "subject"
    if is_subject.nunique() < 2:
        return float("nan")
    return float(roc_auc_score(is_subject, predictions["probability"]))


def log_loss(predictions: pd.DataFrame) -> float:
    """Mean negative log likelihood, both sides counting the same; NaN when one of them is missing."""
    from sklearn.metrics import log_loss as weighted

    is_subject = (predictions["label"] == "subject").to_numpy()
    if is_subject.all() or not is_subject.any():
        return float("nan")
    weights = np.where(is_subject, 1 / is_subject.sum(), 1 / (~is_subject).sum())
    return float(
        weighted(is_subject, predictions["probability"].to_numpy(np.float64), sample_weight=weights)
    )


def rates(predictions: pd.DataFrame, threshold: float) -> dict[str, tuple[int, int]]:
    """(photos taken for the subject, n) for recall, recall_closeups, fpr_things, fpr_pets and each fpr_<kind>.

    Args:
        predictions: columns `label, kind, closeup, probability`, one fold.
    """
    taken = predictions["probability"] >= threshold
    return {
        name: (int(taken[part].sum()), int(part.sum()))
        for name, part in parts_of(predictions).items()
    }


def parts_of(predictions: pd.DataFrame) -> dict[str, pd.Series[bool]]:
    """Which rows recall, recall_closeups, fpr_things, fpr_pets and each fpr_<kind> are measured on."""
    label, kind = predictions["label"], predictions["kind"]
    parts = {
        "recall": label == "subject",
        "recall_closeups": (label == "subject")
        & predictions["closeup"].astype("boolean").fillna(False).astype(bool),
        "fpr_things": label == "things",
        "fpr_pets": label == "pets",
    }
    return parts | {
        f"fpr_{k}": (label == "pets") & (kind == k) for k in sorted(set(kind[label == "pets"]))
    }


def held_out_figures(predictions: pd.DataFrame, threshold: float) -> dict[str, float]:
    """`select_*` on the whole validation fold and `test_*` on the held-out photos: the common test fold.

    A figure without a photo to measure it on is left out. `test_balanced_accuracy` is the mean of recall and
    true-negative rate: with five negatives a positive, plain accuracy flatters "not Mila" to everything. `test_ece` is
    the expected calibration error.
    """
    test = predictions[predictions["held_out"]]
    is_subject = (test["label"] == "subject").to_numpy()
    taken = (test["probability"] >= threshold).to_numpy()
    val = predictions[predictions["fold"] == "val"]
    figures = {"select_auroc": auroc(val), "select_loss": log_loss(val), "test_auroc": auroc(test)}
    if len(test):
        figures["test_accuracy"] = float((taken == is_subject).mean())
        figures["test_ece"] = calibration(test)[0]
    if is_subject.any() and not is_subject.all():
        recall, specificity = taken[is_subject].mean(), 1 - taken[~is_subject].mean()
        figures["test_balanced_accuracy"] = float((recall + specificity) / 2)
    figures |= {f"test_{name}": hits / n for name, (hits, n) in rates(test, threshold).items() if n}
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def auroc_interval(tables: Sequence[pd.DataFrame], resamples: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean AUROC of one table or several (seeds) over *groups*.

    Near-duplicates are drawn together, as they would come, and a group that several tables hold is drawn for all of
    them. NaN when a side is missing.
    """
    tables = [table for table in tables if table["label"].eq("subject").nunique() == 2]
    groups = sorted(set().union(*(table["group"] for table in tables)))
    if not groups:
        return float("nan"), float("nan")
    number = {group: at for at, group in enumerate(groups)}
    rng, found = np.random.default_rng(0), []
    for start in range(0, resamples, 100):
        draws = min(100, resamples - start)
        drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), draws)
        found.append(
            np.mean(
                [_weighted_aurocs(t, drawn[:, t["group"].map(number).to_numpy()]) for t in tables],
                axis=0,
            )
        )
    values = np.concatenate(found)
    low, high = (
        np.quantile(values[np.isfinite(values)], [0.025, 0.975])
        if np.isfinite(values).any()
        else (np.nan,) * 2
    )
    return float(low), float(high)


def _weighted_aurocs(
    table: pd.DataFrame, weights: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """AUROC with each row counted `weights` times, `[draws, rows]` -> `[draws]`; NaN where a side is missing."""
    p = table["probability"].to_numpy()
    order = np.argsort(p, kind="stable")
    is_subject = (table["label"] == "subject").to_numpy()[order]
    starts = np.flatnonzero(
        np.r_[True, np.diff(p[order]) > 0]
    )  # rows of one probability count as one step
    positive = np.add.reduceat(weights[:, order] * is_subject, starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~is_subject, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (positive * below).sum(1) / (positive.sum(1) * negative.sum(1)), dtype=np.float64
        )


def calibration(predictions: pd.DataFrame, bins: int = 10) -> tuple[float, pd.DataFrame]:
    """Expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599) and its bins.

    Returns:
        The error in 0..1, and `probability` (mean), `rate` (of the subject), `n` of each bin that is not empty.
    """
    p, is_subject = (
        predictions["probability"].to_numpy(np.float64),
        (predictions["label"] == "subject").to_numpy(),
    )
    number = np.minimum((p * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": number, "probability": p, "rate": is_subject.astype(float)})
    told = table.groupby("bin").agg(
        probability=("probability", "mean"), rate=("rate", "mean"), n=("rate", "size")
    )
    error = float(((told["probability"] - told["rate"]).abs() * told["n"]).sum() / max(len(p), 1))
    return error, told.reset_index(drop=True)
