"""A frozen backbone with a linear head: fitted to folds, or cross-validated where photos are few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ismila.learning.crossval import Examples, HeldOut, out_of_fold, splits
from ismila.learning.dataset import AlbumRows, CachedRows
from ismila.learning.decision import Decision, ThresholdRule, decide
from ismila.learning.features import Bools, Features, Floats
from ismila.learning.heads import LinearHead, Penalty, fit_head
from ismila.learning.networks import Fitted, solve_head
from ismila.learning.outcome import Answers, Outcome, selection_of
from ismila.settings import FrozenSettings, RunSettings

CROSS_VALIDATED_BELOW = 30
"""With fewer photos of the subject a test fold would hold a handful: the figures come from cross-validation."""


@dataclass(frozen=True)
class LinearRun:
    """All that the two protocols need.

    Attributes:
        features: of the frozen backbone, filled.
    """

    rows: AlbumRows
    features: Features
    model: FrozenSettings
    settings: RunSettings

    @property
    def penalty(self) -> Penalty:
        return Penalty(self.model.C, self.model.shrink, self.rows.balanced)

    @property
    def rule(self) -> ThresholdRule:
        return threshold_rule(self.settings)

    def cached(self, rows: Bools, views: int = 1) -> CachedRows:
        return CachedRows(self.features, self.rows.table[rows], views)

    def outcome(self) -> Outcome:
        """Train by the protocol that the number of photos asks for."""
        return _cross_validated(self) if is_few(self.rows) else _by_folds(self)


def is_few(rows: AlbumRows) -> bool:
    """There are too few photos of the subject for a test fold; counted alike for every variant of an album."""
    return int(rows.is_subject.sum()) < CROSS_VALIDATED_BELOW


def threshold_rule(settings: RunSettings) -> ThresholdRule:
    """How this run's threshold is chosen."""
    model = settings.model
    return ThresholdRule(model.threshold_fpr, model.threshold_play, easy=not settings.data.pets)


def _by_folds(run: LinearRun) -> Outcome:
    """Fit to `train`, decide on answers out of fold within `train` and `val`; `test` is asked and nothing else."""
    rows = run.rows
    trained_on = rows.trains & rows.is_in("train")
    validated_on = rows.in_variant & rows.is_in("val")
    head, fitted = solve_head(
        run.cached(trained_on, run.model.views),
        run.cached(validated_on),
        run.penalty,
        run.settings.trainer,
    )
    examples = rows.examples(run.features, run.model.views)
    unreported = ~rows.is_in("test")
    inside = examples[unreported]
    out = out_of_fold(inside, run.penalty, run.settings.seed)
    decision = decide(out.for_decision(inside, rows.in_variant[unreported]), run.rule)
    logits = head(examples.x[0])
    used = trained_on
    if run.settings.refit:
        used = rows.trains
        head = fit_head(*examples.training(), run.penalty)
    answers = Answers.by_folds(rows, logits, decision, used)
    of_val = rows.is_in("val")
    selection = selection_of(rows, of_val, answers.probability[of_val])
    return Outcome(head_weights(head), decision, answers, selection, fitted, "fold")


def _cross_validated(run: LinearRun) -> Outcome:
    """Each row is answered by a head, and judged by a decision, that its group had no part in; the head that is kept
    is fitted to all rows that train.

    The decision of a fold is chosen on answers out of fold within the others (nested cross-validation: Varma and Simon
    2006, https://doi.org/10.1186/1471-2105-7-91): chosen on the reported answers themselves, it would flatter them.
    """
    rows = run.rows
    head, fitted = solve_head(
        run.cached(rows.trains, run.model.views),
        run.cached(np.zeros(len(rows), np.bool_)),
        run.penalty,
        run.settings.trainer,
    )
    examples = rows.examples(run.features, run.model.views)
    few = examples.in_few_coordinates()
    held_out = HeldOut(np.full(len(rows), np.nan, np.float32), np.full(len(rows), -1, np.int64))
    probability = np.zeros(len(rows), np.float32)
    threshold = np.zeros(len(rows), np.float32)
    selections = []
    for number, out in splits(few, run.settings.seed):
        decision, logits, selection = _fold(run, few, out)
        held_out.logits[out] = logits
        held_out.fold[out] = number
        probability[out] = decision.probabilities(logits)
        threshold[out] = decision.threshold
        selections.append(selection)
    decision = decide(held_out.for_decision(examples, rows.in_variant), run.rule)
    unseen = held_out.known
    probability[~unseen] = decision.probabilities(head(examples.x[0][~unseen]))
    threshold[~unseen] = decision.threshold
    held_out_by = np.array([f"crossval {n}" if n >= 0 else "" for n in held_out.fold], object)
    selection = (
        pd.concat(selections) if selections else selection_of(rows, unseen, probability[unseen])
    )
    return Outcome(
        head_weights(head),
        decision,
        Answers(probability, threshold, held_out_by, rows.trains),
        selection,
        _with_held_out(fitted, held_out, examples),
        "crossval",
    )


def _fold(run: LinearRun, few: Examples, out: Bools) -> tuple[Decision, Floats, pd.DataFrame]:
    """Without the rows `out [N]`: a decision, the logits of these rows `[n]`, and what the decision was chosen on."""
    n_features = run.features.encoder.shape[0]
    inside = few[~out]
    inner = out_of_fold(inside, run.penalty, run.settings.seed, n_features)
    decision = decide(inner.for_decision(inside, run.rows.in_variant[~out]), run.rule)
    head = fit_head(*inside.training(), run.penalty, n_features)
    asked = np.flatnonzero(~out)[inner.known]
    of = np.isin(np.arange(len(few)), asked)
    selection = selection_of(run.rows, of, decision.probabilities(inner.logits[inner.known]))
    return decision, head(few.x[0][out]), selection


def _with_held_out(fitted: Fitted, held_out: HeldOut, examples: Examples) -> Fitted:
    """The epoch's `val_loss` and `val_accuracy` from answers that were held out: here no fold is kept for them."""
    logits = held_out.logits[held_out.known].astype(np.float64)
    if not len(logits):
        return fitted
    is_subject = examples.is_subject[held_out.known]
    trains = examples.trains[held_out.known]
    loss = np.logaddexp(0, np.where(is_subject, -logits, logits))[trains]
    accuracy = ((logits > 0) == is_subject)[trains]
    figures = {"val_loss": float(loss.mean()), "val_accuracy": float(accuracy.mean())}
    return Fitted([{**epoch, **figures} for epoch in fitted.epochs], fitted.best_epoch)


def head_weights(head: LinearHead) -> dict[str, Floats]:
    """A linear head's weights by the names that torch knows them by in a whole network."""
    return {
        "head.0.weight": head.weight[None].astype(np.float32),
        "head.0.bias": np.array([head.bias], np.float32),
    }
