import json

import numpy as np
import pytest
import torch

from ismila.learning.backbones import make_network, weights_of
from ismila.learning.classifier import Classifier, choose_threshold, temperature_of
from ismila.learning.features import bundled_digest, bundled_graph
from ismila.photos import UserError
from ismila.photos.images import ImageSpec

BESIDE = {"beside": "efficientnet_lite0"}


@pytest.mark.parametrize(
    "told", [{"name": "cnn"}, {"name": "mobilenet"}, {"name": "mobilenet"} | BESIDE]
)
def test_a_classifier_comes_back_from_disk_as_it_was(told, tmp_path):
    torch.manual_seed(0)
    backbone = {**told, "dropout": 0.2, "hidden": 8, "weights": "bundled"}
    spec = ImageSpec(64)
    before = Classifier(
        weights_of(make_network(backbone, spec)),
        backbone,
        spec,
        "mila",
        0.7,
        {"val_accuracy": 0.9},
        "abc",
        1.7,
    )
    before.save(tmp_path)
    after = Classifier.load(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert np.allclose(before.probabilities(images), after.probabilities(images), atol=1e-6)
    assert (after.threshold, after.scores, after.run, after.spec) == (
        0.7,
        {"val_accuracy": 0.9},
        "abc",
        spec,
    )
    assert after.temperature == 1.7


def test_an_older_classifier_without_a_temperature_says_what_it_said(tmp_path):
    backbone, spec = {"name": "cnn", "dropout": 0.0}, ImageSpec(64)
    before = Classifier(weights_of(make_network(backbone, spec)), backbone, spec, "mila")
    before.save(tmp_path)
    path = tmp_path / "classifier.json"
    described = json.loads(path.read_text())
    del described["temperature"]
    path.write_text(json.dumps(described))
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert np.allclose(
        before.probabilities(images), Classifier.load(tmp_path).probabilities(images), atol=1e-6
    )


@pytest.mark.parametrize(
    "told", [{"name": "mobilenet", **BESIDE}, {"name": "mobilenet"}, {"name": "efficientnet_lite0"}]
)
def test_onnxruntime_and_torch_say_the_same(told):
    torch.manual_seed(0)
    backbone = {**told, "dropout": 0.0, "hidden": 0, "weights": "bundled"}
    spec = ImageSpec(96)
    network = make_network(backbone, spec)
    torch.nn.init.normal_(network.head[0].weight, std=0.1)
    by_torch = Classifier(weights_of(network), backbone, spec, "mila", temperature=2.0)
    digest = bundled_digest(bundled_graph(backbone))
    by_onnx = Classifier(
        weights_of(network), {**backbone, "digest": digest}, spec, "mila", temperature=2.0
    )
    assert by_torch.encoder is None and by_onnx.encoder is not None
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    said = by_torch.probabilities(images)
    assert np.ptp(said) > 1e-3
    assert np.allclose(said, by_onnx.probabilities(images), atol=1e-4)


def test_a_folder_without_a_classifier_is_said(tmp_path):
    (tmp_path / "classifier.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="not a classifier"):
        Classifier.load(tmp_path)


def test_the_threshold_lets_no_more_negatives_through_than_asked():
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(-1, 2, 1000), rng.normal(3, 2, 50)])
    is_subject = np.arange(1050) >= 1000
    for rate in (0.0, 0.01, 0.05):
        assert (logits[:1000] >= choose_threshold(logits, is_subject, rate)).mean() <= rate


def test_the_threshold_lies_half_way_between_two_sides_that_are_apart_but_not_among_easy_negatives():
    logits, is_subject = np.array([-6.0, -4.0, -1.8, 0.8, 3.0]), np.arange(5) >= 3
    assert choose_threshold(logits, is_subject, 0.0, play=1) == pytest.approx(-0.5)
    assert choose_threshold(logits, is_subject, 0.0, play=1, easy=True) == 0.0
    assert choose_threshold(logits, is_subject, 0.0) == 0.0
    assert choose_threshold(logits - 3, is_subject, 0.0, play=1) == -1
    assert choose_threshold(logits * [1, 1, 1, 9, 9], is_subject, 0.0, play=1) == 1
    assert choose_threshold(logits + 4, is_subject, 0.0, play=1) == pytest.approx(3.5)


def test_a_temperature_makes_overconfident_logits_honest_and_leaves_a_handful_alone():
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 4000)
    is_subject = rng.random(4000) < 1 / (1 + np.exp(-honest))
    assert temperature_of(3 * honest, is_subject) == pytest.approx(3, rel=0.1)
    assert temperature_of(honest / 2, is_subject) == pytest.approx(0.5, rel=0.1)
    assert temperature_of(np.array([-9.0, -8.0, 7.0]), np.array([False, False, True])) == 1.0
