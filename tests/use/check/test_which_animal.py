"""Which animal is taken for the subject, on a detector that sees a pair in some photos of one."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.photos.index import usable
from ismila.use.check import which_animal
from ismila.use.check.which_animal import choices
from ismila.vision.animals import Animal

LEFT = (0.05, 0.0, 0.4, 1.0)
RIGHT = (0.6, 0.0, 0.95, 1.0)
SHE = (250, 140, 20)
ANOTHER = (20, 90, 250)


class Sees:
    """Finds an animal in each half of a photo that is not grey."""

    recipe = "halves"
    digest = "halves"
    spec = ImageSpec(32)

    def __call__(self, images):
        return [
            [
                Animal(box, "dog", 0.9)
                for box, half in ((LEFT, image[:, :10]), (RIGHT, image[:, 22:]))
                if np.ptp(half.mean((0, 1))) > 20
            ]
            for image in images
        ]


class Colour:
    """Stands for a backbone: the mean colour, and some noise that is the photo's own."""

    digest = "colour"
    dtype = "<f4"
    shape = (3,)

    def __init__(self, *_):
        pass

    def __call__(self, images):
        return images.mean((1, 2)).astype(np.float32)


def photo(path, left, right, seed):
    rng = np.random.default_rng(seed)
    pixels = np.empty((60, 160, 3), np.int16)
    pixels[:, :80] = left
    pixels[:, 80:] = right
    noise = rng.integers(-12, 13, (6, 16, 1)).repeat(10, 0).repeat(10, 1)
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(path)


GREY = (120, 120, 120)


@pytest.fixture
def album(tmp_path, monkeypatch):
    """Twelve photos of her alone; with another animal; with one just like her; with nobody."""
    monkeypatch.setattr(which_animal, "bundled_detector", Sees)
    monkeypatch.setattr(which_animal, "OnnxBackbone", Colour)
    root = tmp_path / "album"
    for at in range(12):
        photo(root / f"mila/{at}.png", SHE, GREY, at)
    photo(root / "mila/pair.png", ANOTHER, SHE, 20)
    photo(root / "mila/twins.png", SHE, SHE, 21)
    photo(root / "mila/nobody.png", GREY, GREY, 22)
    photo(root / "mila/other.png", GREY, ANOTHER, 23)
    return Album.open(root, "mila")


def chosen(album):
    return choices(album, usable(album.update()))


def test_the_one_like_her_other_photos_is_taken_and_what_is_not_clear_is_said(album):
    found = chosen(album)
    assert (found["mila/pair.png"].chosen, found["mila/pair.png"].doubt) == (1, "")
    assert found["mila/pair.png"].boxes == (LEFT, RIGHT)
    doubts = {path: one.doubt for path, one in found.items() if one.doubt}
    assert doubts == {
        "mila/twins.png": "which",
        "mila/nobody.png": "none",
        "mila/other.png": "unlike",
    }
    assert found["mila/twins.png"].reason("mila") == "which of 2 animals is mila?"


def test_what_labels_csv_settles_is_no_doubt_any_more(album):
    album.correct("mila/twins.png", {"box": "0.6 0 1 1"})
    album.correct("mila/nobody.png", {"box": "none"})
    album.correct("mila/other.png", {"box": "0 0.2 0.4 0.5"})
    found = chosen(album)
    settled = [found[f"mila/{name}.png"] for name in ("twins", "nobody", "other")]
    assert not any(one.doubt for one in settled) and all(one.settled for one in settled)
    assert found["mila/twins.png"].chosen == 1
    assert [found[f"mila/{name}.png"].chosen for name in ("nobody", "other")] == [None, None]


def test_where_animals_are_hardly_ever_found_it_is_not_said_of_each_photo(album):
    for at in range(8):
        photo(album.root / f"mila/{at}.png", GREY, GREY, 40 + at)
    assert "none" not in {one.doubt for one in chosen(album).values()}


def test_an_album_without_photos_of_the_subject_has_no_choices(album):
    assert choices(album, pd.DataFrame({"label": [], "box": [], "sha256": [], "path": []})) == {}
