"""A run's figures in words."""

from __future__ import annotations

import pandas as pd

from ismila.evidence.metrics import rates, stranger_rates, wilson

FEW = 10
"""Rates on fewer photos say next to nothing."""
DETECTS_ANIMALS = 0.1
"""More of the other animals taken for the subject, and the run has learnt what an animal is."""


def summary(reported: pd.DataFrame, subject: str, strangers: pd.DataFrame | None) -> str:
    """The run in a sentence.

    Args:
        reported: the rows that `metrics.reported` gives.
        strangers: a run's answers for animals and things that came with the package, where it was asked about them.
    """
    rate_of = rates(reported) | stranger_rates(strangers)
    recognised, n = rate_of["recall"]
    counted = _counted(rate_of, subject)
    if not n:
        return f"{counted}: how often {subject} is recognised was not measured."
    animals = [
        rate_of[name] for name in ("fpr_pets", "fpr_strangers") if _is_measured(rate_of, name)
    ]
    if not animals:
        return f"{counted}; it was asked about no other animal, so it may be an animal detector."
    if recognised / n < 0.5:
        return f"{counted}: it misses {subject} more often than not."
    intervals = [wilson(taken, asked) for taken, asked in animals]
    if any(low > DETECTS_ANIMALS for low, _ in intervals):
        return f"{counted}: rather an animal detector than a detector of {subject}."
    if any(high < DETECTS_ANIMALS for _, high in intervals):
        return f"{counted}: more than an animal detector."
    return (
        f"{counted}: too few animals, or too many mistakes, "
        "to call it more than an animal detector."
    )


def _is_measured(rate_of: dict[str, tuple[int, int]], name: str) -> bool:
    return name in rate_of and rate_of[name][1] > 0


def _counted(rate_of: dict[str, tuple[int, int]], subject: str) -> str:
    """What was recognised and what was taken for the subject, without what no photo was held out
    of."""
    recognised, n = rate_of["recall"]
    begin = (
        f"Recognises {recognised} of {n} held-out photos of {subject}"
        if n
        else f"No photo of {subject} was held out"
    )
    names = {"fpr_things": "things", "fpr_pets": "other animals", "fpr_strangers": "strangers"}
    others = [
        f"{rate_of[name][0]:,} of {rate_of[name][1]:,} {words}"
        for name, words in names.items()
        if _is_measured(rate_of, name)
    ]
    if not others:
        return f"{begin} and was asked about nothing else" if n else f"{begin}, nor any other"
    return f"{begin} and takes {_and(others)} for {subject}"


def _and(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def few(reported: pd.DataFrame, subject: str, strangers: pd.DataFrame | None) -> str:
    """What n is too small to say; empty when it is large enough.

    Args:
        strangers: as for `summary`; an album needs no others where these were asked about.
    """
    counts = reported["label"].value_counts()
    names = {
        "subject": f"photos of {subject}",
        "things": "photos of things",
        "pets": "photos of other animals",
    }
    small = []
    for label, name in names.items():
        n = counts.get(label, 0)
        if 0 < n < FEW:
            small.append(f"only {n} {name}")
        elif n == 0 and (label == "subject" or strangers is None):
            small.append(f"no {name}")
    if not small:
        return ""
    text = f"{_and(small)} were held out: rates on them say next to nothing."
    return text[0].upper() + text[1:]
