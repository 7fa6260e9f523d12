"""A frozen backbone with a linear head: fitted to folds, or cross-validated where photos are few."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ismila.learning.calibration import ThresholdRule, calibrate, decide
from ismila.learning.crossval import Examples, HeldOut, out_of_fold, splits
from ismila.learning.dataset import AlbumRows, ExampleRows
from ismila.learning.features import Features
from ismila.learning.heads import (
    Coordinates,
    LinearHead,
    Penalty,
    Whitening,
    fit_head,
    whitening_of,
)
from ismila.learning.held_out import FoldNetwork
from ismila.learning.individuals import differences_of
from ismila.learning.networks import TrainingLog, solve_head
from ismila.learning.outcome import AlbumPredictions, FinalModel, Outcome, selection_of
from ismila.learning.strangers import Strangers, strangers_of
from ismila.settings import FrozenSettings, RunSettings, SettingError
from ismila.vision.decision import Decision, sigmoid
from ismila.vision.graphs import Bools, Floats

STRANGERS_FPR = 0.0005
"""At the threshold at most this share of the strangers that train passes, out of fold: one or two of them."""
STRANGERS_COST_RATIO = 20
"""A stranger of a thousand that passes weighs as much as two of a hundred of the subject's photos that do not."""
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

    @cached_property
    def strangers(self) -> Strangers | None:
        """What the backbone makes of animals that nobody here has; None where the package does not say."""
        return strangers_of(self.features.recipe)

    @cached_property
    def space(self) -> Whitening | None:
        """The units of the penalty, where strangers train: theirs, and how photos of one animal differ; the same for
        every head of the run."""
        if not self.settings.data.strangers:
            return None
        known = self._known
        within = differences_of(self.features.recipe)
        return whitening_of(
            known.x,
            np.zeros(len(known.x), np.bool_),
            self.model.shrink,
            within=within.in_units if within else None,
        )

    @cached_property
    def _known(self) -> Strangers:
        """The strangers that may be trained on."""
        if self.strangers is None:
            raise SettingError(
                f"data=strangers: the package has no strangers for model={self.model.name} like this; "
                "take model=reid or model=mobilenet as they are"
            )
        return self.strangers.half(held_out=False)

    @property
    def penalty(self) -> Penalty:
        shrink = None if self.space else self.model.shrink
        return Penalty(self.model.C, shrink, self.rows.balanced)

    @property
    def rule(self) -> ThresholdRule:
        return threshold_rule(self.settings)

    @cached_property
    def examples(self) -> Examples:
        """The album's rows."""
        return self._in_space(
            self.rows.examples(self.features, self.model.views, self.settings.low_resolution_copies)
        )

    @cached_property
    def _trained_strangers(self) -> Examples | None:
        if not self.space:
            return None
        known = self._in_space(self._known.examples(self.model.views))
        # the units are the spread of these very rows, around their mean
        leverage = np.square(known.x, dtype=np.float64).sum(1) / len(known)
        return replace(known, leverage=leverage.astype(np.float32))

    def _in_space(self, examples: Examples) -> Examples:
        if not self.space:
            return examples
        x, also = (self.space(rows).astype(np.float32) for rows in (examples.x, examples.also))
        return replace(examples, x=x, also=also)

    def with_strangers(self, examples: Examples) -> Examples:
        """And those that train, where the variant wants them; they come last."""
        return examples + self._trained_strangers if self._trained_strangers else examples

    def of(self, photos: Bools) -> Examples:
        """The album's rows of some photos `[N]`."""
        return self.examples[photos[self.examples.photo]]

    def answers(self, head: LinearHead) -> Floats:
        """`[N]`: a head's logit for each photo of the album."""
        return self.examples.by_photo(head(self.examples.x))

    def solved(self, train: Examples, val: Examples) -> tuple[LinearHead, TrainingLog]:
        """The head that `train` asks for, and its figures."""
        rows = ExampleRows(*train.training())
        return solve_head(rows, ExampleRows(*val.training()), self.penalty, self.settings.trainer)

    def outcome(self) -> Outcome:
        """Train by the protocol that the number of photos asks for."""
        return _cross_validated(self) if is_few(self.rows) else _by_folds(self)

    def plain(self, head: LinearHead) -> LinearHead:
        """The head on plain features with the logits of a head in the run's units."""
        return self.space.unfold(head) if self.space else head

    def out_of_fold(self, examples: Examples) -> tuple[Examples, HeldOut]:
        """Some of the album's rows with the strangers, and an answer for each without its group."""
        inside = self.with_strangers(examples)
        return inside, out_of_fold(inside, self.penalty, self.settings.seed)

    def kept(self, head: LinearHead, decision: Decision) -> FinalModel:
        """What a run keeps of its head: one on plain features, and what that says of held-out strangers."""
        plain = self.plain(head)
        if self.strangers is None:
            return FinalModel(head_weights(plain), decision, None)
        unseen = self.strangers.half(held_out=True)
        examples = unseen.examples(1)
        first = examples.photos()
        table = pd.DataFrame(
            {
                "kind": unseen.kind[first],
                "probability": decision.probabilities(examples.by_photo(plain(unseen.x))),
                "threshold": decision.threshold,
            }
        )
        return FinalModel(head_weights(plain), decision, table)


