"""A person's box: which image of a photo trains, and that no row of an old box is taken for a new one."""

import pandas as pd
import pytest
from test_animal_table import Counting, photos_in

from ismila.learning.features import Features
from ismila.learning.given import animal_matching_box, annotated_boxes, cut_name, view_matching_box
from ismila.photos.images import ImageSpec
from ismila.vision.animals import Animal
from ismila.vision.views import Viewer

SPEC = ImageSpec(32)
LEFT = Animal((0.0, 0.0, 0.5, 1.0), "dog", 0.9)
RIGHT = Animal((0.5, 0.0, 1.0, 1.0), "cat", 0.5)


@pytest.mark.parametrize(
    ("text", "animals", "image"),
    [
        ("0.45 0 1 0.9", [LEFT, RIGHT], 1),
        ("0.25 0 0.75 1", [LEFT, RIGHT], None),
        ("0.25 0 0.75 1", [], None),
        ("none", [LEFT, RIGHT], None),
        ("none", [], 0),
    ],
)
def test_a_box_means_the_animal_with_which_it_shares_most(text, animals, image):
    assert view_matching_box(text, animals) == image


def test_of_two_that_overlap_the_nearer_one_is_meant():
    assert (
        animal_matching_box((0.0, 0.0, 0.6, 1.0), [RIGHT, Animal((0, 0, 0.8, 1), "dog", 1), LEFT])
        == 2
    )


def test_photos_without_a_box_are_not_among_those_given():
    rows = pd.DataFrame({"sha256": ["a", "b"], "box": ["", "none"]})
    assert annotated_boxes(rows) == {"b": "none"}


class Corner:
    """Stands for a backbone: the colour of the middle."""

    digest = "corner"
    dtype = "<f4"
    shape = (3,)

    def __call__(self, images):
        return images[:, 16, 16].astype("float32")


@pytest.fixture
def photos(tmp_path):
    from conftest import draw_photo

    for number in range(3):
        draw_photo(tmp_path / f"photos/{number}.jpg", number, subject=True)
    return photos_in(tmp_path / "photos")


def filled(photos, derived, given, detector=None):
    features = Features(derived, Viewer(SPEC, detector or Counting()), Corner(), given)
    assert features.fill(photos) == {}
    return features


def test_a_box_in_which_no_animal_was_found_is_cut_out_for_training_only(photos, tmp_path):
    shas = [sha for sha, _ in photos]
    given = {shas[0]: "0.8 0.8 1 1", shas[1]: "0 0 1 0.5", shas[2]: "none"}
    features = filled(photos, tmp_path / "derived", given)
    images = features.images(shas)
    assert images.photo.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert images.labelled.tolist() == [False, False, True, False, True, False, False, True]
    assert images.asked.tolist() == [True, True, False, True, True, True, True, False]
    # what is asked about is what it was without a box
    plain, photo = features.all_rows(shas)
    assert photo.tolist() == [0, 0, 1, 1, 2, 2]
    assert (features.rows_of(images)[images.asked] == plain).all()


def test_a_changed_box_gives_a_new_row_and_looks_for_no_animal_again(photos, tmp_path):
    sha = photos[0][0]
    counting = Counting()
    before = filled(photos, tmp_path / "derived", {sha: "0 0.8 0.2 1"}, counting)
    rows = before.rows_of(before.images([sha]))
    changed = Features(tmp_path / "derived", before.viewer, Corner(), {sha: "0.8 0 1 0.2"})
    assert not changed.has(sha) and changed.has(photos[1][0])
    changed.fill(photos)
    again = changed.rows_of(changed.images([sha]))
    assert (again[:2] == rows[:2]).all() and (again[2] != rows[2]).any()
    assert counting.looked == 3
    assert cut_name(sha, "0 0.8 0.2 1") != cut_name(sha, "0.8 0 1 0.2")


def test_where_the_whole_photo_is_asked_a_box_changes_nothing(photos, tmp_path):
    sha = photos[0][0]
    features = Features(tmp_path / "derived", Viewer(SPEC), Corner(), {sha: "0 0.8 0.2 1"})
    features.fill(photos)
    images = features.images([sha])
    assert images.keys == [(sha, 0)]
    assert images.asked.all() and images.labelled.all()
