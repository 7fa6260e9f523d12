"""Train one network on the rows of a variant: the head on cached features, or the whole on small images."""

from __future__ import annotations

import copy
import logging
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn

from ismila.learning.classifier import Classifier, choose_threshold, make_network
from ismila.learning.data import CLOSEUPS_ABOVE, CachedRows, Variant, batches, is_closeup, targets_of
from ismila.learning.features import (
    Identity,
    OnnxMobileNet,
    Progress,
    Store,
    bundled_digest,
    encode_missing,
    open_store,
)
from ismila.learning.module import BestEpoch, Network, Recogniser
from ismila.photos import UserError
from ismila.photos.images import ImageSpec

OUT_OF_FOLD = 5


@dataclass
class Trained:
    """What training gives: the classifier, predictions of every fold, and the epochs' figures."""

    classifier: Classifier
    predictions: pd.DataFrame
    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0


class _History(pl.Callback):
    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        named = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({**named, "timestamp_ms": float(int(time.time() * 1000))})


def train(
    folded: pd.DataFrame,
    root: Path,
    derived: Path,
    subject: str,
    variant: Variant,
    model: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
    progress: Progress | None = None,
) -> Trained:
    """Train `model` on `variant`'s rows of train and val, choose the threshold, and ask about every row.

    Args:
        folded: the usable index with a `fold` column.
        model: one of conf/model as plain values.
        trainer: arguments of Lightning's Trainer.
    """
    pl.seed_everything(seed, verbose=False)
    spec = ImageSpec(int(model["size_px"]))
    backbone: dict[str, Any] = {key: model[key] for key in ("name", "weights", "hidden", "dropout") if key in model}
    frozen = model["name"] == "mobilenet"
    if frozen and model["weights"] == "bundled":
        backbone["digest"] = bundled_digest()
    network = make_network(backbone, spec)
    views = int(model.get("views", 1))
    encoder: Any = Identity(spec)
    if frozen:
        encoder = OnnxMobileNet(spec) if "digest" in backbone else _TorchEncoder(network, spec)
    store = open_store(derived, spec, encoder)
    folded = _encode(folded, root, spec, encoder, store, views if frozen else 1, progress)
    rows = {fold: variant.rows(folded, fold, seed) for fold in ("train", "val")}
    if targets_of(rows["train"]).sum() == 0:
        raise UserError(f"data={variant.name}: no photo of {subject} left to train on; lower data.closeups_above")
    weight = positive_weight(rows["train"], variant)
    data = CachedRows(store, rows["train"], views if frozen else 1)
    recogniser = Recogniser(
        network,
        weight,
        float(model["lr"]),
        float(model["weight_decay"]),
        int(model["epochs"]),
        augmented=not frozen,
    )
    epochs, best = _fit(recogniser, data, CachedRows(store, rows["val"]), model, trainer, seed)
    if frozen and int(model.get("finetune_blocks", 0)):
        backbone.pop("digest", None)
        encoder = Identity(spec)
        store = open_store(derived, spec, encoder)
        folded = _encode(folded, root, spec, encoder, store, 1, progress)
        more = _finetune(network, store, rows, weight, model, trainer, seed)
        epochs, best = epochs + more[0], len(epochs) + more[1]
        frozen = False
    p = _ask(network, store, folded)
    predictions = folded[["path", "sha256", "group", "fold", "label", "kind"]].assign(
        closeup=is_closeup(folded, CLOSEUPS_ABOVE), probability=p
    )
    chosen = pd.concat([rows["train"], rows["val"]] if frozen else [rows["val"]])
    if frozen:
        scores = out_of_fold(network.head, store.rows([(s, 0) for s in chosen["sha256"]]), chosen, variant, model, seed)
    else:
        scores = predictions.loc[chosen.index, "probability"].to_numpy()
    threshold = choose_threshold(scores, targets_of(chosen) == 1, float(model["threshold_fpr"]))
    classifier = Classifier(network.eval(), backbone, spec, subject, threshold)
    return Trained(classifier, predictions, epochs, best)


def positive_weight(rows: pd.DataFrame, variant: Variant) -> float:
    """What a positive counts so that both sides count the same; 1 unless `balance` is `weights`."""
    positives = float(targets_of(rows).sum())
    return (len(rows) - positives) / positives if variant.balance == "weights" else 1.0


