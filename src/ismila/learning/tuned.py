"""Networks that Lightning trains: the CNN, a hidden layer on a frozen backbone, and fine-tuning of its last blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ismila.learning.calibration import DecisionExamples, decide
from ismila.learning.dataset import AlbumRows, CachedRows, batches
from ismila.learning.features import Features
from ismila.learning.heads import Penalty
from ismila.learning.held_out import FoldNetwork
from ismila.learning.inputs import views_of
from ismila.learning.linear import head_weights, threshold_rule
from ismila.learning.networks import Optimisation, TrainingLog, fit_network, solve_head
from ismila.learning.outcome import AlbumPredictions, FinalModel, Outcome, selection_of
from ismila.settings import LARGEST_FINETUNING_BATCH, FrozenSettings, RunSettings
from ismila.vision.architecture import Architecture
from ismila.vision.backbones import Network, load_weights, make_network, weights_of
from ismila.vision.graphs import Bools, Floats

PREDICTION_BATCH = 64


@dataclass(frozen=True)
class TunedRun:
    """All that training by Lightning needs.

    Attributes:
        inputs: what the head or, for the CNN, the whole network reads; then, for fine-tuning, the images that a
            backbone reads.
    """

    rows: AlbumRows
    inputs: list[Features]
    architecture: Architecture
    settings: RunSettings

    @property
    def features(self) -> Features:
        return self.inputs[0]

    def outcome(self) -> Outcome:
        """Fit to `train`, choose epoch and decision on `val`; `test` is evaluated and nothing else.

        `val` is small: a part of it for the epoch, one for the decision and one for choosing between runs would be a
        handful of photos each. So the run is chosen by photos that its own choices were made on, which is recorded.
        """
        rows = self.rows
        trained_on = rows.trains & rows.is_in("train")
        validated_on = rows.in_variant & rows.is_in("val")
        network = make_network(self.architecture, self.features.spec)
        fitted = self._fit(network, trained_on, validated_on)
        if len(self.inputs) > 1:
            fitted = _one_after_the_other(fitted, self._finetune(network, trained_on, validated_on))
        logits = _predict(network, CachedRows(self.inputs[-1], rows.table))
        of_val = rows.is_in("val")
        validation = DecisionExamples(logits[of_val], rows.label[of_val], rows.in_variant[of_val])
        decision = decide(validation, threshold_rule(self.settings))
        test = FoldNetwork(weights_of(network), decision)
        used = trained_on
        if self.settings.refit:
            used = rows.trains
            network = make_network(self.architecture, self.features.spec)
            self._fit(network, used, np.zeros(len(rows), np.bool_), fitted.best_epoch + 1)
        answers = AlbumPredictions.by_folds(rows, logits, decision, used)
        selection = selection_of(rows, of_val, answers.probability[of_val])
        kept = FinalModel(weights_of(network), decision)
        return Outcome(
            kept,
            {"test": test},
            answers,
            selection,
            selection_is_clean=False,
            fitted=fitted,
            protocol="fold",
        )

    def _fit(
        self, network: Network, train: Bools, val: Bools, epochs: int | None = None
    ) -> TrainingLog:
        table = self.rows.table
        rows = CachedRows(self.features, table[train], views_of(self.settings.model))
        validation = CachedRows(self.features, table[val])
        model = self.settings.model
        trainer = self.settings.trainer
        if isinstance(model, FrozenSettings) and not model.hidden:
            penalty = Penalty(model.C, model.shrink, self.rows.balanced)
            head, fitted = solve_head(rows.in_memory(), validation.in_memory(), penalty, trainer)
            load_weights(network, head_weights(head))
            return fitted
        optimisation = self._optimisation(rows, epochs or model.epochs)
        return fit_network(network, (rows, validation), optimisation, trainer, self.settings.seed)

    def _optimisation(self, rows: CachedRows, epochs: int) -> Optimisation:
        model = self.settings.model
        return Optimisation(
            lr=model.lr,
            weight_decay=model.weight_decay,
            epochs=epochs,
            patience=model.patience,
            batch_size=model.batch_size,
            positive_weight=rows.positive_weight if self.rows.balanced else 1.0,
            augmented=not self.architecture.is_frozen,
        )

    def _finetune(self, network: Network, train: Bools, val: Bools) -> TrainingLog:
        """Train the last blocks too, at a lower rate, on augmented images."""
        model = self.settings.model
        if not isinstance(model, FrozenSettings):
            raise TypeError("only a frozen backbone is fine-tuned")
        blocks = network.backbone.get_submodule("features")
        for block in list(blocks.children())[-model.finetune_blocks :]:
            block.requires_grad_(True)
        # BatchNorm keeps the statistics it was pretrained with: those of a small batch would move with every draw
        network.backbone.eval()
        table = self.rows.table
        rows = CachedRows(self.inputs[-1], table[train])
        optimisation = replace(
            self._optimisation(rows, model.finetune_epochs),
            lr=model.finetune_lr,
            batch_size=min(model.batch_size, LARGEST_FINETUNING_BATCH),
            augmented=True,
        )
        both = (rows, CachedRows(self.inputs[-1], table[val]))
        fitted = fit_network(network, both, optimisation, self.settings.trainer, self.settings.seed)
        network.requires_grad_(False)
        return fitted


def _one_after_the_other(first: TrainingLog, second: TrainingLog) -> TrainingLog:
    return TrainingLog(first.epochs + second.epochs, len(first.epochs) + second.best_epoch)


@torch.inference_mode()
def _predict(network: Network, rows: CachedRows) -> Floats:
    """Logits `[N]`."""
    network.eval()
    parts = [network(x).cpu().numpy() for x, _ in batches(rows, PREDICTION_BATCH)]
    return np.concatenate(parts)