def is_few(rows: AlbumRows) -> bool:
    """There are too few photos of the subject for a test fold; counted alike for every variant of an album."""
    return int(rows.is_subject.sum()) < CROSS_VALIDATED_BELOW


def threshold_rule(settings: RunSettings) -> ThresholdRule:
    """How this run's threshold is chosen; with strangers not by settings, which `settings_of` refuses there."""
    model = settings.model
    if settings.data.strangers:
        # a low rate can be measured among thousands: the threshold lies where that says, wherever that is
        return ThresholdRule(STRANGERS_FPR, float("inf"), cost_ratio=STRANGERS_COST_RATIO)
    return ThresholdRule(model.threshold_fpr, model.threshold_play, easy=not settings.data.pets)


def _by_folds(run: LinearRun) -> Outcome:
    """Fit to `train`, decide on answers out of fold within `train` and `val`; `test` is evaluated and nothing else.

    The run is chosen by `val`, calibrated on answers out of fold within `train` alone: calibrated on its own photos, it
    would look better than it is.
    """
    rows = run.rows
    trained_on = rows.trains & rows.is_in("train")
    of_val = rows.is_in("val")
    validation = run.of(of_val)
    head, fitted = run.solved(
        run.with_strangers(run.of(trained_on)), replace(validation, trains=validation.in_variant)
    )
    inside, out = run.out_of_fold(run.of(~rows.is_in("test")))
    decision = decide(out.for_decision(inside), run.rule)
    logits = run.answers(head)
    within_train, out_of_train = run.out_of_fold(run.of(rows.is_in("train")))
    without_val = calibrate(out_of_train.for_decision(within_train))
    selection = selection_of(rows, of_val, sigmoid(without_val(logits[of_val])))
    test = FoldNetwork(head_weights(run.plain(head)), decision)
    used = trained_on
    if run.settings.refit:
        used = rows.trains
        head = fit_head(*run.with_strangers(run.examples).training(), run.penalty)
    return Outcome(
        run.kept(head, decision),
        {"test": test},
        AlbumPredictions.by_folds(rows, logits, decision, used),
        selection,
        selection_is_clean=True,
        fitted=fitted,
        protocol="fold",
    )


