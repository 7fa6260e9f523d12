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

from ismila.learning.backbones import Network, make_head, make_network, weights_of
from ismila.learning.classifier import Classifier, choose_threshold, sigmoid, temperature_of
from ismila.learning.dataset import (
    CLOSEUPS_ABOVE,
    CachedRows,
    Variant,
    batches,
    is_closeup,
    targets_of,
)
from ismila.learning.features import (
    Floats,
    Identity,
    OnnxBackbone,
    Progress,
    Store,
    bundled_digest,
    bundled_graph,
    encode_missing,
    open_store,
    photos_of,
)
from ismila.learning.heads import in_few_coordinates, whitening_of
from ismila.learning.networks import BestEpoch, Recogniser
from ismila.photos import UserError
from ismila.photos.images import ImageSpec

DESCRIBED = ("name", "weights", "beside", "hidden", "dropout")
"""What of a model's settings `make_network` takes."""
OUT_OF_FOLD = 5
CROSS_VALIDATED_BELOW = 30
"""With `refit=all`: fewer photos of the subject than this, and the figures come from cross-validation."""


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
    refit: str | None = None,
) -> Trained:
    """Train `model` on `variant`'s rows of train and val, choose the threshold, and ask about every row.

    Args:
        folded: the usable index with a `fold` column.
        model: one of conf/model as plain values.
        trainer: arguments of Lightning's Trainer.
        refit: `all` trains the classifier once more, on the variant's photos of all folds, after the predictions
            are made: they stay those of photos that the network that made them did not see. With fewer than 30
            photos of the subject those come from cross-validation, since a test fold would hold a handful.
    """
    finetuned = _checked(model, refit)
    pl.seed_everything(seed, verbose=False)
    spec = ImageSpec(int(model["size_px"]))
    backbone: dict[str, Any] = {key: model[key] for key in DESCRIBED if key in model}
    frozen, graph = model["name"] != "cnn", bundled_graph(model)
    if graph:
        backbone["digest"] = bundled_digest(graph)
    network = make_network(backbone, spec)
    views = int(model.get("views", 1))
    encoder: Any = Identity(spec)
    if frozen:
        encoder = OnnxBackbone(spec, graph) if graph else _TorchEncoder(network, spec)
    store = open_store(derived, spec, encoder)
    folded = _encode(folded, root, spec, encoder, store, views if frozen else 1, progress)
    rows = {fold: variant.rows(folded, fold, seed) for fold in ("train", "val")}
    if targets_of(rows["train"]).sum() == 0:
        raise UserError(
            f"data={variant.name}: no photo of {subject} left to train on; lower data.closeups_above"
        )
    weight = positive_weight(rows["train"], variant)
    data = CachedRows(store, rows["train"], views if frozen else 1)
    epochs, best = _fit(network, weight, data, CachedRows(store, rows["val"]), model, trainer, seed)
    if frozen and finetuned:
        backbone.pop("digest", None)
        encoder = Identity(spec)
        store = open_store(derived, spec, encoder)
        folded = _encode(folded, root, spec, encoder, store, 1, progress)
        more = _finetune(network, store, rows, weight, model, trainer, seed)
        epochs, best = epochs + more[0], len(epochs) + more[1]
        frozen = False
    logits, held_out = _ask(network, store, folded), folded["fold"] == "test"
    chosen = variant.rows(folded, None, seed)
    if frozen:
        seen = chosen.index if refit else chosen.index[chosen["fold"] != "test"]
        unseen = _out_of_fold(
            network.head, store, folded, folded.index.isin(seen), variant, model, seed
        )
        if refit and (folded["label"] == "subject").sum() < CROSS_VALIDATED_BELOW:
            logits, held_out = unseen, pd.Series(True, folded.index)
    else:
        seen, unseen = rows["val"].index, logits
    asked = folded.index.isin(seen)
    scores, of_subject = unseen[asked], targets_of(folded[asked]) == 1
    temperature = temperature_of(scores, of_subject)
    allowed, play = float(model["threshold_fpr"]), float(model.get("threshold_play", 0))
    at = choose_threshold(scores, of_subject, allowed, play, easy=not variant.pets)
    if refit:
        network = make_network(backbone, spec)
        again = model if frozen else {**model, "epochs": best + 1}
        everything = CachedRows(store, chosen, views if frozen else 1)
        _fit(
            network,
            positive_weight(chosen, variant),
            everything,
            everything.none(),
            again,
            trainer,
            seed,
        )
    predictions = folded[["path", "sha256", "group", "fold", "label", "kind"]].assign(
        closeup=is_closeup(folded, CLOSEUPS_ABOVE),
        probability=sigmoid(logits / temperature),
        held_out=held_out,
    )
    threshold = float(sigmoid(np.array([at / temperature], np.float32))[0])
    classifier = Classifier(
        weights_of(network), backbone, spec, subject, threshold, temperature=temperature
    )
    return Trained(classifier, predictions, epochs, best)


def _checked(model: dict[str, Any], refit: str | None) -> int:
    """How many blocks are fine-tuned; raises ValueError or UserError for settings that do not go together."""
    if refit not in (None, "all"):
        raise ValueError(f"refit={refit}: expected all or null")
    finetuned = int(model.get("finetune_blocks", 0))
    if refit and finetuned:
        raise UserError("refit=all: does not go with model.finetune_blocks; leave one of them out")
    if model.get("beside") and (finetuned or model["weights"] == "torchvision"):
        raise UserError(
            "model.finetune_blocks and model.weights=torchvision: for one network; add model.beside=null"
        )
    return finetuned


