"""Lightning modules and their training: the CNN, a hidden head, fine-tuning; and the solved linear head."""

from __future__ import annotations

import copy
import logging
import signal
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torchmetrics.classification import BinaryAccuracy

from ismila.learning.dataset import CachedRows, ExampleRows, LabelledRows, batches
from ismila.learning.heads import LinearHead, Penalty, fit_head
from ismila.settings import SettingError, TrainerSettings
from ismila.vision.backbones import Network

VALIDATION_BATCH = 256
"""Batch size of validation."""

Batch = tuple[Tensor, Tensor]
"""Images `[N, H, W, 3]` uint8 or rows `[N, D]`, and targets `[N]`."""


@dataclass(frozen=True)
class Optimisation:
    """How AdamW trains, with a cosine schedule over the epochs.

    Attributes:
        positive_weight: how much a photo of the subject counts in the loss; a negative counts 1.
        patience: epochs without a better `val_loss` after which training stops.
        augmented: training batches are images to be augmented.
    """

    lr: float
    weight_decay: float
    epochs: int
    patience: int
    batch_size: int
    positive_weight: float
    augmented: bool


@dataclass(frozen=True)
class TrainingLog:
    """What training says of itself.

    Attributes:
        epochs: for each epoch `loss, accuracy`, `val_loss, val_accuracy` where there was a validation fold, and
            `timestamp_ms`.
        best_epoch: the one whose weights are kept: the lowest `val_loss`, or the last where there was none.
    """

    epochs: list[dict[str, float]]
    best_epoch: int


def augment(images: Tensor) -> Tensor:
    """Random crops (60 to 100 % of the area), mirror images and light, each photo its own.

    Args:
        images: `[N, H, W, 3]` uint8.

    Returns:
        The same shape and type.
    """
    n = len(images)
    # drawn by the CPU's generator and moved to where the images are: a GPU trains on the same views
    scale = torch.empty(n).uniform_(0.6, 1.0).sqrt()
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    shift = (torch.rand(n, 2) * 2 - 1) * (1 - scale)[:, None]
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = scale * mirror
    theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    theta = theta.to(images.device)
    x = images.permute(0, 3, 1, 2).float() / 255
    grid = nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    light = torch.empty(3, n, 1, 1, 1).uniform_(0.7, 1.3).to(images.device)
    brightness, contrast, colour = light.unbind(0)
    x = x * brightness
    x = (x - x.mean((1, 2, 3), keepdim=True)) * contrast + x.mean((1, 2, 3), keepdim=True)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * colour + grey
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class BinaryModule(pl.LightningModule):
    """What every module shares: one step that says loss and accuracy of a batch."""

    def __init__(self, network: nn.Module, positive_weight: float) -> None:
        super().__init__()
        self.network = network
        self.positive_weight: Tensor
        self.register_buffer("positive_weight", torch.tensor(positive_weight), persistent=False)
        self.accuracy = BinaryAccuracy()
        self.val_accuracy = BinaryAccuracy()

    def _step(self, batch: Batch, fold: str) -> Tensor:
        x, target = batch
        logits = self.network(x)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, target, pos_weight=self.positive_weight
        )
        prefix = "" if fold == "train" else f"{fold}_"
        accuracy = self.accuracy if fold == "train" else self.val_accuracy
        accuracy(torch.sigmoid(logits), target.int())
        named: dict[str, Any] = {f"{prefix}loss": loss, f"{prefix}accuracy": accuracy}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(target), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> Tensor:
        return self._step(batch, "val")


class FineTuneModule(BinaryModule):
    """Trains by AdamW those of a network's parameters that require a gradient."""

    def __init__(self, network: Network, optimisation: Optimisation) -> None:
        super().__init__(network, optimisation.positive_weight)
        self.optimisation = optimisation

    def training_step(self, batch: Batch, _: int) -> Tensor:
        if not self.optimisation.augmented:
            return self._step(batch, "train")
        images, target = batch
        return self._step((augment(images), target), "train")

    def configure_optimizers(self) -> Any:
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, self.optimisation.lr, weight_decay=self.optimisation.weight_decay
        )
        epochs = max(self.optimisation.epochs, 1)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)]


class SolvedHead(BinaryModule):
    """A frozen backbone's linear head: the first batch, which is all of them, is solved by `fit_head`.

    Lightning says loss and accuracy of where the solver arrived; it decides nothing. Every process of a distributed run
    solves the same rows and arrives at the same head.
    """

    def __init__(self, width: int, positive_weight: float, penalty: Penalty) -> None:
        linear = nn.Linear(width, 1)
        super().__init__(nn.Sequential(linear, nn.Flatten(0)), positive_weight)
        self.linear = linear
        self.penalty = penalty
        self.head = LinearHead(np.zeros(width), 0.0)
        self.automatic_optimization = False

    def training_step(self, batch: Batch, _: int) -> Tensor:
        x, target = batch
        self.head = fit_head(x.cpu().numpy(), target.cpu().numpy() == 1, self.penalty)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(self.head.weight))
            self.linear.bias.fill_(self.head.bias)
        return self._step(batch, "train")

    def configure_optimizers(self) -> None:
        """Nothing steps."""


