import json

import numpy as np
import pytest
import torch

from ismila.learning.classifier import Classifier, choose_threshold, make_network
from ismila.photos import UserError
from ismila.photos.images import ImageSpec


@pytest.mark.parametrize("name", ["cnn", "mobilenet"])
def test_a_classifier_comes_back_from_disk_as_it_was(name, tmp_path):
    torch.manual_seed(0)
    backbone = {"name": name, "dropout": 0.2, "hidden": 8, "weights": "bundled"}
    spec = ImageSpec(64)
    before = Classifier(make_network(backbone, spec), backbone, spec, "mila", 0.7, {"val_accuracy": 0.9}, "abc")
    before.save(tmp_path)
    after = Classifier.load(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert np.allclose(before.probabilities(images), after.probabilities(images), atol=1e-6)
    assert (after.threshold, after.scores, after.run, after.spec) == (0.7, {"val_accuracy": 0.9}, "abc", spec)


def test_a_folder_without_a_classifier_is_said(tmp_path):
    (tmp_path / "classifier.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="not a classifier"):
        Classifier.load(tmp_path)


def test_the_threshold_lets_no_more_negatives_through_than_asked():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.beta(2, 3, 1000), rng.beta(5, 2, 50)])
    is_subject = np.arange(1050) >= 1000
    for rate in (0.0, 0.01, 0.05):
        assert (p[:1000] >= choose_threshold(p, is_subject, rate)).mean() <= rate
    assert choose_threshold([0.01, 0.02, 0.99], np.array([False, False, True]), 0.01) == 0.5
