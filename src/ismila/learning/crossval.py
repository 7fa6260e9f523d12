"""Out-of-fold answers: every row is held out by its group, also the rows that do not train."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ismila.learning.decision import DecisionAnswers
from ismila.learning.features import Bools, Floats, Ints
from ismila.learning.heads import Penalty, fit_head, in_few_coordinates

FOLDS = 5

Objects = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Examples:
    """What a linear head is fitted to and asked about: feature rows with what is known of them, `[N]` each.

    Attributes:
        x: `[V, N, D]`: each photo as it is, then its other views, which train but are not asked about.
        stratum: `subject`, `things`, or the kind of another animal: what folds are made even in.
        group: near-duplicates, which are held out together.
        trains: whether the variant trains on the row; the others are asked about only.
    """

    x: Floats
    stratum: Objects
    group: Objects
    trains: Bools

    def __len__(self) -> int:
        return len(self.group)

    @property
    def is_subject(self) -> Bools:
        """`[N]`."""
        return np.asarray(self.stratum == "subject")

    def __getitem__(self, rows: Bools | Ints) -> Examples:
        return Examples(self.x[:, rows], self.stratum[rows], self.group[rows], self.trains[rows])

    @property
    def can_train(self) -> bool:
        """Both sides are there."""
        of_subject = self.is_subject[self.trains]
        return bool(of_subject.any() and not of_subject.all())

    def training(self) -> tuple[Floats, Bools]:
        """Rows `[V * n, D]` that train, and which are the subject's."""
        x = self.x[:, self.trains]
        return x.reshape(-1, x.shape[2]), np.tile(self.is_subject[self.trains], len(x))

    def in_few_coordinates(self) -> Examples:
        """The same differences between rows in as few coordinates as there are rows, so that heads cost less."""
        views, n, _ = self.x.shape
        few = in_few_coordinates(self.x.reshape(views * n, -1)).reshape(views, n, -1)
        return Examples(few, self.stratum, self.group, self.trains)


@dataclass(frozen=True)
class HeldOut:
    """Answers of heads that did not see the row's group.

    Attributes:
        logits: `[N]`; NaN where no head could be trained without the row's group.
        fold: `[N]`, which fold held the row out; -1 for none.
    """

    logits: Floats
    fold: Ints

    @property
    def known(self) -> Bools:
        """`[N]`: rows that were held out."""
        return self.fold >= 0

    def for_decision(self, examples: Examples, in_variant: Bools) -> DecisionAnswers:
        """The answers as what a decision may be chosen on: `examples` must hold no row that is reported."""
        known = self.known
        return DecisionAnswers(self.logits[known], examples.is_subject[known], in_variant[known])


def group_folds(stratum: Objects, group: Objects, trains: Bools, seed: int) -> Ints:
    """`[N]`: the fold of each row, at most 0 to 4; -1 for a group that is all of its side.

    Groups are dealt in turn, stratum by stratum, in an order that only the seed and their names draw: no two of a
    stratum's first groups meet in a fold, so that with three photos of the subject each is held out once.
    scikit-learn's StratifiedGroupKFold evens out sizes, too, but may put all of a rare stratum into one fold.
    """
    of_subject = stratum == "subject"
    sides = [set(group[trains & side]) for side in (of_subject, ~of_subject)]
    # without it nothing could train
    kept = {name for side in sides if len(side) == 1 for name in side}
    folds = min([FOLDS, *(len(side) for side in sides if len(side) > 1)])
    rank: dict[str, str] = {}
    for name, of in zip(group, stratum, strict=True):
        # a burst of several kinds counts where the subject is, since her photos are the rarest
        if name not in rank or of == "subject":
            rank[name] = of
    drawn = {name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest() for name in rank}
    order = sorted(set(rank) - kept, key=lambda name: (rank[name], drawn[name]))
    number = {name: at % folds for at, name in enumerate(order)}
    return np.array([number.get(name, -1) for name in group], np.int64)


def splits(examples: Examples, seed: int) -> Iterator[tuple[int, Bools]]:
    """The folds (number, rows `[N]` held out) without which a head can be trained."""
    fold = group_folds(examples.stratum, examples.group, examples.trains, seed)
    for number in range(fold.max(initial=-1) + 1):
        rows = fold == number
        if rows.any() and examples[~rows].can_train:
            yield number, rows


def out_of_fold(
    examples: Examples, penalty: Penalty, seed: int, n_features: int | None = None
) -> HeldOut:
    """Answers for all rows, each from a head that was trained without the row's group.

    Args:
        n_features: how many features there were before `in_few_coordinates`, where `examples` comes from there.
    """
    if n_features is None:
        n_features = examples.x.shape[2]
        examples = examples.in_few_coordinates()
    logits = np.full(len(examples), np.nan, np.float32)
    fold = np.full(len(examples), -1, np.int64)
    for number, rows in splits(examples, seed):
        head = fit_head(*examples[~rows].training(), penalty, n_features)
        logits[rows] = head(examples.x[0][rows])
        fold[rows] = number
    return HeldOut(logits, fold)
