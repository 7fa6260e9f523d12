import numpy as np
import pytest
from PIL import Image

from ismila.demo.scenes import Frame, develop, draw_figure, draw_front, draw_place

LIGHT = (0.6, -0.8)


@pytest.mark.parametrize("seed", range(6))
def test_a_place_fills_the_sheet(seed: int) -> None:
    picture, horizon = draw_place((96, 128), LIGHT, np.random.default_rng(seed))
    assert picture.size == (96, 128)
    assert picture.getchannel("A").getextrema() == (255, 255)
    assert 0.2 * 128 < horizon < 0.75 * 128


@pytest.mark.parametrize("kind", ["subject", "dog", "bird", "butterfly", "kangaroo", "cup"])
def test_a_figure_is_nudged_as_a_whole(kind: str) -> None:
    at = [
        draw_figure(kind, Frame((128, 128), 50.0, LIGHT, nudge), np.random.default_rng(5))
        for nudge in (np.zeros(2), np.array([3.0, 2.0]))
    ]
    assert at[0].getchannel("A").getbbox() is not None
    assert at[0].tobytes() != at[1].tobytes()


def test_a_view_has_no_figure() -> None:
    frame = Frame((128, 128), 50.0, LIGHT, np.zeros(2))
    assert draw_figure("view", frame, np.random.default_rng(0)).getbbox() is None


def test_mostly_nothing_stands_before_the_figure() -> None:
    fronts = [draw_front((96, 96), LIGHT, np.random.default_rng(seed)) for seed in range(40)]
    empty = sum(front.getbbox() is None for front in fronts)
    assert 15 < empty < 38


def test_the_camera_adds_noise_of_its_own() -> None:
    plain = Image.new("RGB", (64, 48), (120, 130, 140))
    photos = [develop(plain, np.random.default_rng(1), np.random.default_rng(s)) for s in (1, 2)]
    assert photos[0].size == (64, 48)
    assert photos[0].tobytes() != photos[1].tobytes()
