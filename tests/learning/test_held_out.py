import numpy as np
import pandas as pd
import pytest
from conftest import draw_sides
from quick import QUICK, train_on
from stand_ins import noise, untrained

from ismila.learning.held_out import FoldNetwork, HeldOutClassifiers, training_rows
from ismila.photos.album import Album
from ismila.vision.decision import Calibration, Decision


def test_only_what_differs_from_the_kept_classifier_is_written(tmp_path):
    kept = untrained("mobilenet")
    other = {"head.0.weight": np.flip(kept.weights["head.0.weight"], 1).copy()}
    networks = {
        "crossval 0": FoldNetwork(other, Decision(0.8, Calibration(2.0, -1.0))),
        "crossval 1": FoldNetwork({}, Decision(0.3)),
    }
    before = HeldOutClassifiers.beside(kept, networks)
    path = tmp_path / "held_out.safetensors"
    before.save(path, kept)
    assert path.stat().st_size < 10_000
    after = HeldOutClassifiers.load(path, kept)
    images = noise(kept.spec)
    for fold in networks:
        assert after[fold].decision == networks[fold].decision
        assert np.array_equal(after[fold].probabilities(images), before[fold].probabilities(images))
    assert not np.allclose(after["crossval 0"].logits(images), kept.logits(images))
    assert np.allclose(after["crossval 1"].logits(images), kept.logits(images))


@pytest.mark.parametrize(
    ("network", "overrides"),
    [("mobilenet", ["refit=all"]), ("cnn", ["refit=all"]), ("hidden", ["refit=all"]), ("cnn", [])],
)
def test_the_classifier_of_the_test_fold_repeats_what_was_reported(enough, network, overrides):
    """The kept one of `refit=all` was trained on these photos: what it says of them is something else."""
    trained = train_on(enough, *QUICK[network], "data=pets", *overrides)
    test = trained.predictions.query("held_out_by == 'test'")
    assert repeated(trained, test, Album.open(enough, "mila")) < 1e-5
    if overrides:
        kept = HeldOutClassifiers({"test": trained.classifier})
        assert difference(kept, test, Album.open(enough, "mila")) > 1e-4


def test_the_heads_of_a_cross_validation_repeat_what_was_reported(tmp_path):
    root = draw_sides(tmp_path, 9, 30, 10)
    trained = train_on(root, *QUICK["mobilenet"], "data=pets")
    album = Album.open(root, "mila")
    assert sorted(trained.held_out.by_fold) == sorted(trained.predictions["held_out_by"].unique())
    assert repeated(trained, trained.predictions, album) < 1e-5


@pytest.mark.slow
def test_the_heads_of_a_cross_validation_with_strangers_repeat_what_was_reported(tmp_path):
    """Their rows are in other units, and in as few coordinates as there are rows."""
    root = draw_sides(tmp_path, 8, 4)
    trained = train_on(root, "model=mobilenet", "data=strangers")
    assert repeated(trained, trained.predictions, Album.open(root, "mila")) < 1e-4


def repeated(trained, rows, album):
    return difference(trained.held_out, rows, album)


def difference(classifiers, rows, album):
    """The largest between what is predicted now and what the table says."""
    off = []
    for row in rows.itertuples():
        classifier = classifiers[row.held_out_by]
        views = classifier.viewer.read(album.root / row.path)
        off.append(abs(classifier.judge([views])[0].probability - row.probability))
    return max(off)


def test_a_reported_photo_is_never_among_the_photos_that_trained_for_it():
    table = pd.DataFrame(
        {
            "path": list("abcdef"),
            "fold": ["train", "train", "val", "test", "test", "train"],
            "held_out_by": ["", "", "val", "test", "test", ""],
            "used": [True, False, True, True, True, True],
        }
    )
    assert training_rows(table, "test")["path"].tolist() == ["a", "f"]
    folds = table.assign(held_out_by=["crossval 0", "crossval 1"] * 3)
    assert training_rows(folds, "crossval 0")["path"].tolist() == ["d", "f"]
    assert training_rows(folds, "crossval 1")["path"].tolist() == ["a", "c", "e"]
