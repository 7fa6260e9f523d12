import numpy as np

from ismila.learning.heads import whitening_of


def test_the_other_photos_spread_alike_in_every_direction_they_take():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(400, 12)) * np.geomspace(0.1, 10, 12) + 3).astype(np.float32)
    is_subject = np.arange(400) < 20
    whitened = whitening_of(rows, is_subject, 0.0)(rows)[~is_subject]
    assert np.allclose(np.cov(whitened.T, bias=True), np.eye(12), atol=1e-3)
    assert np.allclose(whitened.mean(0), 0, atol=1e-4)


def test_a_head_says_the_same_on_features_as_on_whitened_rows():
    rng = np.random.default_rng(1)
    for n, d in ((30, 100), (200, 40)):  # fewer photos than features, and more
        rows = rng.gamma(1, 1, (n, d)).astype(np.float32)
        whitening = whitening_of(rows, np.arange(n) < 5, 1.0)
        weight = rng.normal(size=whitening.axes.shape[1]).astype(np.float32)
        on_features, bias = whitening.unfold(weight, 0.3)
        assert np.allclose(rows @ on_features + bias, whitening(rows) @ weight + 0.3, atol=1e-3)
