"""Figures from predictions: what a run may be chosen by, what is reported of it, and how sure
either is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd

Z_95 = 1.959963984540054
SMALLEST = 1e-7
"""float32 holds no probability nearer to 1: without a bound a sure mistake would cost infinitely
much."""
FAR_BELOW = 0.1
"""`subject_share` below which `test_recall_far` counts a photo."""
SURE = 0.9
"""From this probability on a photo looks certain to a person; below 1 - SURE it certainly looks
like none."""


def reported(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows that figures are reported on: held out by the test fold, or by a fold of the
    cross-validation.

    Neither their own answer's network nor its threshold was fitted or chosen on any of them.
    """
    held_out_by = predictions["held_out_by"].astype(str)
    held_out = (held_out_by == "test") | held_out_by.str.startswith("crossval")
    return predictions[held_out].reset_index(drop=True)


def taken_for_subject(
    predictions: pd.DataFrame, threshold: float | None = None
) -> npt.NDArray[np.bool_]:
    """Which rows are taken for the subject, `[N]`: by each row's own threshold, or by one for
    all."""
    at = predictions["threshold"] if threshold is None else threshold
    return np.asarray(predictions["probability"] >= at, dtype=np.bool_)


def is_subject(predictions: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows show the subject, `[N]`."""
    return np.asarray(predictions["label"] == "subject", dtype=np.bool_)


def selection_figures(selection: pd.DataFrame) -> dict[str, float]:
    """`select_loss`, the one figure that orders runs, and `select_auroc` beside it; empty when a
    side is missing.

    `select_loss` is the mean negative log likelihood of the calibrated probabilities. It is a
    proper scoring rule (Gneiting and Raftery 2007, https://doi.org/10.1198/016214506000001437):
    lowest for the probabilities that are true, and still falling when the ranking is already
    perfect, where the AUROC stands still at 1. And a sure mistake costs more than many unsure ones:
    that is what an animal detector makes on animals. Therefore the sides weigh alike however many
    photos they have: the subject 1/2, things 1/4, other animals 1/4, or 1/2 for the one of these
    that is there.

    Args:
        selection: `label, kind, probability` of answers a run may be chosen by, other animals
            included: the validation fold or the inner folds of a cross-validation, never rows that
            are reported.
    """
    sides = [selection.loc[selection["label"] == name] for name in ("things", "pets")]
    others = [side for side in sides if len(side)]
    subject = selection.loc[selection["label"] == "subject"]
    if not len(subject) or not others:
        return {}
    loss = (_surprise(subject) + float(np.mean([_surprise(side) for side in others]))) / 2
    return {"select_loss": loss, "select_auroc": auroc(selection)}


def _surprise(rows: pd.DataFrame) -> float:
    """Mean negative log likelihood of what the rows really show."""
    p = rows["probability"].to_numpy(np.float64)
    of_truth = np.where(is_subject(rows), p, 1 - p)
    return float(-np.log(of_truth.clip(SMALLEST, 1 - SMALLEST)).mean())


def reported_figures(predictions: pd.DataFrame) -> dict[str, float]:
    """`test_*` on the rows that `reported` gives, each judged by its own threshold.

    A figure without a photo to measure it on is left out. `test_balanced_accuracy` is the mean of
    recall and true-negative rate: with five negatives a positive, plain accuracy flatters "not
    Mila" to everything. `test_ece` is the expected calibration error.
    """
    test = reported(predictions)
    if not len(test):
        return {}
    truth = is_subject(test)
    taken = taken_for_subject(test)
    figures = {
        "test_auroc": auroc(test),
        "test_accuracy": float((taken == truth).mean()),
        "test_ece": calibration(test)[0],
    }
    if truth.any() and not truth.all():
        recall = float(taken[truth].mean())
        specificity = float((~taken[~truth]).mean())
        figures["test_balanced_accuracy"] = (recall + specificity) / 2
    figures |= {f"test_{name}": hits / n for name, (hits, n) in rates(test).items() if n}
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def stranger_figures(strangers: pd.DataFrame | None) -> dict[str, float]:
    """`test_fpr_strangers` and the same of each kind; empty without strangers.

    Args:
        strangers: `kind, probability, threshold` of strangers that nothing was trained or chosen on.
    """
    counts = stranger_rates(strangers)
    return {f"test_{name}": hits / n for name, (hits, n) in counts.items() if n}


def stranger_rates(strangers: pd.DataFrame | None) -> dict[str, tuple[int, int]]:
    """(taken for the subject, n): `fpr_strangers` of all animals, `fpr_strangers_<kind>` of each kind; empty without
    strangers."""
    if strangers is None:
        return {}
    taken = taken_for_subject(strangers)
    animals = (strangers["kind"] != "things").to_numpy()
    rates = {"fpr_strangers": (int(taken[animals].sum()), int(animals.sum()))}
    for kind in sorted(set(strangers["kind"])):
        of_kind = (strangers["kind"] == kind).to_numpy()
        rates[f"fpr_strangers_{kind}"] = (int(taken[of_kind].sum()), int(of_kind.sum()))
    return rates


def rates(predictions: pd.DataFrame, threshold: float | None = None) -> dict[str, tuple[int, int]]:
    """(photos taken for the subject, n) for recall, recall_closeups, recall_far, fpr_things, fpr_pets and each
    fpr_<kind>.

    Args:
        predictions: columns `label, kind, closeup, probability, threshold`.
        threshold: one for all rows instead of their own.
    """
    taken = taken_for_subject(predictions, threshold)
    return {
        name: (int(taken[part].sum()), int(part.sum()))
        for name, part in parts_of(predictions).items()
    }


def parts_of(predictions: pd.DataFrame) -> dict[str, pd.Series[bool]]:
    """Which rows recall, recall_closeups, recall_far, fpr_things, fpr_pets and each fpr_<kind> are measured
    on."""
    label = predictions["label"]
    kind = predictions["kind"]
    closeup = predictions["closeup"].astype("boolean").fillna(False).astype(bool)
    parts = {
        "recall": label == "subject",
        "recall_closeups": (label == "subject") & closeup,
        "fpr_things": label == "things",
        "fpr_pets": label == "pets",
    }
    if "subject_share" in predictions:  # older runs did not know it
        parts["recall_far"] = (label == "subject") & (predictions["subject_share"] < FAR_BELOW)
    kinds = sorted(set(kind[label == "pets"]))
    return parts | {f"fpr_{_of_kind(name)}": (label == "pets") & (kind == name) for name in kinds}


def _of_kind(kind: str) -> str:
    """`fpr_strangers` and `fpr_strangers_cat` are of the package's strangers, not of a folder `pets/strangers`."""
    return f"pets/{kind}" if kind.startswith("strangers") else kind


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % Wilson interval of a rate; (0, 1) when n is 0; `successes` may be a mean.
    https://doi.org/10.2307/2276774"""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    square = Z_95 * Z_95
    middle = p + square / (2 * n)
    spread = Z_95 * sqrt(p * (1 - p) / n + square / (4 * n * n))
    low = (middle - spread) / (1 + square / n)
    high = (middle + spread) / (1 + square / n)
    return max(0.0, low), min(1.0, high)


def auroc(predictions: pd.DataFrame) -> float:
    """Area under the ROC curve of subject against the rest; NaN when one of them is missing."""
    from sklearn.metrics import roc_auc_score

    truth = is_subject(predictions)
    if not truth.any() or truth.all():
        return float("nan")
    return float(roc_auc_score(truth, predictions["probability"]))


def auroc_interval(tables: Sequence[pd.DataFrame], resamples: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean AUROC of one table or several (seeds) over *groups*.

    Near-duplicates are drawn together, as they would come, and a group that several tables hold is
    drawn for all of them. NaN when a side is missing.
    """
    both_sided = [table for table in tables if table["label"].eq("subject").nunique() == 2]
    groups = sorted(set().union(*(table["group"] for table in both_sided)))
    if not groups:
        return float("nan"), float("nan")
    number = {group: at for at, group in enumerate(groups)}
    rng = np.random.default_rng(0)
    means = []
    for start in range(0, resamples, 100):  # a hundred at a time: memory grows with draws x photos
        draws = min(100, resamples - start)
        drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), draws)
        aurocs = [
            _weighted_aurocs(table, drawn[:, table["group"].map(number).to_numpy()])
            for table in both_sided
        ]
        means.append(np.mean(aurocs, axis=0))
    values = np.concatenate(means)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _weighted_aurocs(
    table: pd.DataFrame, weights: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """AUROC with each row counted `weights` times, `[draws, rows]` -> `[draws]`; NaN where a side
    is missing."""
    p = table["probability"].to_numpy()
    order = np.argsort(p, kind="stable")
    truth = is_subject(table)[order]
    # rows of one probability count as one step
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
    positive = np.add.reduceat(weights[:, order] * truth, starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~truth, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        aurocs = (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))
    return np.asarray(aurocs, dtype=np.float64)


def calibration(predictions: pd.DataFrame, bins: int = 10) -> tuple[float, pd.DataFrame]:
    """Expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599) and its bins.

    Returns:
        The error in 0..1 (NaN without a photo), and `probability` (mean), `rate` (of the subject),
        `n` of each bin that is not empty.
    """
    p = predictions["probability"].to_numpy(np.float64)
    number = np.minimum((p * bins).astype(int), bins - 1)
    truth = is_subject(predictions).astype(float)
    rows = pd.DataFrame({"bin": number, "probability": p, "rate": truth})
    table = rows.groupby("bin").agg(
        probability=("probability", "mean"), rate=("rate", "mean"), n=("rate", "size")
    )
    if not len(rows):
        return float("nan"), table.reset_index(drop=True)
    distance = (table["probability"] - table["rate"]).abs()
    return float((distance * table["n"]).sum() / len(rows)), table.reset_index(drop=True)


@dataclass(frozen=True)
class Reliability:
    """How far the probabilities of one kind of photos can be believed.

    Attributes:
        probability: their mean.
        taken: share that is taken for the subject.
        sure: share of at least `SURE`.
        sure_and_wrong: the same for what is not the subject; for the subject the share of
            at most 1 - `SURE`.
        error: expected calibration error among these photos and the subject's, both sides weighing
            alike; None for the subject itself, and where it has no photo.
    """

    label: str
    kind: str
    n: int
    probability: float
    taken: float
    sure: float
    sure_and_wrong: float
    error: float | None


def reliability(predictions: pd.DataFrame) -> list[Reliability]:
    """For the subject, for things, and for each kind of other animals, as far as there is a photo
    of it.

    A calibration error over all photos hides the kind that it is made on: a network that never saw
    a goat may be right about things and sure that each goat is the subject.
    """
    subject = predictions[is_subject(predictions)]
    by_kind = {"subject": subject, "things": predictions[predictions["label"] == "things"]}
    animals = predictions[predictions["label"] == "pets"]
    by_kind |= {str(kind): rows for kind, rows in animals.groupby("kind")}
    return [_reliability(kind, rows, subject) for kind, rows in by_kind.items() if len(rows)]


def _reliability(kind: str, rows: pd.DataFrame, subject: pd.DataFrame) -> Reliability:
    p = rows["probability"].to_numpy(np.float64)
    sure = float((p >= SURE).mean())
    label = str(rows["label"].iloc[0])
    return Reliability(
        label=label,
        kind=kind,
        n=len(rows),
        probability=float(p.mean()),
        taken=float(taken_for_subject(rows).mean()),
        sure=sure,
        sure_and_wrong=float((p <= 1 - SURE).mean()) if label == "subject" else sure,
        error=None if label == "subject" else balanced_error(subject, rows),
    )


def balanced_error(subject: pd.DataFrame, others: pd.DataFrame, bins: int = 10) -> float | None:
    """Expected calibration error of two sides that weigh alike however many photos they have; None
    without one."""
    if not len(subject) or not len(others):
        return None
    table = pd.concat([subject, others])
    p = table["probability"].to_numpy(np.float64)
    truth = np.r_[np.ones(len(subject)), np.zeros(len(others))]
    weight = np.where(truth == 1, 0.5 / len(subject), 0.5 / len(others))
    number = np.minimum((p * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(number, weight * (p - truth), bins)).sum())
