import numpy as np
from test_dataset import rows

from ismila.learning.outcome import AlbumPredictions, predictions_of, selection_of
from ismila.vision.decision import Calibration, Decision


def test_answers_by_folds_say_what_held_each_row_out():
    album = rows("data=pets")
    logits = np.linspace(-3, 3, len(album)).astype(np.float32)
    used = album.trains & album.is_in("train")
    answers = AlbumPredictions.by_folds(album, logits, Decision(0.6, Calibration(2.0)), used)
    table = predictions_of(album, answers)
    assert list(table["path"]) == sorted(table["path"])
    assert (table["held_out_by"] == table["fold"].where(table["fold"] != "train", "")).all()
    assert np.allclose(table["threshold"], 0.6)
    assert table.loc[table["used"], "fold"].eq("train").all()
    by_path = table.set_index("path")["probability"]
    assert by_path[album.table["path"][0]] == answers.probability[0]


def test_the_selection_holds_the_rows_that_were_asked_for():
    album = rows("data=base")
    of_val = album.is_in("val")
    selection = selection_of(album, of_val, np.full(int(of_val.sum()), 0.25, np.float32))
    assert list(selection) == ["path", "group", "label", "kind", "probability"]
    assert set(selection["label"]) == {
        "subject",
        "things",
        "pets",
    }  # animals included, whatever trains
