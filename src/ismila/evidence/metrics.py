"""Figures from predictions: what a run may be chosen by, what is reported of it, and how sure
either is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.evidence.intervals import Rate, rate_of
from ismila.learning.calibration import prior_weights
from ismila.vision.graphs import Doubles, Objects

BINS = 10
"""Of probability, for the calibration error."""
SMALLEST = 1e-7
"""float32 holds no probability nearer to 1: without a bound a sure mistake would cost infinitely
much."""
FAR_BELOW = 0.1
"""`subject_share` below which `test_recall_far` counts a photo; where no animal was found it has none, and counts."""
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

    `select_loss` is the mean negative log likelihood of the calibrated probabilities, under the prior
    that they are calibrated for (`learning.calibration.prior_weights`). It is a proper scoring rule
    (Gneiting and Raftery 2007, https://doi.org/10.1198/016214506000001437): lowest for the
    probabilities that are true, and still falling when the ranking is already perfect, where the
    AUROC stands still at 1. And a sure mistake costs more than many unsure ones: that is what an
    animal detector makes on animals.

    Args:
        selection: `label, kind, probability` of answers a run may be chosen by, other animals
            included: the validation fold or the inner folds of a cross-validation.
    """
    weight = prior_weights(_label(selection))
    if not weight.any():
        return {}
    p = selection["probability"].to_numpy(np.float64)
    of_truth = np.where(is_subject(selection), p, 1 - p).clip(SMALLEST, 1 - SMALLEST)
    return {
        "select_loss": float(-(weight @ np.log(of_truth))),
        "select_auroc": auroc(selection),
    }


def _label(predictions: pd.DataFrame) -> Objects:
    label: Objects = predictions["label"].to_numpy(dtype=object)
    return label


def reported_figures(predictions: pd.DataFrame) -> dict[str, float]:
    """`test_*` on the rows that `reported` gives, each judged by its own threshold.

    A figure without a photo to measure it on is left out. `test_balanced_accuracy` is the mean of
    recall and true-negative rate: with five negatives a positive, plain accuracy flatters "not
    Mila" to everything. `test_ece` is the expected calibration error under the stated prior, and
    `test_ece_by_chance` what perfectly calibrated probabilities would show on as few photos.
    """
    test = reported(predictions)
    if not len(test):
        return {}
    truth = is_subject(test)
    taken = taken_for_subject(test)
    figures = {
        "test_auroc": auroc(test),
        "test_accuracy": float((taken == truth).mean()),
        "test_ece": calibration_error(test),
        "test_ece_by_chance": error_by_chance(test),
    }
    if truth.any() and not truth.all():
        recall = float(taken[truth].mean())
        specificity = float((~taken[~truth]).mean())
        figures["test_balanced_accuracy"] = (recall + specificity) / 2
    figures |= {f"test_{name}": rate.value for name, rate in rates(test).items() if rate.n}
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def stranger_figures(strangers: pd.DataFrame | None) -> dict[str, float]:
    """`test_fpr_strangers` and the same of each kind; empty without strangers.

    Args:
        strangers: `kind, probability, threshold` of strangers that nothing was trained or chosen on.
    """
    found = stranger_rates(strangers)
    return {f"test_{name}": rate.value for name, rate in found.items() if rate.n}


def stranger_rates(strangers: pd.DataFrame | None) -> dict[str, Rate]:
    """Taken for the subject: `fpr_strangers` of all animals, `fpr_strangers_<kind>` of each kind; empty without
    strangers.

    Each is a photo of another animal, and a group of its own.
    """
    if strangers is None:
        return {}
    kind = strangers["kind"]
    parts = {"fpr_strangers": kind != "things"}
    parts |= {f"fpr_strangers_{name}": kind == name for name in sorted(set(kind))}
    return _rates_of_parts(strangers, taken_for_subject(strangers), parts)


def rates(predictions: pd.DataFrame, threshold: float | None = None) -> dict[str, Rate]:
    """Photos taken for the subject: recall, recall_closeups, recall_far, fpr_things, fpr_pets and each fpr_<kind>.

    Args:
        predictions: columns `label, kind, closeup, probability, threshold`, and `group`, without which each photo is
            a group of its own.
        threshold: one for all rows instead of their own.
    """
    return _rates_of_parts(
        predictions, taken_for_subject(predictions, threshold), parts_of(predictions)
    )


