import numpy as np
import pytest
from conftest import draw_photo
from PIL import Image
from stand_ins import Sees

from ismila.photos.images import ImageSpec, PhotoError, read_image, square_around
from ismila.vision import views
from ismila.vision.animals import Animal
from ismila.vision.views import MOST_ANIMALS, Viewer

SPEC = ImageSpec(64)


def halves():
    """Left red, right blue."""
    photo = Image.new("RGB", (200, 100), "red")
    photo.paste("blue", (100, 0, 200, 100))
    return photo


def test_each_animal_is_an_image_of_its_own():
    viewer = Viewer(SPEC, Sees((0.05, 0.2, 0.35, 0.8), (0.65, 0.2, 0.95, 0.8)))
    seen = viewer.views(halves())
    assert seen.images.shape == (2, 64, 64, 3)
    assert (seen.images[0] == (255, 0, 0)).all()
    assert (seen.images[1] == (0, 0, 255)).all()
    assert [animal.score for animal in seen.animals] == [0.9, 0.8]


def test_where_no_animal_is_seen_the_whole_photo_is_the_view(tmp_path):
    path = draw_photo(tmp_path / "a.jpg", 0, True)
    whole = Viewer(SPEC).read(path)
    assert whole.animals == ()
    np.testing.assert_array_equal(whole.images[0], read_image(path, SPEC))
    nothing = Viewer(SPEC, Sees()).views(halves())
    assert nothing.animals == ()
    assert nothing.images.shape == (1, 64, 64, 3)


def test_animals_that_are_known_are_not_looked_for():
    detector = Sees((0.0, 0.0, 0.5, 1.0))
    known = [Animal((0.5, 0.0, 1.0, 1.0), "cat", 0.3)]
    seen = Viewer(SPEC, detector).views(halves(), known)
    assert detector.looked == 0
    assert (seen.images[0][:, 32:] == (0, 0, 255)).all()


def test_of_a_herd_the_surest_are_asked_about():
    boxes = [(0.1 * at, 0.0, 0.1 * at + 0.1, 1.0) for at in range(9)]
    assert len(Viewer(SPEC, Sees(*boxes)).views(halves()).images) == MOST_ANIMALS


def test_a_far_animal_keeps_its_pixels(tmp_path):
    """A photo of 4096 px is decoded at 1024: what fills a quarter of it fills the square."""
    photo = Image.new("RGB", (4096, 4096), "white")
    photo.save(tmp_path / "large.jpg")
    assert Viewer(SPEC, Sees((0, 0, 0.25, 0.25))).read(tmp_path / "large.jpg").width_px == 1024
    assert Viewer(SPEC).read(tmp_path / "large.jpg").width_px == 512


def test_what_is_no_photo_is_said():
    with pytest.raises(PhotoError, match="not a picture"):
        Viewer(SPEC, Sees()).read(b"text")


def test_the_digest_names_all_that_makes_the_views(monkeypatch):
    digests = {Viewer(SPEC).digest, Viewer(ImageSpec(65)).digest, Viewer(SPEC, Sees()).digest}
    recipes = {Viewer(SPEC).recipe, Viewer(SPEC, Sees()).recipe}
    monkeypatch.setattr(views, "MARGIN", 0.5)
    digests.add(Viewer(SPEC, Sees()).digest)
    recipes.add(Viewer(SPEC, Sees()).recipe)
    assert len(digests) == 4
    assert len(recipes) == 3


def test_a_recipe_is_the_same_whatever_decodes_the_photos(monkeypatch):
    before = Viewer(SPEC, Sees()).recipe
    monkeypatch.setattr("ismila.photos.images.READER", "Pillow 0")
    assert Viewer(SPEC, Sees()).recipe == before


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((0.4, 0.2, 0.6, 0.6), (77, 17, 123, 63)),  # 40 px, and 15 % more
        ((0.0, 0.0, 0.1, 0.2), (0, 0, 23, 23)),  # in a corner: shifted inside
        ((0.0, 0.0, 1.0, 1.0), (0, 0, 200, 100)),  # larger than the picture: all of it
        ((0.2, 0.0, 0.8, 1.0), (31, 0, 169, 100)),
    ],
)
def test_the_square_lies_inside_the_picture(box, square):
    assert square_around(box, (200, 100), 0.15) == pytest.approx(square, abs=2.5)
