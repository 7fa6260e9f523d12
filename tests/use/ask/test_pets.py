"""Several pets in one pass."""

import json

import numpy as np
import pytest
from conftest import BLUE, call, draw_photo

from ismila.photos.images import ImageSpec
from ismila.use.ask.pets import Pets, pet_verdict
from ismila.vision.animals import Animal
from ismila.vision.decision import Decision
from ismila.vision.encoders import OnnxBackbone
from ismila.vision.judgement import OTHER
from ismila.vision.views import Viewer, Views

LEFT = Animal((0.0, 0.0, 0.5, 1.0), "dog", 0.9)
RIGHT = Animal((0.5, 0.0, 1.0, 1.0), "dog", 0.8)


def ismila(folder, *args):
    return call(folder, "ismila.cli", *args)


class Detector:
    """Sees a dog in either half of every photo."""

    spec = ImageSpec(32)
    digest = "d"
    recipe = "halves"

    def __call__(self, images):
        return [[LEFT, RIGHT] for _ in images]


class Encoder:
    digest = "mean colour"

    def __init__(self):
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        return images.mean((1, 2)).astype(np.float32) / 255


class Stub:
    """A classifier for which an image is the pet by so many units of a colour."""

    def __init__(self, channel, encoder, viewer, threshold=0.5):
        self.channel = channel
        self.encoder = encoder
        self.viewer = viewer
        self.decision = Decision(threshold)
        self.threshold = threshold

    def features(self, images):
        return self.encoder(images)

    def answer(self, features):
        return features[:, self.channel]

    def probabilities(self, images):
        return self.answer(self.features(images))


def pets_of(**stubs):
    return Pets(stubs, {name: f"run of {name}" for name in stubs})


def halves(left, right):
    """The looks of a photo with a dog of this colour on either side."""
    images = [np.full((8, 8, 3), np.array(colour) * 255) for colour in (left, right)]
    return Views(np.stack(images).astype(np.uint8), (LEFT, RIGHT), 2, 2)


@pytest.fixture
def pair():
    encoder = Encoder()
    viewer = Viewer(ImageSpec(8), Detector())
    return pets_of(mila=Stub(0, encoder, viewer), rex=Stub(2, encoder, viewer)), encoder, viewer


def test_each_animal_has_a_name_and_a_photo_each_pet_once(pair):
    pets, _, viewer = pair
    [both, second, nobody] = pets.judge(
        [
            {viewer.digest: halves((0.9, 0, 0.1), (0.2, 0, 0.8))},
            {viewer.digest: halves((0.8, 0, 0.95), (0.1, 0, 0.2))},
            {viewer.digest: halves((0.1, 0, 0.3), (0.2, 0, 0.1))},
        ]
    )
    assert both.names == ("mila", "rex")
    assert [one.name for one in both.animals] == ["mila", "rex"]
    assert [one.box for one in both.animals] == [LEFT.box, RIGHT.box]
    assert second.names == ("rex",)
    assert second.subjects["mila"].verdict == "not mila"
    assert second.subjects["mila"].probability == pytest.approx(0.8, abs=0.01)
    assert [one.name for one in second.animals] == ["rex", OTHER]
    assert nobody.names == ()
    assert {one.name for one in nobody.animals} == {OTHER}


def test_a_backbone_runs_once_for_all_heads_that_read_its_rows(pair):
    pets, encoder, viewer = pair
    photo = {viewer.digest: halves((1, 0, 0), (0, 0, 1))}
    pets.judge([photo, photo])
    assert encoder.calls == 1
    assert pets.judge([]) == []


def test_who_looks_otherwise_asks_itself_and_knows_the_same_animals(tmp_path):
    seen = []

    class Watched(Detector):
        def __call__(self, images):
            seen.append(len(images))
            return super().__call__(images)

    encoder = Encoder()
    detector = Watched()
    small = Stub(0, encoder, Viewer(ImageSpec(8), detector))
    large = Stub(2, encoder, Viewer(ImageSpec(16), detector))
    whole = Stub(1, encoder, Viewer(ImageSpec(8)))
    pets = pets_of(green=whole, mila=small, rex=large)
    looks = pets.read(draw_photo(tmp_path / "a.jpg", 1, True))
    assert seen == [1]
    assert sorted(len(views.images) for views in looks.values()) == [1, 2, 2]
    [together] = pets.judge([looks])
    assert encoder.calls == 3
    assert list(together.subjects) == ["green", "mila", "rex"]
    assert len(together.animals) == 2


def test_an_animal_that_another_pet_got_is_not_this_one():
    assert pet_verdict(0.99, 0.5, "mila", is_named=False) == "not mila"
    assert pet_verdict(0.99, 0.5, "mila", is_named=True) == "mila"
    assert pet_verdict(0.45, 0.5, "mila", is_named=False) == "unsure"
    assert pet_verdict(0.1, 0.5, "mila", is_named=False) == "not mila"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    draw_photo(folder / "mila.jpg", 901, True)
    draw_photo(folder / "nobody.jpg", 902, False)
    draw_photo(folder / "rex.jpg", 903, True, colour=BLUE)
    (folder / "text.jpg").write_text("no photo")
    return folder


@pytest.mark.slow
def test_predict_says_who_is_in_a_photo(both_trained, photos, monkeypatch):
    encoded = []
    encode = OnnxBackbone.__call__

    def counted(self, images):
        encoded.append(len(images))
        return encode(self, images)

    alone = {
        subject: ismila(both_trained, "predict", "--json", "--subject", subject, photos)
        for subject in ("mila", "rex")
    }
    monkeypatch.setattr(OnnxBackbone, "__call__", counted)
    said = ismila(both_trained, "predict", "--json", "--subject", "mila,rex", photos)
    assert said.returncode == 1
    assert said.stderr == ""
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert sum(encoded) == 3 + 2  # and once each when the two classifiers were loaded
    assert [line.get("names") for line in lines] == [["mila"], [], ["rex"], None]
    assert set(lines[0]) == {"path", "names", "subjects", "animals"}
    assert set(lines[0]["subjects"]["mila"]) == {"probability", "is_subject", "threshold", "run"}
    assert lines[3] == {"path": str(photos / "text.jpg"), "error": "not a picture"}
    for subject, answered in alone.items():
        for line, own in zip(
            lines[:3], map(json.loads, answered.stdout.splitlines()), strict=False
        ):
            shared = line["subjects"][subject]
            assert shared["probability"] == pytest.approx(own["probability"], abs=1e-6)
            assert (shared["run"], shared["is_subject"]) == (own["run"], own["is_subject"])


@pytest.mark.slow
def test_predict_in_words_and_wrong_usage(both_trained, photos):
    said = ismila(both_trained, "predict", "--subject", "mila,rex", "--run", "champion", photos)
    words = [line.split("  ")[0].strip() or line.strip() for line in said.stdout.splitlines()]
    first, nobody, last, broken = said.stdout.splitlines()
    assert first.split()[0] == "mila", words
    assert nobody.strip().startswith("not mila, not rex  mila ")
    assert last.split()[0] == "rex"
    assert broken.endswith("text.jpg: not a picture")
    run = json.loads(ismila(both_trained, "predict", "--json", photos).stdout.splitlines()[0])[
        "run"
    ]
    wrong = ismila(both_trained, "predict", "--subject", "mila,rex", "--run", run[:12], photos)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    unknown = ismila(both_trained, "predict", "--subject", "mila,tom", photos)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
    assert "no finished run of tom yet" in unknown.stderr