def _encode(
    folded: pd.DataFrame,
    root: Path,
    spec: ImageSpec,
    encoder: Any,
    store: Store,
    views: int,
    progress: Progress | None,
) -> pd.DataFrame:
    photos = [(str(row.sha256), root / str(row.path)) for row in folded.itertuples()]
    problems = encode_missing(photos, views, spec, encoder, store, progress)
    return folded[~folded["sha256"].isin(list(problems))]


def _fit(
    recogniser: Recogniser,
    train: CachedRows,
    val: CachedRows,
    model: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
) -> tuple[list[dict[str, float]], int]:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    history, best = _History(), BestEpoch()
    callbacks: list[pl.Callback] = [best, history]
    if len(val):
        callbacks.append(EarlyStopping("val_loss", patience=int(model["patience"])))
    settings = {"max_epochs": int(model["epochs"]), "num_sanity_val_steps": 0, **trainer}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pl.Trainer(
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **settings,
        ).fit(
            recogniser,
            batches(train, int(model["batch_size"]), seed),
            batches(val, 256, None) if len(val) else None,
        )
    return history.epochs, max(best.epoch, 0)


def _finetune(
    network: Network,
    store: Store,
    rows: dict[str, pd.DataFrame],
    weight: float,
    model: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
) -> tuple[list[dict[str, float]], int]:
    """Train the last blocks too, at a lower rate, on augmented images. BatchNorm stays in inference mode."""
    blocks: Any = network.backbone.get_submodule("features")
    for block in list(blocks)[-int(model["finetune_blocks"]) :]:
        block.requires_grad_(True)
    recogniser = Recogniser(
        network,
        weight,
        float(model["finetune_lr"]),
        float(model["weight_decay"]),
        int(model["finetune_epochs"]),
        augmented=True,
    )
    network.backbone.train = lambda mode=True: network.backbone  # type: ignore[method-assign,assignment]
    settings = {**model, "epochs": model["finetune_epochs"], "batch_size": min(int(model["batch_size"]), 32)}
    result = _fit(recogniser, CachedRows(store, rows["train"]), CachedRows(store, rows["val"]), settings, trainer, seed)
    del network.backbone.train
    network.requires_grad_(False)
    return result


@torch.inference_mode()
def _ask(network: Network, store: Store, rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    network.eval()
    parts = [torch.sigmoid(network(x)).cpu().numpy() for x, _ in batches(CachedRows(store, rows), 64, None)]
    return np.concatenate(parts)


def out_of_fold(
    head: nn.Module,
    features: npt.NDArray[np.float32],
    rows: pd.DataFrame,
    variant: Variant,
    model: dict[str, Any],
    seed: int,
) -> npt.NDArray[np.float32]:
    """Probabilities of rows from heads trained without the row's group: `[N]`.

    The heads are like `head`, trained full-batch for as many steps as it took epochs to settle: only the
    threshold is chosen on them, so speed counts for more than the last per mille.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    targets, groups = targets_of(rows), rows["group"].to_numpy()
    folds = min(OUT_OF_FOLD, rows.loc[targets == 1, "group"].nunique())
    x, y = torch.from_numpy(features), torch.from_numpy(targets)
    out = np.zeros(len(rows), np.float32)
    if folds < 2:
        with torch.inference_mode():
            return torch.sigmoid(head.eval()(x)).squeeze(1).numpy()  # type: ignore[no-any-return]
    weight = torch.tensor(positive_weight(rows, variant))
    for train, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(x, targets, groups):
        fresh = copy.deepcopy(head).train()
        for layer in fresh.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
        optimizer = torch.optim.AdamW(
            fresh.parameters(), 5 * float(model["lr"]), weight_decay=float(model["weight_decay"])
        )
        for _ in range(30):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(
                fresh(x[train]).squeeze(1), y[train], pos_weight=weight
            ).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.inference_mode():
            out[held_out] = torch.sigmoid(fresh.eval()(x[held_out])).squeeze(1).numpy()
    return out


class _TorchEncoder:
    """A frozen backbone with other weights than the bundled ones, in torch."""

    shape = (1280,)
    dtype = "<f4"

    def __init__(self, network: Network, spec: ImageSpec) -> None:
        import hashlib

        self.network, self.spec = network, spec
        state = network.backbone.state_dict()
        self.digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in state.values())).hexdigest()[:16]

    @torch.inference_mode()
    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        x = (x - self.network.mean) / self.network.std  # type: ignore[operator]
        return self.network.backbone(x)[0].numpy()  # type: ignore[no-any-return]
