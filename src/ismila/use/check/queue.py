"""Which photos of a scanned library a person is asked about first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ismila.vision.decision import UNSURE, logits_of

SORTS = ("found", "doubtful", "confusion")
"""Surely the subject; near the threshold; surely not, but of those the most like it."""
TURN = {"found": 3, "doubtful": 1, "confusion": 1}
"""So many of each sort are asked about in turn: a photo of the subject is worth more than one of another animal."""


@dataclass(frozen=True)
class Candidate:
    """A scanned photo that nobody has been asked about.

    Attributes:
        path: below the library's root, with forward slashes.
        probability: of the subject in it, in [0, 1].
    """

    path: str
    probability: float


@dataclass(frozen=True)
class Question:
    """A photo to ask about, and as which of `SORTS`."""

    photo: Candidate
    sort: str


def questions_of(
    candidates: Sequence[Candidate], threshold: float, turn: Mapping[str, int] | None = None
) -> Iterator[Question]:
    """All candidates in the order in which to ask: some of each sort in turn, the best of it first.

    The best are the surest of those found, the doubtful nearest to the threshold, and of the others those most like
    the subject. docs/review.md says what that is worth, and what else was tried.

    Args:
        turn: how many of each sort; `TURN` where it is None.
    """
    places: dict[str, list[int]] = {sort: [] for sort in SORTS}
    margins = logits_of([one.probability for one in candidates]) - logits_of(threshold)
    for at, margin in enumerate(margins):
        places[_sort_of(float(margin))].append(at)
    places["found"].sort(key=lambda at: -margins[at])
    places["doubtful"].sort(key=lambda at: abs(margins[at]))
    places["confusion"].sort(key=lambda at: -margins[at])
    waiting = {sort: iter(found) for sort, found in places.items()}
    for _ in candidates:  # more turns than there are photos are never needed
        for sort, count in (turn or TURN).items():
            for place in islice(waiting[sort], count):
                yield Question(candidates[place], sort)


def _sort_of(margin: float) -> str:
    """Which sort a photo is of by how far it is above the threshold, in logits."""
    if abs(margin) < UNSURE:
        return "doubtful"
    return "found" if margin > 0 else "confusion"
