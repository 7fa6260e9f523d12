"""A run's figures in words."""

from __future__ import annotations

import pandas as pd

from ismila.evidence.metrics import rates, wilson

FEW = 10
"""Rates on fewer photos say next to nothing."""
DETECTS_ANIMALS = 0.1
"""More of the other animals taken for the subject, and the run has learnt what an animal is."""


def summary(reported: pd.DataFrame, subject: str) -> str:
    """The run in a sentence.

    Args:
        reported: the rows that `metrics.reported` gives.
    """
    rate_of = rates(reported)
    recognised, n = rate_of["recall"]
    pets, n_pets = rate_of["fpr_pets"]
    counted = _counted(rate_of, subject)
    if not n:
        return f"{counted}: how often {subject} is recognised was not measured."
    if not n_pets:
        return f"{counted}; it was asked about no other animal, so it may be an animal detector."
    low, high = wilson(pets, n_pets)
    if recognised / n < 0.5:
        return f"{counted}: it misses {subject} more often than not."
    if low > DETECTS_ANIMALS:
        return f"{counted}: rather an animal detector than a detector of {subject}."
    if high < DETECTS_ANIMALS:
        return f"{counted}: more than an animal detector."
    return (
        f"{counted}: too few animals, or too many mistakes, "
        "to call it more than an animal detector."
    )


def _counted(rate_of: dict[str, tuple[int, int]], subject: str) -> str:
    """What was recognised and what was taken for the subject, without what no photo was held out
    of."""
    recognised, n = rate_of["recall"]
    begin = (
        f"Recognises {recognised} of {n} held-out photos of {subject}"
        if n
        else f"No photo of {subject} was held out"
    )
    others = [
        f"{rate_of[name][0]} of {rate_of[name][1]} {words}"
        for name, words in (("fpr_things", "things"), ("fpr_pets", "other animals"))
        if rate_of[name][1]
    ]
    if not others:
        return f"{begin} and was asked about nothing else" if n else f"{begin}, nor any other"
    return f"{begin} and takes {' and '.join(others)} for {subject}"


def few(reported: pd.DataFrame, subject: str) -> str:
    """What n is too small to say; empty when it is large enough."""
    counts = reported["label"].value_counts()
    names = {
        "subject": f"photos of {subject}",
        "things": "photos of things",
        "pets": "photos of other animals",
    }
    small = [
        f"{counts.get(label, 0) or 'no'} {name}"
        for label, name in names.items()
        if counts.get(label, 0) < FEW
    ]
    if not small:
        return ""
    return f"Only {' and '.join(small)} were held out: rates on them say next to nothing."