def _cross_validated(run: LinearRun) -> Outcome:
    """Each row is answered by a head, and judged by a decision, that its group had no part in; the head that is kept
    is fitted to all rows that train.

    The decision of a fold is chosen on answers out of fold within the others (nested cross-validation: Varma and Simon
    2006, https://doi.org/10.1186/1471-2105-7-91): chosen on the reported answers themselves, it would flatter them.
    Every photo is reported, so that none is left for choosing between runs: `selection` is of the same photos.
    """
    rows = run.rows
    nobody = np.zeros(len(rows), np.bool_)
    head, fitted = run.solved(run.with_strangers(run.of(rows.trains)), run.of(nobody))
    examples = run.with_strangers(run.examples)
    coordinates = examples.few_coordinates()
    few = examples.on(coordinates)
    n = len(few.photos())
    held_out = HeldOut(np.full(n, np.nan, np.float32), np.full(n, -1, np.int64))
    probability = np.zeros(n, np.float32)
    threshold = np.zeros(n, np.float32)
    networks: dict[str, FoldNetwork] = {}
    selections = []
    for number, out in splits(few, run.settings.seed):
        fold = _fold(run, few, out)
        photos = np.unique(few.photo[out])
        held_out.logits[photos] = fold.logits
        held_out.fold[photos] = number
        probability[photos] = fold.decision.probabilities(fold.logits)
        threshold[photos] = fold.decision.threshold
        networks[f"crossval {number}"] = fold.network(run, coordinates)
        selections.append(fold.selection)
    decision = decide(held_out.for_decision(few), run.rule)
    # the album's photos come first
    held_out = held_out[: len(rows)]
    probability = probability[: len(rows)]
    threshold = threshold[: len(rows)]
    unseen = held_out.known
    probability[~unseen] = decision.probabilities(run.answers(head)[~unseen])
    threshold[~unseen] = decision.threshold
    held_out_by = np.array([f"crossval {n}" if n >= 0 else "" for n in held_out.fold], object)
    selection = (
        pd.concat(selections) if selections else selection_of(rows, unseen, probability[unseen])
    )
    return Outcome(
        run.kept(head, decision),
        networks,
        AlbumPredictions(probability, threshold, held_out_by, rows.trains),
        selection,
        selection_is_clean=False,
        fitted=_with_held_out(fitted, held_out, rows),
        protocol="crossval",
    )


@dataclass(frozen=True)
class _Fold:
    """One fold of a cross-validation.

    Attributes:
        head: on few coordinates, fitted without the fold's rows.
        decision: chosen without them, too.
        logits: of the fold's photos.
        selection: what the decision was chosen on.
    """

    head: LinearHead
    decision: Decision
    logits: Floats
    selection: pd.DataFrame

    def network(self, run: LinearRun, coordinates: Coordinates) -> FoldNetwork:
        """What is kept of it, to look at its photos again."""
        return FoldNetwork(head_weights(run.plain(coordinates.unfold(self.head))), self.decision)


def _fold(run: LinearRun, few: Examples, out: Bools) -> _Fold:
    """Fit and decide without the rows `out [M]`, and answer for their photos."""
    n_features = run.features.encoder.shape[0]
    inside = few[~out]
    inner = out_of_fold(inside, run.penalty, run.settings.seed, n_features)
    decision = decide(inner.for_decision(inside), run.rule)
    head = fit_head(*inside.training(), run.penalty, n_features)
    evaluated = inside.photo[inside.photos()]
    chosen = inner.known & (evaluated < len(run.rows))  # a run is chosen by photos of its album
    of = np.zeros(len(run.rows), np.bool_)
    of[evaluated[chosen]] = True
    selection = selection_of(run.rows, of, decision.probabilities(inner.logits[chosen]))
    return _Fold(head, decision, few.answered_without(out, head), selection)


def _with_held_out(fitted: TrainingLog, held_out: HeldOut, rows: AlbumRows) -> TrainingLog:
    """The epoch's `val_loss` and `val_accuracy` from answers that were held out: here no fold is kept for them."""
    logits = held_out.logits[held_out.known].astype(np.float64)
    if not len(logits):
        return fitted
    is_subject = rows.is_subject[held_out.known]
    trains = rows.trains[held_out.known]
    loss = np.logaddexp(0, np.where(is_subject, -logits, logits))[trains]
    accuracy = ((logits > 0) == is_subject)[trains]
    figures = {"val_loss": float(loss.mean()), "val_accuracy": float(accuracy.mean())}
    return TrainingLog([{**epoch, **figures} for epoch in fitted.epochs], fitted.best_epoch)


def head_weights(head: LinearHead) -> dict[str, Floats]:
    """A linear head's weights by the names that torch knows them by in a whole network."""
    return {
        "head.0.weight": head.weight[None].astype(np.float32),
        "head.0.bias": np.array([head.bias], np.float32),
    }
