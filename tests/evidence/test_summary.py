from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from recorded import predictions_of

from ismila.evidence.metrics import rates, stranger_rates
from ismila.evidence.summary import Grade, few, summary, verdict_of


@dataclass(frozen=True)
class Side:
    """So many photos of n are taken for the subject; they are of so many occasions, of each alike."""

    taken: int = 0
    n: int = 0
    occasions: int = 0

    def rows(self, label, kind, threshold):
        groups = np.arange(self.n) * (self.occasions or self.n) // max(self.n, 1)
        p = np.where(np.arange(self.n) < self.taken, threshold + 0.01, threshold - 0.01)
        table = pd.DataFrame({"probability": p, "group": [f"{kind} {group}" for group in groups]})
        return table.assign(label=label, kind=kind, closeup=False, threshold=threshold)


def held_out(subject=Side(), things=Side(0, 50), pets=Side(), threshold=0.5):
    return pd.concat(
        [
            subject.rows("subject", "mila", threshold),
            things.rows("things", "things", threshold),
            pets.rows("pets", "dog", threshold),
        ],
        ignore_index=True,
    )


def strangers(taken, n=2069):
    kinds = ["dog"] * n + ["things"] * 150
    table = pd.DataFrame({"kind": kinds, "threshold": 0.5})
    return table.assign(probability=(table.index < taken).astype(float))


FINE = strangers(7)
DAYS = "more photos of mila from other days"
PETS = "more photos of other animals in pets/"
MADE_UP = {
    "knows her": (held_out(Side(19, 20), pets=Side(1, 80)), None, Grade.KNOWS, ""),
    "knows her, by strangers alone": (held_out(Side(19, 20), Side()), FINE, Grade.KNOWS, ""),
    "a handful of animals, many strangers": (
        held_out(Side(19, 20), pets=Side(0, 6)),
        FINE,
        Grade.KNOWS,
        "",
    ),
    "6 of 9": (held_out(Side(6, 9), pets=Side(0, 80)), None, Grade.FEW, DAYS),
    "4 of 4 at a low threshold": (
        held_out(Side(4, 4), pets=Side(0, 80), threshold=0.13),
        FINE,
        Grade.FEW,
        DAYS,
    ),
    "40 of 40, three bursts": (
        held_out(Side(40, 40, occasions=3), pets=Side(0, 80)),
        FINE,
        Grade.FEW,
        "more photos of mila from other days",
    ),
    "60 animals, two bursts": (
        held_out(Side(19, 20), pets=Side(0, 60, occasions=2)),
        None,
        Grade.FEW,
        PETS,
    ),
    "few animals": (held_out(Side(19, 20), pets=Side(0, 6)), None, Grade.FEW, PETS),
    "some of them taken, few strangers": (
        held_out(Side(19, 20), pets=Side(2, 8)),
        FINE,
        Grade.FEW,
        "`data=strangers`",
    ),
    "no animals asked": (held_out(Side(19, 20)), None, Grade.FEW, "data=strangers"),
    "a detector": (held_out(Side(20, 20), pets=Side(40, 80)), None, Grade.DETECTOR, PETS),
    "a detector of strangers": (
        held_out(Side(3, 3), Side()),
        strangers(900),
        Grade.DETECTOR,
        "`data=strangers`",
    ),
    "a detector of the album's": (
        held_out(Side(9, 10), pets=Side(40, 80)),
        FINE,
        Grade.DETECTOR,
        "`data=strangers`",
    ),
    "few photos, and a detector": (
        held_out(Side(3, 3), pets=Side(40, 80)),
        None,
        Grade.DETECTOR,
        PETS,
    ),
    "misses most": (
        held_out(Side(4, 20), pets=Side(0, 80)),
        None,
        Grade.MISSES,
        "wrong labels with `ismila check`",
    ),
    "misses many": (held_out(Side(15, 26), pets=Side(0, 80)), FINE, Grade.MISSES, "ismila check"),
    "misses two of two": (held_out(Side(0, 2), pets=Side(0, 80)), FINE, Grade.MISSES, DAYS),
    "things taken": (
        held_out(Side(19, 20), Side(20, 50), Side(0, 80)),
        FINE,
        Grade.THINGS,
        "not_mila/",
    ),
    "a few things, one taken": (
        held_out(Side(19, 20), Side(1, 5), Side(0, 80)),
        FINE,
        Grade.FEW,
        "not_mila/",
    ),
    "nothing of her held out": (held_out(pets=Side(0, 80)), FINE, Grade.UNMEASURED, DAYS),
    "nothing held out": (held_out(things=Side()), None, Grade.UNMEASURED, DAYS),
}


