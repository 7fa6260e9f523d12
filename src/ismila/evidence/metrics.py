"""Figures from predictions."""

from __future__ import annotations

from math import sqrt

import numpy as np
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


def rates(predictions: pd.DataFrame, threshold: float) -> dict[str, tuple[int, int]]:
    """(photos taken for the subject, n) for recall, recall_closeups, fpr_things, fpr_pets and each fpr_<kind>.

    Args:
        predictions: columns `label, kind, closeup, probability`, one fold.
    """
    taken = predictions["probability"] >= threshold
    label, kind = predictions["label"], predictions["kind"]
    parts = {
        "recall": label == "subject",
        "recall_closeups": (label == "subject") & predictions["closeup"].astype("boolean").fillna(False).astype(bool),
        "fpr_things": label == "things",
        "fpr_pets": label == "pets",
    }
    parts |= {f"fpr_{k}": (label == "pets") & (kind == k) for k in sorted(set(kind[label == "pets"]))}
    return {name: (int(taken[part].sum()), int(part.sum())) for name, part in parts.items()}


def held_out_figures(predictions: pd.DataFrame, threshold: float) -> dict[str, float]:
    """`select_auroc` on the whole validation fold and `test_*` on the held-out photos: the common test fold.

    A figure without a photo to measure it on is left out. `test_balanced_accuracy` is the mean of recall and
    true-negative rate: with five negatives a positive, plain accuracy flatters "not Mila" to everything.
    """
    test = predictions[predictions["held_out"]]
    is_subject = (test["label"] == "subject").to_numpy()
    taken = (test["probability"] >= threshold).to_numpy()
    figures = {"select_auroc": auroc(predictions[predictions["fold"] == "val"]), "test_auroc": auroc(test)}
    if len(test):
        figures["test_accuracy"] = float((taken == is_subject).mean())
    if is_subject.any() and not is_subject.all():
        recall, specificity = taken[is_subject].mean(), 1 - taken[~is_subject].mean()
        figures["test_balanced_accuracy"] = float((recall + specificity) / 2)
    figures |= {f"test_{name}": hits / n for name, (hits, n) in rates(test, threshold).items() if n}
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def auroc_interval(predictions: pd.DataFrame, resamples: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the AUROC over *groups*: near-duplicates are drawn together, as they would come.

    NaN when a side is missing.
    """
    rng, found = np.random.default_rng(0), []
    parts = [part for _, part in predictions.groupby("group")[["label", "probability"]]]
    for _ in range(resamples):
        drawn = pd.concat([parts[at] for at in rng.integers(0, len(parts), len(parts))]) if parts else predictions
        if np.isfinite(value := auroc(drawn)):
            found.append(value)
    if not found:
        return float("nan"), float("nan")
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def calibration(predictions: pd.DataFrame, bins: int = 10) -> tuple[float, pd.DataFrame]:
    """Expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599) and its bins.

    Returns:
        The error in 0..1, and `probability` (mean), `rate` (of the subject), `n` of each bin that is not empty.
    """
    p, is_subject = predictions["probability"].to_numpy(), (predictions["label"] == "subject").to_numpy()
    number = np.minimum((p * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": number, "probability": p, "rate": is_subject.astype(float)})
    told = table.groupby("bin").agg(probability=("probability", "mean"), rate=("rate", "mean"), n=("rate", "size"))
    error = float(((told["probability"] - told["rate"]).abs() * told["n"]).sum() / max(len(p), 1))
    return error, told.reset_index(drop=True)
