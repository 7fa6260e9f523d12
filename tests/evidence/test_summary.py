import pandas as pd
import pytest
from recorded import predictions_of

from ismila.evidence.summary import few, summary


def held_out(recognised, n, things, pets, n_pets):
    rows = [("subject", "mila", at < recognised) for at in range(n)]
    rows += [("things", "things", at < things) for at in range(50)]
    rows += [("pets", "dog", at < pets) for at in range(n_pets)]
    table = pd.DataFrame(rows, columns=["label", "kind", "taken"])
    return table.assign(probability=table["taken"].astype(float), closeup=False, threshold=0.5)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (held_out(19, 20, 0, 1, 80), "more than an animal detector"),
        (held_out(20, 20, 0, 40, 80), "rather an animal detector"),
        (held_out(4, 20, 0, 0, 80), "misses mila more often than not"),
        (held_out(9, 10, 0, 0, 6), "too few animals"),
        (held_out(9, 10, 0, 0, 0), "asked about no other animal"),
    ],
)
def test_the_sentence_follows_from_the_counts(table, words):
    assert words in summary(table, "mila", None)


def test_each_photo_counts_by_its_own_threshold():
    table = held_out(0, 20, 0, 0, 80).assign(probability=0.4)
    table.loc[table["label"] == "subject", "threshold"] = 0.3
    assert summary(table, "mila", None).startswith("Recognises 20 of 20 held-out photos of mila")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 0), "No photo of mila was held out, nor any other"),
        ((0, 5, 5), "how often mila is recognised was not measured"),
        ((5, 0, 0), "was asked about nothing else"),
        ((0, 5, 0), "No photo of mila was held out and takes"),
        ((5, 0, 5), "5 held-out photos of mila and takes"),
    ],
)
def test_sides_without_a_photo_are_said_and_not_counted(counts, words):
    sentence = summary(predictions_of(*counts), "mila", None)
    assert words in sentence
    assert " of 0 " not in sentence


def test_too_few_photos_are_said():
    assert few(held_out(9, 10, 0, 0, 6), "mila", None) == (
        "Only 6 photos of other animals were held out: rates on them say next to nothing."
    )
    assert few(held_out(19, 20, 0, 0, 80), "mila", None) == ""
    assert "No photos of mila and only 3 photos of things were" in few(
        predictions_of(0, 3, 30), "mila", None
    )
    assert few(predictions_of(4, 0, 0), "mila", None) == (
        "Only 4 photos of mila, no photos of things and no photos of other animals were held out: "
        "rates on them say next to nothing."
    )


def strangers(taken, n):
    kinds = ["dog"] * n + ["things"] * 150
    table = pd.DataFrame({"kind": kinds, "threshold": 0.5})
    return table.assign(probability=(table.index < taken).astype(float))


@pytest.mark.parametrize(
    ("album", "taken", "words"),
    [
        (
            held_out(3, 3, 0, 0, 0)[:3],
            7,
            "takes 7 of 2,069 strangers for mila: more than an animal",
        ),
        (held_out(3, 3, 0, 0, 0)[:3], 900, "rather an animal detector"),
        (held_out(9, 10, 0, 0, 6), 7, "things, 0 of 6 other animals and 7 of 2,069 strangers for"),
        (held_out(9, 10, 0, 0, 6), 7, "mila: more than an animal detector"),
        (held_out(9, 10, 0, 40, 80), 7, "rather an animal detector"),
    ],
)
def test_strangers_count_where_the_run_was_asked_about_them(album, taken, words):
    assert words in summary(album, "mila", strangers(taken, 2069))


def test_who_was_asked_about_strangers_is_told_of_no_others_that_are_missing():
    assert few(predictions_of(4, 0, 3), "mila", strangers(7, 2069)) == (
        "Only 4 photos of mila and only 3 photos of other animals were held out: "
        "rates on them say next to nothing."
    )