def _rates_of_parts(
    table: pd.DataFrame, taken: npt.NDArray[np.bool_], parts: Mapping[str, pd.Series[bool]]
) -> dict[str, Rate]:
    group = groups_of(table)
    masks = {name: part.to_numpy(dtype=np.bool_) for name, part in parts.items()}
    return {name: rate_of(taken[mask], group[mask]) for name, mask in masks.items()}


def groups_of(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The group of each row, `[N]`; in a table without groups each is one of its own."""
    names: list[object] = list(table["group"]) if "group" in table else list(range(len(table)))
    return np.array(names, dtype=object)


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
        # In the farthest photos no animal is found, and so no share: left out, they would flatter. Found and near, or
        # a close-up by labels.csv, is all that is not far.
        is_near = closeup | (predictions["subject_share"] >= FAR_BELOW)
        parts["recall_far"] = (label == "subject") & ~is_near
    kinds = sorted(set(kind[label == "pets"]))
    return parts | {f"fpr_{_of_kind(name)}": (label == "pets") & (kind == name) for name in kinds}


def _of_kind(kind: str) -> str:
    """`fpr_strangers` and `fpr_strangers_cat` are of the package's strangers, not of a folder `pets/strangers`."""
    return f"pets/{kind}" if kind.startswith("strangers") else kind


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


def calibration_error(predictions: pd.DataFrame) -> float:
    """Expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599) under the stated prior.

    How far the probabilities of a bin are from how often its photos show the subject, on average over ten bins, 0..1.
    NaN when a side is missing.
    """
    weight = prior_weights(_label(predictions))
    if not weight.any():
        return float("nan")
    p = predictions["probability"].to_numpy(np.float64)
    off = _off_by_bin(p, is_subject(predictions), weight)
    return float(np.abs(off).sum())


def error_by_chance(predictions: pd.DataFrame, draws: int = 200) -> float:
    """The calibration error that the same probabilities would show on average if each were exactly true.

    A dozen photos of the subject scatter around any probability, and every bin counts its distance as positive: an
    error is read against this, not against 0 (Bröcker and Smith 2007, https://doi.org/10.1175/WAF993.1). As many photos
    of the subject and of others are drawn as there are. NaN when a side is missing.
    """
    weight = prior_weights(_label(predictions))
    if not weight.any():
        return float("nan")
    p = predictions["probability"].to_numpy(np.float64)
    n_subject = int(is_subject(predictions).sum())
    n_others = len(p) - n_subject
    # of photos whose probabilities are true, the subject's have p as often as p says so, the others as often as 1 - p
    of_subject = weight * p / (weight @ p)
    of_others = weight * (1 - p) / (weight @ (1 - p))
    truth = np.arange(len(p)) < n_subject
    drawn_weight = np.where(truth, 0.5 / n_subject, 0.5 / n_others)
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(draws):
        drawn = [rng.choice(p, n_subject, p=of_subject), rng.choice(p, n_others, p=of_others)]
        off = _off_by_bin(np.concatenate(drawn), truth, drawn_weight)
        errors.append(np.abs(off).sum())
    return float(np.mean(errors))


def _off_by_bin(p: Doubles, truth: npt.NDArray[np.bool_], weight: Doubles) -> Doubles:
    """`[BINS]`: how much probability a bin has more than subject, as a share of all."""
    return np.asarray(np.bincount(_bin_of(p), weight * (p - truth), BINS), np.float64)


def _bin_of(p: Doubles) -> npt.NDArray[np.int64]:
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def calibration_bins(predictions: pd.DataFrame) -> pd.DataFrame:
    """`probability` (mean), `rate` (of the subject) and `n` of each bin that is not empty, under the prior.

    No rows when a side is missing.
    """
    p = predictions["probability"].to_numpy(np.float64)
    weight = prior_weights(_label(predictions))
    number = _bin_of(p)
    share = np.bincount(number, weight, BINS)
    table = pd.DataFrame(
        {
            "probability": np.bincount(number, weight * p, BINS),
            "rate": np.bincount(number, weight * is_subject(predictions), BINS),
            "n": np.bincount(number, minlength=BINS),
        }
    )
    table[["probability", "rate"]] = table[["probability", "rate"]].div(share, axis=0)
    return table[share > 0].reset_index(drop=True)


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
        error=None if label == "subject" else error_among(subject, rows),
    )


def error_among(subject: pd.DataFrame, others: pd.DataFrame) -> float | None:
    """Calibration error among the subject's photos and some others, both sides weighing alike; None without one."""
    error = calibration_error(pd.concat([subject, others]))
    return error if np.isfinite(error) else None
