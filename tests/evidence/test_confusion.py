import pandas as pd
import pytest

from ismila.evidence.confusion import rates_of_subjects, taken_for_whom
from ismila.evidence.intervals import wilson
from ismila.photos import UserError


def predictions(subject, probabilities, held_out_by="test"):
    """Two photos of each of mila, rex and a dog, and one of a thing, seen from a subject."""
    shows = ["mila", "mila", "rex", "rex", "dog", "dog", "things"]
    label = [
        "subject" if name == subject else "things" if name == "things" else "pets" for name in shows
    ]
    table = pd.DataFrame({"kind": shows, "label": label, "probability": probabilities})
    sha256 = [f"{at:064x}" for at in range(len(shows))]
    return table.assign(threshold=0.5, held_out_by=held_out_by, sha256=sha256)


def test_each_column_counts_what_one_run_takes_for_its_subject():
    table = taken_for_whom(
        {
            "rex": predictions("rex", [0.1, 0.1, 0.9, 0.9, 0.6, 0.1, 0.1]),
            "mila": predictions("mila", [0.9, 0.2, 0.8, 0.1, 0.1, 0.1, 0.1]),
        }
    )
    assert list(table["shows"]) == ["rex", "mila", "dog", "things"]
    assert list(table["rex"]) == [2, 0, 1, 0]
    assert list(table["mila"]) == [1, 1, 0, 0]
    assert list(table["rex_n"]) == list(table["mila_n"]) == [2, 2, 2, 1]


def test_the_intervals_count_groups():
    mila = predictions("mila", [0.9] * 7).assign(group=["one", "one", *"abcde"])
    mila = mila.assign(held_out_by=["test"] * 4 + [""] * 3)
    row = taken_for_whom({"mila": mila, "rex": predictions("rex", [0.9] * 7)}).iloc[0]
    assert (row["mila_low"], row["mila_high"]) == pytest.approx(wilson(1, 1))
    assert (row["rex_low"], row["rex_high"]) == pytest.approx(wilson(1, 2))
    rates = rates_of_subjects({"mila": mila, "rex": predictions("rex", [0.9] * 7)})
    assert rates["mila"]["mila"].groups == 1
    assert rates["dog"]["mila"].n == 0


def test_only_reported_photos_count_each_by_its_own_threshold():
    held_out_by = ["test", "val", "", "crossval 0", "test", "test", ""]
    mila = predictions("mila", [0.9] * 7, held_out_by)
    mila["threshold"] = [0.95] + [0.5] * 6
    table = taken_for_whom({"mila": mila, "rex": predictions("rex", [0.9] * 7)}).set_index("shows")
    assert list(table.loc["mila", ["mila", "mila_n", "rex", "rex_n"]]) == [0, 1, 2, 2]
    assert list(table.loc["things", ["mila", "mila_n", "rex", "rex_n"]]) == [0, 0, 1, 1]


def test_runs_on_different_photos_cannot_be_compared():
    rex = predictions("rex", [0.5] * 7)
    with pytest.raises(UserError, match="mila and rex were trained on different photos"):
        taken_for_whom({"mila": predictions("mila", [0.5] * 7), "rex": rex[1:]})
