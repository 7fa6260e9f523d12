import numpy as np
import pytest
from conftest import features_of

from ismila.learning.heads import Penalty, fit_head, whitening_of
from ismila.learning.individuals import (
    STEPS,
    Differences,
    differences,
    differences_of,
    pack,
    unpack,
)
from ismila.vision.weights import INDIVIDUALS, STRANGERS

LARGEST_BYTES = 15_000_000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_they_are_what_tells_a_photo_from_the_mean_of_its_animal(rng):
    animal = np.array([0, 0, 0, 1, 1, 2])
    x = rng.normal(size=(6, 4)).astype(np.float32) + animal[:, None]
    found = differences(x, animal)
    expected = np.concatenate([x[:3] - x[:3].mean(0), x[3:5] - x[3:5].mean(0)])
    assert np.allclose(found.x, expected, atol=1e-6)
    assert found.n_animals == 2


def test_their_squares_sum_up_to_the_covariance_within_animals(rng):
    animal = np.repeat(np.arange(200), 30)
    spread = np.array([1.0, 2.0, 0.5])
    x = rng.normal(size=(200, 3))[animal] * 10 + rng.normal(size=(6000, 3)) * spread
    rows = differences(x.astype(np.float32), animal).in_units
    assert np.allclose(rows.T @ rows, np.diag(spread**2), atol=0.2)


def test_what_is_packed_is_read_back_but_for_the_steps(rng, tmp_path):
    found = Differences(rng.normal(size=(8, 5)).astype(np.float32), 3)
    np.savez_compressed(tmp_path / "individuals.npz", **pack(found, "these"))
    read = unpack(tmp_path / "individuals.npz")
    assert (np.abs(read.x - found.x) <= np.abs(found.x).max(0) / STEPS).all()
    assert read.n_animals == 3


def test_those_that_reid_sees_are_shipped(tmp_path):
    """Fails when whatever makes the views or the features was changed, and tools/make_individuals.py not run."""
    found = differences_of(features_of(tmp_path, "model=reid").recipe)
    assert found.n_animals == 14
    assert len(found.x) > 500
    assert np.isfinite(found.x).all()
    assert differences_of(features_of(tmp_path, "model=mobilenet").recipe) is None


def test_with_the_strangers_they_fit_into_the_wheel():
    files = [*STRANGERS.parent.glob(STRANGERS.name), *INDIVIDUALS.parent.glob(INDIVIDUALS.name)]
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) <= LARGEST_BYTES


@pytest.mark.parametrize("n", [40, 400])
def test_a_head_leans_less_on_what_differs_among_photos_of_one_animal(rng, n):
    """As many features as rows, and fewer: both ways that the whitening takes."""
    d = 60
    is_subject = np.arange(n) % 4 == 0
    x = rng.normal(size=(n, d)).astype(np.float32)
    x[is_subject, :2] += 3  # two features tell her apart alike well
    within = np.zeros((1, d), np.float32)
    within[0, 0] = 5  # and one of them changes with the light
    penalty = Penalty(C=0.01, shrink=None, balanced=True)

    def leaning(within):
        space = whitening_of(x, is_subject, 1.0, within=within)
        white = space(x).astype(np.float32)
        weight = space.unfold(fit_head(white, is_subject, penalty)).weight
        return abs(weight[0]) / abs(weight[1])

    assert 0.5 < leaning(None) < 2
    assert leaning(within) < 0.2


def test_the_whitening_is_that_of_the_sum_of_both(rng):
    x = rng.normal(size=(300, 12)).astype(np.float32)
    within = rng.normal(size=(5, 12)).astype(np.float32)
    nobody = np.zeros(300, np.bool_)
    white = whitening_of(x, nobody, 0.5, within=within)
    covariance = np.cov(x.T, bias=True)
    expected = covariance + 0.5 * np.trace(covariance) / 12 * np.eye(12) + within.T @ within
    assert np.allclose(np.linalg.inv(white.axes @ white.axes.T), expected, atol=1e-4)
