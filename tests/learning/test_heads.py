import numpy as np
import pytest
from conftest import draw_photo
from sklearn.linear_model import LogisticRegression

from ismila.learning.heads import LinearHead, Penalty, few_coordinates, fit_head, whitening_of
from ismila.photos.images import ImageSpec, read_image
from ismila.vision.encoders import OnnxBackbone

PENALTY = Penalty(C=0.02, shrink=5, balanced=True)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """What MobileNetV2 makes of 60 drawn photos, a third of them of the subject."""
    folder = tmp_path_factory.mktemp("real")
    spec = ImageSpec(96)
    paths = [draw_photo(folder / f"{i}.jpg", i, i % 3 == 0) for i in range(60)]
    images = np.stack([read_image(path, spec) for path in paths])
    return OnnxBackbone(spec)(images), np.arange(60) % 3 == 0


def exact_logits(x, is_subject, penalty):
    """The same head by another road: all features, an explicit inverse, another solver."""
    x = x.astype(np.float64)
    others = x[~is_subject]
    covariance = np.cov(others.T, bias=True)
    spread = penalty.shrink * np.trace(covariance) / x.shape[1] + 1e-9
    factor = np.linalg.cholesky(covariance + spread * np.eye(x.shape[1]))
    white = np.linalg.solve(factor, (x - others.mean(0)).T).T
    weights = "balanced" if penalty.balanced else None
    solver = LogisticRegression(
        C=penalty.C, class_weight=weights, solver="newton-cg", tol=1e-12, max_iter=1000
    )
    return solver.fit(white, is_subject).decision_function(white)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("strength", [0.001, 0.02, 10.0])
def test_the_head_is_solved_to_the_optimum_on_real_features(real, balanced, strength):
    x, is_subject = real
    penalty = Penalty(strength, 5, balanced)
    head = fit_head(x, is_subject, penalty)
    ours = x.astype(np.float64) @ head.weight + head.bias
    assert np.abs(ours - exact_logits(x, is_subject, penalty)).max() < 1e-6


def test_with_more_photos_than_features_it_is_solved_as_well():
    rng = np.random.default_rng(0)
    is_subject = np.arange(300) % 4 == 0
    x = (rng.gamma(2, 1, (300, 16)) + 0.6 * is_subject[:, None]).astype(np.float32)
    head = fit_head(x, is_subject, PENALTY)
    ours = x.astype(np.float64) @ head.weight + head.bias
    assert np.abs(ours - exact_logits(x, is_subject, PENALTY)).max() < 1e-6


def test_few_coordinates_change_no_logit(real):
    x, is_subject = real
    coordinates = few_coordinates(x)
    few = coordinates(x)
    assert few.shape[1] <= len(x)
    head = fit_head(x, is_subject, PENALTY)
    cheap = fit_head(few, is_subject, PENALTY, n_features=x.shape[1])
    difference = (few @ cheap.weight + cheap.bias) - (x @ head.weight + head.bias)
    assert np.abs(difference).max() < 1e-8
    unfolded = coordinates.unfold(cheap)
    assert (
        np.abs((x @ unfolded.weight + unfolded.bias) - (x @ head.weight + head.bias)).max() < 1e-8
    )


def test_one_photo_a_side_gives_a_head():
    x = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], np.float32)
    head = fit_head(x, np.array([True, False]), PENALTY)
    logits = head(x)
    assert logits[0] > logits[1]


def test_the_other_photos_spread_alike_in_every_direction_they_take():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(400, 12)) * np.geomspace(0.1, 10, 12) + 3).astype(np.float32)
    is_subject = np.arange(400) < 20
    whitened = whitening_of(rows, is_subject, 0.0)(rows)[~is_subject]
    assert np.allclose(np.cov(whitened.T, bias=True), np.eye(12), atol=1e-3)
    assert np.allclose(whitened.mean(0), 0, atol=1e-4)


@pytest.mark.parametrize(("n", "d"), [(30, 100), (200, 40)])
def test_a_head_says_the_same_on_features_as_on_whitened_rows(n, d):
    rng = np.random.default_rng(1)
    rows = rng.gamma(1, 1, (n, d)).astype(np.float32)
    whitening = whitening_of(rows, np.arange(n) < 5, 1.0)
    weight = rng.normal(size=whitening.axes.shape[1])
    head = whitening.unfold(LinearHead(weight, 0.3))
    assert np.allclose(head(rows), whitening(rows) @ weight + 0.3, atol=1e-4)
