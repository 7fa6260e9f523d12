import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ismila.evidence import context
from ismila.evidence.context import Context, context_of
from ismila.learning.held_out import HeldOutClassifiers
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.vision.animals import Animal
from ismila.vision.judgement import judgements
from ismila.vision.views import Viewer

SPEC = ImageSpec(32)


class Sees:
    recipe = "left half"
    digest = "left half"
    spec = ImageSpec(32)

    def __call__(self, images):
        seen = Animal((0.0, 0.0, 0.5, 1.0), "dog", 0.9)
        return [[seen] if image.max() > 200 else [] for image in images]


class Red:
    """Knows the subject by how red the left or the right half of a whole photo is."""

    spec = SPEC
    viewer = Viewer(SPEC)

    def __init__(self, half):
        self.half = half

    def judge(self, photos):
        return judgements(photos, self.probabilities)

    def probabilities(self, images):
        side = images[:, :, :16] if self.half == "left" else images[:, :, 16:]
        return ((side[..., 0] - side[..., 1].astype(float)).mean((1, 2)) > 100).astype(np.float32)


@pytest.fixture
def album(tmp_path):
    """Two photos, both halves of which are red, and one in which no animal is seen."""
    for name, colour in (("a", "red"), ("b", "red"), ("dark", (90, 0, 0))):
        path = tmp_path / f"mila/{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), colour).save(path)
    return Album(tmp_path, "mila", tmp_path / ".ismila")


def context_by(album, classifiers, monkeypatch, held_out_by="test"):
    monkeypatch.setattr(context, "bundled_detector", Sees)
    paths = ["mila/a.png", "mila/b.png", "mila/dark.png", "mila/gone.png", "not_mila/c.png"]
    label = ["subject"] * 4 + ["things"]
    table = pd.DataFrame({"path": paths, "label": label, "threshold": 0.5})
    table["held_out_by"] = held_out_by
    return context_of(table, HeldOutClassifiers(classifiers), album)


def test_who_looks_at_the_animal_needs_nothing_else(album, monkeypatch):
    found = context_by(album, {"test": Red("left")}, monkeypatch)
    assert found == Context(n=2, whole=2, animal=2, surroundings=0)
    assert found.kept_by_animal == 1


def test_who_looks_at_the_sofa_finds_it_without_the_animal(album, monkeypatch):
    found = context_by(album, {"test": Red("right")}, monkeypatch)
    assert found == Context(n=2, whole=2, animal=0, surroundings=2)


def test_without_a_photo_nothing_is_said(album, monkeypatch):
    monkeypatch.setattr(context, "bundled_detector", Sees)
    empty = pd.DataFrame({"path": [], "label": [], "threshold": [], "held_out_by": []})
    nobody = HeldOutClassifiers({})
    assert np.isnan(context_of(empty, nobody, album).kept_by_animal)


def test_each_photo_is_shown_to_the_classifier_that_was_not_trained_on_it(album, monkeypatch):
    """The kept classifier was trained on both photos: its word on them is no evidence."""
    folds = ["crossval 0", "crossval 1", "crossval 0", "crossval 0", "crossval 0"]
    classifiers = {"crossval 0": Red("left"), "crossval 1": Red("right")}
    found = context_by(album, classifiers, monkeypatch, folds)
    assert found == Context(n=2, whole=2, animal=1, surroundings=1)
