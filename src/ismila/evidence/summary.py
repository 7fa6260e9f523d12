"""A run's figures in words: what it was seen to do, how good that is, and what would help most.

A verdict says no more than the worse end of its interval does: four photos of four are no proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import pandas as pd

from ismila.evidence.intervals import Rate
from ismila.evidence.metrics import rates, stranger_rates
from ismila.photos.names import counted

FEW = 10
"""Rates on fewer occasions say next to nothing."""
DETECTS_ANIMALS = 0.1
"""More of the other animals taken for the subject, and the run has learnt what an animal is."""
KNOWS = 0.7
"""Who recognises fewer of the subject's photos misses many."""
ANIMALS = {"fpr_pets": "other animals", "fpr_strangers": "strangers"}
OTHERS = {"fpr_things": "things", **ANIMALS}


class Grade(Enum):
    """What a run is, as far as its intervals say so."""

    KNOWS = "knows the subject"
    MISSES = "misses many"
    FEW = "too few to say"
    DETECTOR = "an animal detector"
    THINGS = "takes things for the subject"
    UNMEASURED = "not measured"


@dataclass(frozen=True)
class Verdict:
    """A grade in words.

    Attributes:
        words: end the sentence on what was counted.
        help: what would help most; empty where nothing is known to be wrong.
    """

    grade: Grade
    words: str
    help: str = ""


def summary(
    reported: pd.DataFrame,
    subject: str,
    strangers: pd.DataFrame | None,
    trained_on_strangers: bool = False,
) -> str:
    """The run in a sentence, with a second one on what would help most.

    Args:
        reported: the rows that `metrics.reported` gives.
        strangers: a run's answers for animals and things that came with the package, where it was asked about them.
        trained_on_strangers: as `data=strangers` does.
    """
    found = _measured(reported, strangers)
    verdict = verdict_of(found, subject, trained_on_strangers)
    sentence = f"{_counted(found, subject)}{verdict.words}."
    return f"{sentence} What would help most: {verdict.help}." if verdict.help else sentence


def _measured(reported: pd.DataFrame, strangers: pd.DataFrame | None) -> dict[str, Rate]:
    """The rates that there was a photo for."""
    found = rates(reported) | stranger_rates(strangers)
    return {name: rate for name, rate in found.items() if rate.n}


def verdict_of(found: Mapping[str, Rate], subject: str, trained_on_strangers: bool) -> Verdict:
    """The grade of a run, and why.

    Args:
        found: the rates of `metrics.rates` and `stranger_rates` that there was a photo for.
    """
    more = f"more photos of {subject} from other days"
    recall = found.get("recall")
    if recall is None:
        words = f": how often {subject} is recognised was not measured"
        return Verdict(Grade.UNMEASURED, words, more)
    animals = [found[name] for name in ANIMALS if name in found]
    if any(rate.low > DETECTS_ANIMALS for rate in animals):
        words = f": rather an animal detector than a detector of {subject}"
        return Verdict(Grade.DETECTOR, words, _against_animals(found, trained_on_strangers))
    things = found.get("fpr_things")
    if things is not None and things.low > DETECTS_ANIMALS:
        words = f": it takes things for {subject}, too"
        return Verdict(Grade.THINGS, words, f"more photos without {subject} in not_{subject}/")
    if recall.high < KNOWS or (recall.value < KNOWS and recall.groups >= FEW):
        often = "more often than not" if recall.high < 0.5 else "in many photos"
        labels = f"to look for wrong labels with `ismila check`, and {more}"
        return Verdict(Grade.MISSES, f": it misses {subject} {often}", labels)
    if not animals:
        words = "; it was asked about no other animal, so it may be an animal detector"
        return Verdict(Grade.FEW, words, _against_animals(found, trained_on_strangers))
    if recall.low < KNOWS:
        words = f": too few {_photos_or_occasions(recall)} of {subject} to say how well it knows {subject}"
        return Verdict(Grade.FEW, words, more)
    if not _clears(animals):
        words = (
            ": too few other animals, or too many mistakes, to call it more than an animal detector"
        )
        return Verdict(Grade.FEW, words, _against_animals(found, trained_on_strangers))
    if things is not None and not _is_low(things):
        words = f": too few things, or too many mistakes, to say that it knows {subject}"
        return Verdict(Grade.FEW, words, f"more photos without {subject} in not_{subject}/")
    return Verdict(Grade.KNOWS, f": it knows {subject}")


def _clears(animals: list[Rate]) -> bool:
    """The animals say that it is no animal detector: some of them surely, and none against it.

    Thousands of strangers make up for a handful of the album's own animals, but not for mistakes among these.
    """
    return all(_is_low(rate) for rate in animals) and any(
        rate.high < DETECTS_ANIMALS for rate in animals
    )


def _is_low(rate: Rate) -> bool:
    return rate.value <= DETECTS_ANIMALS


def _photos_or_occasions(rate: Rate) -> str:
    """What there is too little of."""
    return "occasions" if rate.groups < rate.n else "photos"


def _against_animals(found: Mapping[str, Rate], trained_on_strangers: bool) -> str:
    """What teaches a run what the subject is not."""
    more = "more photos of other animals in pets/"
    if trained_on_strangers:
        return more
    if "fpr_strangers" in found:  # so its network knows them
        return f"`data=strangers`, or {more}"
    return f"`model=reid data=strangers`, or {more}"


def _counted(found: Mapping[str, Rate], subject: str) -> str:
    """What was recognised and what was taken for the subject, without what no photo was held out
    of."""
    recall = found.get("recall")
    begin = (
        f"Recognises {recall.hits} of {recall.n} held-out photos of {subject} {_interval(recall)}"
        if recall
        else f"No photo of {subject} was held out"
    )
    others = [
        f"{found[name].hits:,} of {found[name].n:,} {words} {_interval(found[name])}"
        for name, words in OTHERS.items()
        if name in found
    ]
    if not others:
        return f"{begin} and was asked about nothing else" if recall else f"{begin}, nor any other"
    return f"{begin} and takes {_and(others)} for {subject}"


def _interval(rate: Rate) -> str:
    """95 %, and of how many occasions the photos are where that is not said by their number."""
    occasions = f"{counted(rate.groups, 'occasion')}; " if rate.groups < rate.n else ""
    digits = 0 if rate.n < 1000 else 1
    return f"({occasions}{100 * rate.low:.{digits}f} to {100 * rate.high:.{digits}f} %)"


def _and(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def few(reported: pd.DataFrame, subject: str, strangers: pd.DataFrame | None) -> str:
    """What was held out too seldom to say something; empty when all was often enough.

    Args:
        strangers: as for `summary`; an album needs no others where these were asked about.
    """
    found = _measured(reported, None)
    names = {
        "recall": f"photos of {subject}",
        "fpr_things": "photos of things",
        "fpr_pets": "photos of other animals",
    }
    small = []
    for part, name in names.items():
        rate = found.get(part)
        if rate is None and (part == "recall" or strangers is None):
            small.append(f"no {name}")
        elif rate is not None and rate.groups < FEW:
            of = f" from {counted(rate.groups, 'occasion')}" if rate.groups < rate.n else ""
            small.append(f"only {rate.n} {name}{of}")
    if not small:
        return ""
    text = f"{_and(small)} were held out: rates on them say next to nothing."
    return text[0].upper() + text[1:]