def verdict_on(table, asked, on_strangers=False):
    found = {name: rate for name, rate in (rates(table) | stranger_rates(asked)).items() if rate.n}
    return verdict_of(found, "mila", on_strangers)


@pytest.mark.parametrize(("table", "asked", "grade", "tip"), MADE_UP.values(), ids=MADE_UP)
def test_the_verdict_on_made_up_results(table, asked, grade, tip):
    verdict = verdict_on(table, asked)
    assert (verdict.grade, bool(verdict.help)) == (grade, bool(tip))
    assert tip in verdict.help
    sentence = summary(table, "mila", asked)
    assert verdict.words in sentence
    assert ("What would help most: " in sentence) == bool(tip)
    assert not {"her", "she"} & set(sentence.replace(":", " ").split())


def test_no_verdict_is_grander_than_its_interval():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n, n_pets = rng.integers(0, 60, 2)
        subject = Side(int(rng.binomial(n, 0.9)), int(n), int(rng.integers(1, n + 2)))
        pets = Side(int(rng.binomial(n_pets, 0.03)), int(n_pets), int(rng.integers(1, n_pets + 2)))
        table = held_out(subject, pets=pets)
        verdict = verdict_on(table, None)
        found = rates(table)
        if verdict.grade is Grade.KNOWS:
            assert found["recall"].low >= 0.7
            assert found["fpr_pets"].high < 0.1
        if verdict.grade is Grade.DETECTOR:
            assert found["fpr_pets"].low > 0.1


def test_what_is_counted_is_said_with_its_interval_and_its_occasions():
    table = held_out(Side(40, 40, occasions=3), Side(0, 50), Side(1, 80))
    assert summary(table, "mila", FINE) == (
        "Recognises 40 of 40 held-out photos of mila (3 occasions; 44 to 100 %) and takes 0 of 50 things (0 to 7 %), "
        "1 of 80 other animals (0 to 7 %) and 7 of 2,069 strangers (0.2 to 0.7 %) for mila: too few occasions of mila "
        "to say how well it knows mila. What would help most: more photos of mila from other days."
    )


def test_what_was_done_already_is_not_advised():
    table = held_out(Side(20, 20), pets=Side(40, 80))
    assert "`data=strangers`, or more" in summary(table, "mila", FINE)
    assert "`model=reid data=strangers`, or more" in summary(table, "mila", None)
    assert "data=strangers" not in summary(table, "mila", FINE, trained_on_strangers=True)


def test_each_photo_counts_by_its_own_threshold():
    table = held_out(Side(0, 20), pets=Side(0, 80)).assign(probability=0.4)
    table.loc[table["label"] == "subject", "threshold"] = 0.3
    assert summary(table, "mila", None).startswith("Recognises 20 of 20 held-out photos of mila")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 0), "No photo of mila was held out, nor any other"),
        ((0, 5, 5), "how often mila is recognised was not measured"),
        ((5, 0, 0), "was asked about nothing else"),
        ((0, 5, 0), "No photo of mila was held out and takes"),
        ((5, 0, 5), "5 held-out photos of mila ("),
    ],
)
def test_sides_without_a_photo_are_said_and_not_counted(counts, words):
    sentence = summary(predictions_of(*counts), "mila", None)
    assert words in sentence
    assert " of 0 " not in sentence


def test_too_few_photos_are_said():
    assert few(held_out(Side(9, 10), pets=Side(0, 6)), "mila", None) == (
        "Only 6 photos of other animals were held out: rates on them say next to nothing."
    )
    assert few(held_out(Side(19, 20), pets=Side(0, 80)), "mila", None) == ""
    assert "No photos of mila and only 3 photos of things were" in few(
        predictions_of(0, 3, 30), "mila", None
    )
    assert few(predictions_of(4, 0, 0), "mila", None) == (
        "Only 4 photos of mila, no photos of things and no photos of other animals were held out: "
        "rates on them say next to nothing."
    )


def test_many_photos_of_few_occasions_are_few():
    table = held_out(Side(40, 40, occasions=3), pets=Side(0, 80, occasions=12))
    assert few(table, "mila", None) == (
        "Only 40 photos of mila from 3 occasions were held out: rates on them say next to nothing."
    )


def test_who_was_asked_about_strangers_is_told_of_no_others_that_are_missing():
    assert few(predictions_of(4, 0, 3), "mila", FINE) == (
        "Only 4 photos of mila and only 3 photos of other animals were held out: "
        "rates on them say next to nothing."
    )
