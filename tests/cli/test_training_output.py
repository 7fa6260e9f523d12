"""The album that a training takes, and what it prints."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import draw_photo
from recorded import trained_of

from ismila.cli import training
from ismila.demo import drawn
from ismila.photos.images import ImageSpec
from ismila.vision.architecture import Architecture
from ismila.vision.classifier import Classifier


@pytest.fixture(autouse=True)
def small_demo(tmp_path, monkeypatch):
    """A demo album of ten drawings, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    whole = drawn.draw_album

    def small(root, subject, seed=0, progress=None):
        return whole(root, subject, seed, progress, share=0.001)

    monkeypatch.setattr(drawn, "draw_album", small)
    return tmp_path


def test_photos_come_before_the_demo_album(tmp_path):
    draw_photo(tmp_path / "data/photos/mila/a.jpg", 1, True)
    assert str(training.choose_root(None, "mila")) == "data/photos"
    assert str(training.choose_root("elsewhere", "mila")) == "elsewhere"


def test_what_is_no_photo_does_not_disable_the_demo_album(tmp_path, capsys):
    derived = tmp_path / "data/photos/.ismila"
    derived.mkdir(parents=True)
    (derived / "index.parquet").write_text("left over")
    (tmp_path / "data/photos/README.md").write_text("Put photos here.")
    assert str(training.choose_root(None, "mila")) == "data/demo"
    assert "which is drawn, not photographed" in capsys.readouterr().err
    assert (tmp_path / "data/demo/mila/mila_001.jpg").is_file()


def test_each_subject_has_a_demo_album_of_its_own(tmp_path):
    for subject, place in (
        ("rex", "data/demo-rex"),
        ("mila", "data/demo"),
        ("rex", "data/demo-rex"),
    ):
        assert str(training.choose_root(None, subject)) == place
        assert json.loads((tmp_path / place / ".drawn.json").read_text())["subject"] == subject


def test_an_album_in_words(capsys):
    rows = [{"path": f"{i}.jpg", "label": "subject", "problem": ""} for i in range(3)]
    rows += [{"path": f"x{i}.jpg", "label": "", "problem": "empty file"} for i in range(25)]
    training.print_album(pd.DataFrame(rows), "here", "mila")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == ("here: 3 photos of mila, 0 of things, 0 of other animals; 25 left out")
    assert lines[1] == "  left out: x0.jpg: empty file"
    assert "and 5 more" in lines[21]
    assert lines[22].startswith("Fewer than 10 photos of mila")


def test_photos_that_cannot_be_read_any_more_are_named(capsys):
    training.print_unread({})
    training.print_unread({f"mila/{n}.jpg": "file not found" for n in range(5)})
    assert capsys.readouterr().err.splitlines() == [
        "5 photos left out, read no more: mila/0.jpg: file not found; mila/1.jpg: file not found; "
        "mila/2.jpg: file not found; and 2 more"
    ]


def test_a_run_in_a_table(capsys):
    predictions = pd.DataFrame(
        {
            "label": ["subject", "things", "things", "subject"],
            "kind": ["mila", "things", "things", "mila"],
            "closeup": [True, None, None, False],
            "probability": np.array([0.9, 0.1, 0.8, 0.7]),
            "threshold": 0.5,
            "held_out_by": ["test", "test", "test", ""],
            "group": ["m", "burst", "burst", "n"],
        }
    )
    cnn = Architecture(name="cnn")
    classifier = Classifier({}, cnn, ImageSpec(), "mila", run="0123456789")
    epochs = [{"accuracy": 0.75, "val_accuracy": 0.5}]
    trained = trained_of(classifier, predictions, epochs)
    training.print_run(trained, "Recognises [her] well.", 1.25, champion=True)
    shown = capsys.readouterr().out
    assert "run 01234567: is it mila?" in shown
    [things] = [line for line in shown.splitlines() if "test: things taken for mila" in line]
    assert things.replace("│", " ").split()[5:] == ["0.500", "1/2", "1", "0.069", "to", "0.931"]
    assert "Recognises [her] well." in shown
    assert "best epoch 1 of 1, 4 photos, 1.2 s" in shown
    assert "models:/mila@champion" in shown
