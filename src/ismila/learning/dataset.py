"""Index + variant -> which rows train, and the batches they make."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from ismila.learning.features import Floats, Key, Store
from ismila.learning.heads import Whitening

CLOSEUPS_ABOVE = 0.5
"""`subject_share` from which `test_recall_closeups` counts a photo, the same for every run whatever it trained on."""


@dataclass(frozen=True)
class Variant:
    """Which rows of train and val take part.

    Attributes:
        pets: other animals are among the negatives.
        closeups_above: only photos of the subject with a larger `subject_share`; labels.csv decides before it.
        balance: `weights` weighs the loss, `equal` draws as many negatives as positives, `none` does nothing.
    """

    name: str
    pets: bool = False
    closeups_above: float | None = None
    balance: str = "weights"

    def __post_init__(self) -> None:
        if self.balance not in ("weights", "equal", "none"):
            raise ValueError(f"data.balance={self.balance}: expected weights, equal or none")

    def rows(self, folded: pd.DataFrame, fold: str | None, seed: int) -> pd.DataFrame:
        """The rows of one fold (None: of all) that this variant uses; `folded` is the usable index with `fold`."""
        rows = folded if fold is None else folded[folded["fold"] == fold]
        if not self.pets:
            rows = rows[rows["label"] != "pets"]
        if self.closeups_above is not None:
            rows = rows[(rows["label"] != "subject") | is_closeup(rows, self.closeups_above)]
        if self.balance == "equal" and fold in ("train", None):
            positives = rows[rows["label"] == "subject"]
            others = rows[rows["label"] != "subject"]
            others = others.sample(min(len(positives), len(others)), random_state=seed)
            rows = pd.concat([positives, others])
        return rows


def is_closeup(rows: pd.DataFrame, above: float) -> pd.Series[bool]:
    """What labels.csv says, and where it says nothing, whether `subject_share` is above the threshold."""
    return rows["closeup"].astype("boolean").fillna(rows["subject_share"] > above).astype(bool)


def targets_of(rows: pd.DataFrame) -> npt.NDArray[np.float32]:
    """1 for the subject's photos, 0 for the others, `[N]`."""
    return np.asarray(rows["label"] == "subject", dtype=np.float32)


class CachedRows(Dataset[tuple[Tensor, Tensor]]):
    """Rows of a store with their targets, asked for a batch at a time.

    Args:
        views: each photo counts once for each of its cached views.
    """

    def __init__(self, store: Store, rows: pd.DataFrame, views: int = 1) -> None:
        self.store = store
        self.keys: list[Key] = [(sha, view) for view in range(views) for sha in rows["sha256"]]
        self.targets = torch.from_numpy(np.tile(targets_of(rows), views))

        self._whitened: Tensor | None = None

    def none(self) -> CachedRows:
        """The same without a row."""
        rest = copy.copy(self)
        rest.keys, rest.targets = [], self.targets[:0]
        return rest

    def rows(self) -> Floats:
        """All of them at once."""
        rows: Floats = self.store.rows(self.keys)
        return rows

    def seen_by(self, whitening: Whitening) -> CachedRows:
        """The same photos, whitened once and for all epochs."""
        seen = copy.copy(self)
        seen._whitened = torch.from_numpy(whitening(self.rows()))
        return seen

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, at: Sequence[int]) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        at = list(at)
        rows = (
            torch.from_numpy(self.store.rows([self.keys[i] for i in at]))
            if self._whitened is None
            else self._whitened[at]
        )
        return rows, self.targets[at]


def batches(
    rows: CachedRows, batch_size: int, seed: int | None
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches in a fresh order each epoch, drawn from `seed`; in the rows' own order when it is None."""
    if seed is None:
        order: BatchSampler = BatchSampler(SequentialSampler(rows), batch_size, drop_last=False)
    else:
        draw = torch.Generator().manual_seed(seed)
        order = BatchSampler(RandomSampler(rows, generator=draw), batch_size, drop_last=False)
    return DataLoader(rows, sampler=order, batch_size=None)
