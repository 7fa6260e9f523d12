import numpy as np
import pandas as pd
import pytest

from ismila.evidence.deletion import ORDERS, STEPS, Deletion, areas, deletion_curves, deletion_of
from ismila.learning.held_out import HeldOutClassifiers
from ismila.photos.album import Album

SIDE_PX = 8
"""Two pixels a cell of the 4 x 4 grid."""


def curves_of(added, told=None):
    """Of a linear network: a cell that is not grey adds what `added` says; the map says `told`."""

    def probabilities(images):
        cells = images[:, ::2, ::2, 0] != 128
        return (cells * added).sum((1, 2))

    image = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    return deletion_curves(image, added if told is None else told, probabilities, rng)


@pytest.fixture
def added():
    """1 to 16 sixteenths of a whole, anywhere on the grid."""
    return np.random.default_rng(1).permutation(np.arange(1, 17)).reshape(4, 4) / 136


def left(cells):
    """What the `cells` smallest add."""
    return cells * (cells + 1) / 2 / 136


def test_the_hottest_cells_go_first_two_at_a_time(added):
    by_map, random, reverse = curves_of(added)
    kept = np.arange(16, -1, -2)
    assert by_map == pytest.approx([left(cells) for cells in kept])
    assert reverse == pytest.approx([1 - left(16 - cells) for cells in kept])
    assert (random[1:-1] > by_map[1:-1]).all() and (random[1:-1] < reverse[1:-1]).all()
    assert by_map.shape == (STEPS + 1,)


def test_putting_back_in_the_maps_order_is_greying_out_in_the_reverse_one(added):
    figures = dict(areas(curves_of(added)))
    assert list(figures) == ["deletion", "random", "insertion"]
    by_hand = np.mean([(left(16 - 2 * k) + left(14 - 2 * k)) / 2 for k in range(STEPS)])
    assert figures["deletion"] == pytest.approx(by_hand)
    assert figures["insertion"] == pytest.approx(1 - by_hand)


def test_what_speaks_against_her_goes_last(added):
    added.flat[added.argmin()] = -0.5
    assert curves_of(added)[0][-2] == pytest.approx(-0.5 + 2 / 136)  # the last two
    assert curves_of(added)[0][-1] == 0


def test_a_map_that_knows_nothing_is_no_better_than_its_reverse(added):
    figures = dict(areas(curves_of(added, told=-added)))
    assert figures["deletion"] > figures["random"] > figures["insertion"]
    assert len(ORDERS) == len(figures)


def test_a_grid_that_does_not_divide_the_image_covers_all_of_it():
    seen = []

    def probabilities(images):
        seen.append(images)
        return np.zeros(len(images))

    image = np.zeros((7, 7, 3), np.uint8)
    deletion_curves(image, np.ones((3, 3)), probabilities, np.random.default_rng(0))
    assert (seen[0][0] == 0).all() and (seen[0][-1] == 128).all()


def test_without_a_photo_nothing_is_said(tmp_path):
    nothing = pd.DataFrame({"path": ["pets/a.jpg"], "label": ["pets"], "held_out_by": ["test"]})
    nobody = HeldOutClassifiers({})
    assert deletion_of(nothing, nobody, Album(tmp_path, "mila", tmp_path)) == Deletion()