class BestEpoch(pl.Callback):
    """Keeps the weights of the epoch with the lowest validation loss and puts them back at the end.

    In memory, since Lightning's checkpoints are pickles and the contract asks for none.
    """

    def __init__(self) -> None:
        self.epoch = -1
        self.val_loss = float("inf")
        self._state: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        val_loss = float(trainer.callback_metrics.get("val_loss", float("inf")))
        if not trainer.sanity_checking and (val_loss < self.val_loss or not self._state):
            self.epoch = trainer.current_epoch
            self.val_loss = val_loss
            self._state = copy.deepcopy(module.state_dict())

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._state:
            module.load_state_dict(self._state)


class _History(pl.Callback):
    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({**figures, "timestamp_ms": float(int(time.time() * 1000))})


def solve_head(
    train: ExampleRows, val: ExampleRows, penalty: Penalty, trainer: TrainerSettings
) -> tuple[LinearHead, TrainingLog]:
    """The optimal linear head on the rows of `train`, and its figures in one epoch."""
    positive_weight = train.positive_weight if penalty.balanced else 1.0
    module = SolvedHead(train.x.shape[1], positive_weight, penalty)
    fitted = _fit(module, _FoldRows(train, val, len(train), seed=None), 1, trainer)
    return module.head, fitted


def fit_network(
    network: Network,
    rows: tuple[CachedRows, CachedRows],
    optimisation: Optimisation,
    trainer: TrainerSettings,
    seed: int,
) -> TrainingLog:
    """Train a network's parameters that require a gradient on `rows` (training, validation), in place."""
    module = FineTuneModule(network, optimisation)
    stop = EarlyStopping("val_loss", patience=optimisation.patience)
    loaded = _FoldRows(*rows, optimisation.batch_size, seed)
    return _fit(module, loaded, optimisation.epochs, trainer, [stop] if len(rows[1]) else [])


@dataclass(frozen=True)
class _FoldRows:
    train: LabelledRows
    val: LabelledRows
    batch_size: int
    seed: int | None


def _fit(
    module: pl.LightningModule,
    rows: _FoldRows,
    epochs: int,
    settings: TrainerSettings,
    callbacks: Iterable[pl.Callback] = (),
) -> TrainingLog:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    history = _History()
    best = BestEpoch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = _trainer(settings, epochs, [best, history, *callbacks])
        with _ctrl_c():
            trainer.fit(
                module,
                batches(rows.train, rows.batch_size, rows.seed, trainer),
                batches(rows.val, VALIDATION_BATCH) if len(rows.val) else None,
            )
    last = len(history.epochs) - 1
    return TrainingLog(history.epochs, best.epoch if len(rows.val) else last)


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C stays a KeyboardInterrupt: Lightning makes an exit with code 1 of it, and has the next
    one ignored."""
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from error


def start_ranks(settings: TrainerSettings, seed: int) -> None:
    """Start the other processes of a distributed training before there is something to fit, so that
    they read photos, too; each comes here, and goes on when all have.

    Lightning finds them started when it would start them itself. It ends all when one dies.

    Args:
        seed: that Lightning begins with in each of them, before it fits something.
    """
    pl.seed_everything(seed, verbose=False)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    devices = int(settings.devices) if settings.devices.isdigit() else settings.devices
    with _refusing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Fabric(accelerator=settings.accelerator, devices=devices, strategy="ddp").launch()


@contextmanager
def _refusing() -> Iterator[None]:
    """Say in one line what Lightning refuses.

    Raises:
        SettingError: instead of what it raises.
    """
    try:
        yield
    except (MisconfigurationException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(f"trainer: Lightning refuses ({reason}); take trainer=cpu") from error


def _trainer(settings: TrainerSettings, epochs: int, callbacks: list[pl.Callback]) -> pl.Trainer:
    devices = int(settings.devices) if settings.devices.isdigit() else settings.devices
    precision: Any = settings.precision
    with _refusing():
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=devices,
            strategy=settings.strategy,
            precision=precision,
            max_epochs=min(epochs, settings.max_epochs or epochs),
            limit_train_batches=settings.limit_train_batches,
            callbacks=callbacks,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # `batches` deals the rows to the processes itself
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
