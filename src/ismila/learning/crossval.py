"""Out-of-fold answers: every row is held out by its group, also the rows that do not train."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ismila.learning.calibration import DecisionExamples
from ismila.learning.heads import (
    Coordinates,
    LinearHead,
    Penalty,
    few_coordinates,
    fit_head,
    one_thread,
)
from ismila.photos.cores import cores
from ismila.vision.graphs import Bools, Floats, Ints, Objects

FOLDS = 5


@dataclass(frozen=True)
class Examples:
    """What a linear head is fitted to and asked about: feature rows with what is known of them, `[M]` each.

    A row is an image: the whole photo, or one of the animals in it. A photo's answer is that of its best row.

    Attributes:
        x: `[M, D]`: each image as it is.
        stratum: `subject`, `things`, or the kind of another animal: what folds are made even in.
        group: near-duplicates, which are held out together.
        trains: whether the variant trains on the row; the others are asked about only.
        in_variant: whether it is like those that train.
        photo: which photo the row is of; rows of one photo stand together.
        asked: the photo's answer rests on the row; False for what a person's box cut out, which trains only.
        labelled: the row may show what the photo's label says; False where a person said that another one does.
        leverage: 0..1, how much the units of the penalty owe to the row itself; 0 where they owe it nothing.
        also: `[K, D]`: further views of some of the images, which train with them and are not asked about.
        also_of: `[K]`: which row each is a view of.
    """

    x: Floats
    stratum: Objects
    group: Objects
    trains: Bools
    in_variant: Bools
    photo: Ints
    asked: Bools
    labelled: Bools
    leverage: Floats
    also: Floats
    also_of: Ints

    def __len__(self) -> int:
        return len(self.group)

    @property
    def is_subject(self) -> Bools:
        """`[M]`."""
        return np.asarray(self.stratum == "subject")

    @property
    def label(self) -> Objects:
        """`[M]`, `subject`, `things` or `pets`."""
        is_animal = ~np.isin(self.stratum, ("subject", "things"))
        return np.where(is_animal, "pets", self.stratum).astype(object)

    def __getitem__(self, rows: Bools | Ints) -> Examples:
        stays, also_of = views_among(rows, self.also_of, len(self))
        return Examples(
            self.x[rows],
            self.stratum[rows],
            self.group[rows],
            self.trains[rows],
            self.in_variant[rows],
            self.photo[rows],
            self.asked[rows],
            self.labelled[rows],
            self.leverage[rows],
            self.also[stays],
            also_of,
        )

    def __add__(self, others: Examples) -> Examples:
        """Both; the photos of the others are numbered on."""
        after = int(self.photo.max(initial=-1)) + 1
        return Examples(
            np.concatenate([self.x, others.x]),
            np.concatenate([self.stratum, others.stratum]),
            np.concatenate([self.group, others.group]),
            np.concatenate([self.trains, others.trains]),
            np.concatenate([self.in_variant, others.in_variant]),
            np.concatenate([self.photo, others.photo + after]),
            np.concatenate([self.asked, others.asked]),
            np.concatenate([self.labelled, others.labelled]),
            np.concatenate([self.leverage, others.leverage]),
            np.concatenate([self.also, others.also]),
            np.concatenate([self.also_of, others.also_of + len(self)]),
        )

    @property
    def can_train(self) -> bool:
        """Both sides are there."""
        of_subject = self.is_subject[self.trains]
        return bool(of_subject.any() and not of_subject.all())

    def training(self) -> tuple[Floats, Bools]:
        """Rows and further views `[n, D]` that train, and which are the subject's.

        In a photo of the subject with several animals one of them is the subject, the one that a person's box means
        where there is one; the others are nobody's label.
        """
        rows = self.trains & self.labelled
        of_subject = rows & self.is_subject
        rows[of_subject] = most_similar(self.x[of_subject], self.photo[of_subject])
        views = rows[self.also_of]
        x = np.concatenate([self.x[rows], self.also[views]])
        number = np.concatenate([np.flatnonzero(rows), self.also_of[views]])
        return x, self.is_subject[number]

    def few_coordinates(self) -> Coordinates:
        """As many as there are rows and views, with the same differences between them, so that heads cost less."""
        coordinates: Coordinates = few_coordinates(np.concatenate([self.x, self.also]))
        return coordinates

    def on(self, coordinates: Coordinates) -> Examples:
        """The same examples with their rows and views in other coordinates."""
        x: npt.NDArray[Any] = coordinates(self.x)
        also: npt.NDArray[Any] = coordinates(self.also)
        return replace(self, x=x, also=also)

    def photos(self) -> Ints:
        """`[P]`: of each photo its first row."""
        return np.flatnonzero(np.diff(self.photo, prepend=-1))

    def by_photo(self, logits: Floats) -> Floats:
        """Answers of rows `[M]` -> of photos `[P]`: the highest of each."""
        asked = np.where(self.asked, logits, np.float32(-np.inf))
        return np.maximum.reduceat(asked, self.photos())

    def answered_without(self, rows: Bools, head: LinearHead) -> Floats:
        """Logits of the photos of some rows `[M]`, from a head that was fitted to the others.

        The units of the penalty may have been made of these rows, too, and then hold their answers near the mean as
        though they had trained. As in ridge regression an answer without the row itself differs from that mean by
        1 / (1 - leverage) times as much (Hoaglin and Welsch 1978, https://doi.org/10.1080/00031305.1978.10479237).
        """
        logits = head(self.x)
        made_units = self.leverage > 0
        if made_units.any():
            away = logits - logits[made_units].mean()
            logits = logits + away * self.leverage / (1 - self.leverage)
        return self[rows].by_photo(logits[rows])


def views_among(rows: Bools | Ints, view_of: Ints, n: int) -> tuple[Bools, Ints]:
    """Which further views stay when some of `n` rows are chosen, and which of the chosen each of them is a view of.

    Args:
        view_of: `[K]`, the row that each is a view of.

    Returns:
        `[K]`, and a number for each view that stays.
    """
    chosen = np.arange(n)[rows]
    at = np.full(n, -1)
    at[chosen] = np.arange(len(chosen))
    number = at[view_of]
    stays = number >= 0
    return stays, number[stays]


ROUNDS = 5


def most_similar(x: Floats, photo: Ints) -> Bools:
    """Which row of each photo shows the animal that all photos have in common.

    A photo with one row says what that looks like; of the others the row is taken that is nearest to the mean of those
    taken so far (cosine, of what differs from the mean of all rows), and again, as k-means does. Without a photo of one
    row the first rows begin: the surest detections.

    Args:
        x: `[M, D]`, rows of one photo beside one another.
        photo: `[M]`.

    Returns:
        `[M]`, one True for each photo.
    """
    starts = np.flatnonzero(np.diff(photo, prepend=-1))
    taken = np.zeros(len(photo), np.bool_)
    taken[starts] = True
    counts = np.diff(np.append(starts, len(photo)))
    if (counts <= 1).all():
        return taken
    alone = starts[counts == 1]
    sure = alone if len(alone) else starts
    away = x - x.mean(0)
    unit = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    middle = unit[sure].mean(0)
    for _ in range(ROUNDS):
        near = unit @ middle
        best = [
            start + int(near[start : start + n].argmax())
            for start, n in zip(starts, counts, strict=True)
        ]
        if taken[best].all():
            break
        taken[:] = False
        taken[best] = True
        middle = unit[best].mean(0)
    return taken


@dataclass(frozen=True)
class HeldOut:
    """Answers of heads that did not see the photo's group, `[P]` each.

    Attributes:
        logits: NaN where no head could be trained without the photo's group.
        fold: which fold held the photo out; -1 for none.
    """

    logits: Floats
    fold: Ints

    @property
    def known(self) -> Bools:
        """`[P]`: photos that were held out."""
        return self.fold >= 0

    def __getitem__(self, photos: slice) -> HeldOut:
        return HeldOut(self.logits[photos], self.fold[photos])

    def for_decision(self, examples: Examples) -> DecisionExamples:
        """The logits as what a decision may be chosen on: `examples` must hold no row that is reported."""
        known = self.known
        first = examples.photos()[known]
        return DecisionExamples(
            self.logits[known], examples.label[first], examples.in_variant[first]
        )


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
        # a burst of several kinds counts where the subject is, since its photos are the rarest
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


@one_thread  # type: ignore[untyped-decorator]
def out_of_fold(
    examples: Examples, penalty: Penalty, seed: int, n_features: int | None = None
) -> HeldOut:
    """Answers for all rows, each from a head that was trained without the row's group; a core for each fold.

    Args:
        n_features: how many features there were, where `examples` are in few coordinates already.
    """
    if n_features is None:
        n_features = examples.x.shape[1]
        examples = examples.on(examples.few_coordinates())
    photos = examples.photos()
    logits = np.full(len(photos), np.nan, np.float32)
    fold = np.full(len(photos), -1, np.int64)

    def answer(number: int, rows: Bools) -> None:
        head = fit_head(*examples[~rows].training(), penalty, n_features)
        out = rows[photos]
        logits[out] = examples.answered_without(rows, head)
        fold[out] = number

    with ThreadPoolExecutor(cores()) as pool:
        for answered in [pool.submit(answer, *out) for out in splits(examples, seed)]:
            answered.result()
    return HeldOut(logits, fold)
