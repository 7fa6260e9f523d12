import numpy as np
import pytest

from ismila.evidence.heat import overlay, stretched


def test_heat_is_stretched_to_its_peak_and_none_stays_none():
    grid = np.zeros((3, 3), np.float32)
    assert not stretched(grid, 12).any()
    grid[1, 1] = 7
    heat = stretched(grid, 12)
    assert heat.shape == (12, 12)
    assert heat.max() == pytest.approx(1)
    assert np.unravel_index(heat.argmax(), heat.shape) in {(5, 5), (5, 6), (6, 5), (6, 6)}


def test_without_heat_the_image_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert (np.asarray(overlay(image, np.zeros((8, 8), np.float32))) == image).all()
    hot = np.asarray(overlay(image, np.ones((8, 8), np.float32)))
    assert hot.mean() > image.mean()