def _fit(
    network: Network,
    weight: float,
    train: CachedRows,
    val: CachedRows,
    model: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
) -> tuple[list[dict[str, float]], int]:
    """Train all of a CNN, or a frozen backbone's head; a linear one on whitened rows, and folded back."""
    frozen = model["name"] != "cnn"
    settings = (float(model["lr"]), float(model["weight_decay"]), int(model["epochs"]))
    if not frozen or int(model["hidden"]):
        recogniser = Recogniser(network, weight, *settings, augmented=not frozen)
        return _run(recogniser, train, val, int(model["batch_size"]), model, trainer, seed)
    whitening = whitening_of(train.rows(), train.targets.numpy() == 1, float(model["shrink"]))
    head = make_head(whitening.axes.shape[1], 0, 0.0)
    recogniser = Recogniser(
        Network(nn.Identity(), head, ImageSpec()), weight, *settings, C=float(model["C"])
    )
    epochs, best = _run(
        recogniser,
        train.seen_by(whitening),
        val.seen_by(whitening),
        len(train),
        model,
        trainer,
        seed,
    )
    w, b = (p.detach().numpy() for p in head.parameters())
    _set_linear(network.head, *whitening.unfold(w[0], float(b[0])))
    return epochs, best


def _set_linear(head: nn.Module, weight: Floats, bias: float) -> None:
    linear: Any = head.get_submodule("0")
    linear.weight.data, linear.bias.data = torch.from_numpy(weight[None]), torch.tensor([bias])


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
    problems = encode_missing(photos_of(folded, root), views, spec, encoder, store, progress)
    return folded[~folded["sha256"].isin(list(problems))]


def _run(
    recogniser: Recogniser,
    train: CachedRows,
    val: CachedRows,
    batch_size: int,
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
            batches(train, batch_size, seed),
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
    settings, batch_size = (
        {**model, "epochs": model["finetune_epochs"]},
        min(int(model["batch_size"]), 32),
    )
    train, val = CachedRows(store, rows["train"]), CachedRows(store, rows["val"])
    result = _run(recogniser, train, val, batch_size, settings, trainer, seed)
    del network.backbone.train
    network.requires_grad_(False)
    return result


@torch.inference_mode()
def _ask(network: Network, store: Store, rows: pd.DataFrame) -> Floats:
    """Logits `[N]`."""
    network.eval()
    parts = [network(x).cpu().numpy() for x, _ in batches(CachedRows(store, rows), 64, None)]
    return np.concatenate(parts)


def _out_of_fold(
    head: nn.Module,
    store: Store,
    folded: pd.DataFrame,
    used: npt.NDArray[np.bool_],
    variant: Variant,
    model: dict[str, Any],
    seed: int,
) -> Floats:
    """Logits of all rows from heads that were trained on the used ones without the row's group: `[N]`.

    A row that is not used gets the mean of all the heads.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    targets, groups = targets_of(folded), folded["group"].to_numpy()
    folds = min(OUT_OF_FOLD, folded.loc[used & (targets == 1), "group"].nunique())
    x = store.rows([(sha, 0) for sha in folded["sha256"]])
    if folds < 2:
        return _head_logits(head, x)
    if not int(model["hidden"]):
        x, model = in_few_coordinates(x), {**model, "n_features": x.shape[1]}
        head = make_head(x.shape[1], 0, 0.0)
    at = np.flatnonzero(used)
    logits = np.zeros(len(folded), np.float32)
    for train, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
        at, targets[at], groups[at]
    ):
        rows = folded.iloc[at[train]]
        fresh = _quick_head(head, x[at[train]], rows, positive_weight(rows, variant), model)
        of_all = _head_logits(fresh, x)
        logits[at[held_out]] = of_all[at[held_out]]
        logits[~used] += of_all[~used] / folds
    return logits


def _quick_head(
    head: nn.Module, x: Floats, rows: pd.DataFrame, weight: float, model: dict[str, Any]
) -> nn.Module:
    """A head like `head`, trained without a Trainer: only a threshold or a cross-validated figure rests on it."""
    fresh, y = copy.deepcopy(head).train(), targets_of(rows)
    if not int(model["hidden"]):
        from sklearn.linear_model import LogisticRegression

        weights = np.where(y == 1, weight, 1.0)
        weights *= len(y) / weights.sum()
        whitening = whitening_of(x, y == 1, float(model["shrink"]), model.get("n_features"))
        fitted = LogisticRegression(C=float(model["C"]), max_iter=1000).fit(
            whitening(x), y, weights
        )
        _set_linear(fresh, *whitening.unfold(fitted.coef_[0], float(fitted.intercept_[0])))
        return fresh
    for layer in fresh.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    optimizer = torch.optim.AdamW(
        fresh.parameters(), 5 * float(model["lr"]), weight_decay=float(model["weight_decay"])
    )
    inputs, targets, positive = torch.from_numpy(x), torch.from_numpy(y), torch.tensor(weight)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(
            fresh(inputs).squeeze(1), targets, pos_weight=positive
        ).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return fresh


@torch.inference_mode()
def _head_logits(head: nn.Module, x: Floats) -> Floats:
    return head.eval()(torch.from_numpy(x)).squeeze(1).numpy()  # type: ignore[no-any-return]


class _TorchEncoder:
    """A frozen backbone with other weights than the bundled ones, in torch."""

    shape = (1280,)
    dtype = "<f4"

    def __init__(self, network: Network, spec: ImageSpec) -> None:
        import hashlib

        self.network, self.spec = network, spec
        state = network.backbone.state_dict()
        self.digest = hashlib.sha256(
            b"".join(t.numpy().tobytes() for t in state.values())
        ).hexdigest()[:16]

    @torch.inference_mode()
    def __call__(self, images: npt.NDArray[np.uint8]) -> Floats:
        return self.network.features(torch.from_numpy(images)).numpy()  # type: ignore[no-any-return]
