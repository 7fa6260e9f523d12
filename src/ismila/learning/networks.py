"""Loss, metrics, optimizer; one shared step for training and validation."""

from __future__ import annotations

import copy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAccuracy

from ismila.learning.backbones import Network


def augment(images: Tensor) -> Tensor:
    """Random crops (60 to 100 % of the area), mirror images and light, each photo its own.

    Args:
        images: `[N, H, W, 3]` uint8.

    Returns:
        The same shape and type.
    """
    n = len(images)
    scale = torch.empty(n).uniform_(0.6, 1.0).sqrt()
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    shift = (torch.rand(n, 2) * 2 - 1) * (1 - scale)[:, None]
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale * mirror, scale, shift
    x = images.permute(0, 3, 1, 2).float() / 255
    grid = nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    brightness, contrast, colour = (torch.empty(3, n, 1, 1, 1).uniform_(0.7, 1.3)).unbind(0)
    x = x * brightness
    x = (x - x.mean((1, 2, 3), keepdim=True)) * contrast + x.mean((1, 2, 3), keepdim=True)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * colour + grey
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class Recogniser(pl.LightningModule):
    """Trains a network's parameters that require a gradient.

    Args:
        positive_weight: how much a photo of the subject counts in the loss, a negative counts 1.
        augmented: training batches are images to be augmented.
        C: inverse strength of the L2 penalty as in scikit-learn. When given, what is trained is one linear layer and
            each epoch is ten steps of L-BFGS on the whole batch: logistic regression, whose optimum does not
            depend on the seed. None: AdamW.
    """

    def __init__(
        self,
        network: Network,
        positive_weight: float,
        lr: float,
        weight_decay: float,
        epochs: int,
        augmented: bool = False,
        C: float | None = None,  # noqa: N803
    ) -> None:
        super().__init__()
        self.C, self.automatic_optimization = C, C is None
        self.network, self.lr, self.weight_decay, self.epochs = network, lr, weight_decay, epochs
        self.augmented = augmented
        self.register_buffer("positive_weight", torch.tensor(positive_weight), persistent=False)
        self.accuracy, self.val_accuracy = BinaryAccuracy(), BinaryAccuracy()

    def _step(self, batch: tuple[Tensor, Tensor], fold: str) -> Tensor:
        x, target = batch
        logits = self.network(x)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, target, pos_weight=self.positive_weight
        )  # type: ignore[arg-type]
        prefix = "" if fold == "train" else f"{fold}_"
        accuracy = self.accuracy if fold == "train" else self.val_accuracy
        accuracy(torch.sigmoid(logits), target.int())
        named: dict[str, Any] = {f"{prefix}loss": loss, f"{prefix}accuracy": accuracy}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(target), sync_dist=True)
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        if self.augmented:
            batch = (augment(batch[0].cpu()).to(batch[0].device), batch[1])
        if self.C is not None:
            optimizer: Any = self.optimizers()
            optimizer.step(lambda: self._penalised_loss(batch, optimizer))
        return self._step(batch, "train")  # after L-BFGS: the figures of where it arrived

    def _penalised_loss(self, batch: tuple[Tensor, Tensor], optimizer: Any) -> Tensor:
        x, target = batch
        assert self.C is not None and isinstance(self.positive_weight, Tensor)
        weight = torch.where(target == 1, self.positive_weight, torch.ones_like(target))
        loss = nn.functional.binary_cross_entropy_with_logits(
            self.network(x), target, weight, reduction="sum"
        )
        squares = sum(
            (p.square().sum() for p in self.network.head.parameters() if p.ndim > 1),
            torch.zeros(()),
        )
        loss = loss / weight.sum() + squares / (2 * self.C * len(target))
        optimizer.zero_grad()
        self.manual_backward(loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return self._step(batch, "val")

    def configure_optimizers(self) -> Any:
        trained = [p for p in self.parameters() if p.requires_grad]
        if self.C is not None:
            return torch.optim.LBFGS(trained, max_iter=10, line_search_fn="strong_wolfe")
        optimizer = torch.optim.AdamW(trained, self.lr, weight_decay=self.weight_decay)
        return [optimizer], [
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(self.epochs, 1))
        ]


class BestEpoch(pl.Callback):
    """Keeps the weights of the epoch with the lowest validation loss and puts them back at the end.

    In memory, since Lightning's checkpoints are pickles and the contract asks for none.
    """

    def __init__(self) -> None:
        self.epoch, self.val_loss = -1, float("inf")
        self._state: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        val_loss = float(trainer.callback_metrics.get("val_loss", float("inf")))
        if not trainer.sanity_checking and (val_loss < self.val_loss or not self._state):
            self.epoch, self.val_loss = trainer.current_epoch, val_loss
            self._state = copy.deepcopy(module.state_dict())

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._state:
            module.load_state_dict(self._state)
