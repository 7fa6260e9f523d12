import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from ismila.learning.backbones import Network, make_head
from ismila.learning.dataset import CachedRows
from ismila.learning.features import Store
from ismila.learning.training import _fit, _head_logits, _quick_head
from ismila.photos.images import ImageSpec


@pytest.fixture
def cached(tmp_path):
    """120 rows of 16 features, a quarter of them of the subject."""
    rng = np.random.default_rng(0)
    label = np.where(np.arange(120) % 4 == 0, "subject", "things")
    x = rng.gamma(2, 1, (120, 16)).astype(np.float32) + 0.6 * (label == "subject")[:, None].astype(
        np.float32
    )
    store = Store(tmp_path, (16,), "<f4")
    store.add([(f"{i}", 0) for i in range(120)], list(x))
    return store, pd.DataFrame({"sha256": [f"{i}" for i in range(120)], "label": label}), x


MODEL = {
    "name": "mobilenet",
    "hidden": 0,
    "C": 0.1,
    "shrink": 0.5,
    "lr": 1e-3,
    "weight_decay": 0.0,
    "epochs": 30,
    "patience": 30,
    "batch_size": 8,
}


def test_the_linear_head_is_the_logistic_regression_of_scikit_learn_with_a_penalty_in_the_others_spread(
    cached,
):
    store, rows, x = cached
    is_subject = (rows["label"] == "subject").to_numpy()
    network = Network(nn.Identity(), make_head(16, 0, 0.0), ImageSpec())
    train = CachedRows(store, rows)
    _fit(network, 3.0, train, train.none(), MODEL, {"accelerator": "cpu"}, 0)
    covariance = np.cov(x[~is_subject].T, bias=True)
    covariance += 0.5 * np.trace(covariance) / 16 * np.eye(16)
    whitened = x @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    theirs = LogisticRegression(C=0.1, class_weight="balanced", tol=1e-8, max_iter=5000).fit(
        whitened, is_subject
    )
    with torch.inference_mode():
        ours = torch.sigmoid(network(torch.from_numpy(x))).numpy()
    assert np.allclose(ours, theirs.predict_proba(whitened)[:, 1], atol=1e-3)
    quick = _quick_head(make_head(16, 0, 0.0), x, rows, 3.0, MODEL)
    assert np.allclose(_head_logits(quick, x), theirs.decision_function(whitened), atol=1e-2)
