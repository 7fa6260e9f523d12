"""Variant + folds + cached rows -> what one run sees."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

from ismila.learning.crossval import Examples
from ismila.learning.features import Features, Key
from ismila.photos.images import FAR_VIEW
from ismila.settings import DataSettings
from ismila.vision.graphs import Bools, Floats, Objects

CLOSEUPS_ABOVE = 0.5
"""`subject_share` from which `test_recall_closeups` counts a photo, the same for every run whatever it trained on."""


@dataclass(frozen=True)
class AlbumRows:
    """What one run sees: an album's usable photos, and what part each takes.

    Attributes:
        table: the usable index in the order of sha256, with `fold`.
        in_variant: `[N]`: the variant's photos of every fold, which are like those that train.
        trains: `[N]`: those of them that train when their fold does; with `balance=equal` there are fewer negatives.
        balanced: both sides weigh the same in the loss.
    """

    table: pd.DataFrame
    in_variant: Bools
    trains: Bools
    balanced: bool

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_subject(self) -> Bools:
        """`[N]`."""
        return (self.table["label"] == "subject").to_numpy()

    @property
    def label(self) -> Objects:
        """`[N]`, `subject`, `things` or `pets`."""
        label: Objects = self.table["label"].to_numpy(dtype=object)
        return label

    def is_in(self, *folds: str) -> Bools:
        """`[N]`: rows of these folds."""
        return self.table["fold"].isin(folds).to_numpy()

    def examples(self, features: Features, views: int, low_resolution: bool = False) -> Examples:
        """Their feature rows, every view of them, with what a linear head has to know.

        Args:
            low_resolution: one view more of each of the subject's images, see `images.low_resolution`.
        """
        shas = [str(sha) for sha in self.table["sha256"]]
        images = features.images(shas)
        photo = images.photo
        label = self.table["label"]
        stratum = label.where(label != "pets", "pets/" + self.table["kind"]).to_numpy(dtype=object)
        group: Objects = self.table["group"].to_numpy(dtype=object)
        every = np.arange(len(photo))
        also = [(every, features.rows_of(images, view)) for view in range(1, views)]
        if low_resolution:
            of_subject = np.flatnonzero(self.is_subject[photo])
            also.append((of_subject, features.rows_of(images[of_subject], FAR_VIEW)))
        x = features.rows_of(images)
        return Examples(
            x,
            stratum[photo],
            group[photo],
            self.trains[photo],
            self.in_variant[photo],
            photo,
            images.asked,
            images.labelled,
            np.zeros(len(x), np.float32),
            np.concatenate([x[:0], *(rows for _, rows in also)]),
            np.concatenate([every[:0], *(of for of, _ in also)]),
        )


def album_rows(index: pd.DataFrame, data: DataSettings, seed: int) -> AlbumRows:
    """What the variant makes of the usable index, which has `fold`.

    Rows come in the order of their content, so that neither a file's name nor the time at which it came changes a draw.
    """
    table = index.sort_values("sha256").reset_index(drop=True)
    in_variant = np.ones(len(table), np.bool_)
    if not data.pets:
        in_variant &= (table["label"] != "pets").to_numpy()
    if data.closeups_above is not None:
        close = is_closeup(table, data.closeups_above).to_numpy()
        in_variant &= (table["label"] != "subject").to_numpy() | close
    trains = in_variant
    if data.balance == "equal":
        trains = in_variant & _as_many_negatives(table, in_variant, seed)
    return AlbumRows(table, in_variant, trains, data.balance == "weights")


def _as_many_negatives(table: pd.DataFrame, in_variant: Bools, seed: int) -> Bools:
    """`[N]`: the subject's photos, and in each fold as many others, the first in an order that the seed draws."""
    keep = (table["label"] == "subject").to_numpy(copy=True)
    drawn = [hashlib.sha256(f"{seed}:{sha}".encode()).hexdigest() for sha in table["sha256"]]
    order = np.argsort(np.array(drawn))
    for fold in sorted(set(table["fold"])):
        here = in_variant & (table["fold"] == fold).to_numpy()
        others = order[(here & ~keep)[order]]
        keep[others[: int((here & keep).sum())]] = True
    return keep


def is_closeup(rows: pd.DataFrame, above: float) -> pd.Series[bool]:
    """What labels.csv says, and where it says nothing, whether `subject_share` is above the threshold."""
    closeup = rows["closeup"].astype("boolean")
    return closeup.fillna(rows["subject_share"] > above).astype(bool)


class LabelledRows(Dataset[tuple[Tensor, Tensor]]):
    """Rows with their targets; each kind gives a whole batch at once (`__getitems__`), as a DataLoader asks for it.

    Args:
        is_subject: `[N]`.
    """

    def __init__(self, is_subject: Bools) -> None:
        self.targets = torch.from_numpy(is_subject.astype(np.float32))

    @property
    def positive_weight(self) -> float:
        """What a positive counts when both sides count the same."""
        positives = float(self.targets.sum())
        return (len(self) - positives) / max(positives, 1.0)

    def __len__(self) -> int:
        return len(self.targets)


class ExampleRows(LabelledRows):
    """Feature rows `[N, D]` in memory."""

    def __init__(self, x: Floats, is_subject: Bools) -> None:
        super().__init__(is_subject)
        self.x = torch.from_numpy(x)

    def __getitems__(self, at: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.x[list(at)], self.targets[list(at)]


class CachedRows(LabelledRows):
    """Rows that stay in the cache, mapped into memory: images of a whole album may be larger than that.

    Args:
        rows: the index rows of the photos.
        views: each photo counts once for each of its cached views.
    """

    def __init__(self, features: Features, rows: pd.DataFrame, views: int = 1) -> None:
        super().__init__(np.tile((rows["label"] == "subject").to_numpy(), views))
        self.features = features
        shas = [str(sha) for sha in rows["sha256"]]
        self.keys: list[Key] = [(sha, view) for view in range(views) for sha in shas]

    def __getitems__(self, at: Sequence[int]) -> tuple[Tensor, Tensor]:
        rows = self.features.store.rows([self.keys[i] for i in at])
        return torch.from_numpy(rows), self.targets[list(at)]

    def in_memory(self) -> ExampleRows:
        """All of them."""
        return ExampleRows(self.features.store.rows(self.keys), self.targets.numpy() == 1)


def batches(
    rows: LabelledRows, batch_size: int, seed: int | None = None, trainer: pl.Trainer | None = None
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches in a fresh order each epoch, drawn from `seed`; in the rows' own order when it is None.

    Args:
        trainer: with several processes each gets its part of the rows. Rows in their own order, which are solved or
            asked about as a whole, go to every one of them.
    """
    sampler: Sampler[int]
    if seed is None:
        sampler = SequentialSampler(rows)
    elif trainer is not None and trainer.world_size > 1:
        sampler = DistributedSampler(rows, trainer.world_size, trainer.global_rank, seed=seed)  # type: ignore[assignment]
    else:
        sampler = RandomSampler(rows, generator=torch.Generator().manual_seed(seed))
    order = BatchSampler(sampler, batch_size, drop_last=False)
    return DataLoader(rows, batch_sampler=order, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:
    """`LabelledRows` give whole batches already."""
    return batch
