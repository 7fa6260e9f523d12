import copy

import numpy as np
import pandas as pd
import pytest
import torch
from untrained import bundled_classifier, bundled_pair, classifier_of, images_of

from ismila.evidence.explain import Explainer
from ismila.use.export.exported import ExportedClassifier, ExportedFile
from ismila.use.export.graph import graph_of, halve
from ismila.vision.decision import Calibration, Decision


@pytest.fixture(scope="module")
def bundled():
    return bundled_classifier()


@pytest.mark.parametrize(
    ("name", "size_px", "hidden", "calibration"),
    [
        ("cnn", 64, 0, Calibration()),
        ("mobilenet", 64, 0, Calibration()),
        ("mobilenet", 64, 16, Calibration(2.5, -0.3)),
        ("bundled", 96, 0, Calibration(2.5, 0.7)),
    ],
)
def test_the_graph_says_what_torch_says(bundled, name, size_px, hidden, calibration):
    classifier = bundled if name == "bundled" else classifier_of(name, size_px, hidden)
    classifier = copy.copy(classifier)
    classifier.decision = Decision(classifier.threshold, calibration)
    images = images_of(classifier)
    exported = ExportedClassifier(
        ExportedFile(graph_of(classifier).SerializeToString(), "rex.onnx")
    )
    with torch.inference_mode():
        logits = classifier.network(torch.from_numpy(images)) / calibration.temperature
        expected = torch.sigmoid(logits + calibration.bias).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(exported.probabilities(images), expected, atol=1e-4)
    assert exported.encoder.tells_heat == (hidden == 0)


@pytest.mark.parametrize("name", ["cnn", "bundled"])
def test_its_heat_is_what_explain_draws(bundled, name):
    classifier = bundled if name == "bundled" else classifier_of("cnn", 64)
    exported = ExportedClassifier(
        ExportedFile(graph_of(classifier).SerializeToString(), "rex.onnx")
    )
    explainer = Explainer(
        classifier, pd.DataFrame({"path": [], "kind": []}), np.zeros((0, 1), np.float32)
    )
    for image in images_of(classifier, 3):
        heat = exported.heat(image)
        assert heat.shape == image.shape[:2] and heat.max() == pytest.approx(1)
        np.testing.assert_allclose(heat, explainer.explain(image).heat, atol=0.02)


def test_half_precision_halves_the_file_and_hardly_moves_the_answer(bundled):
    graph = graph_of(bundled)
    whole, half = graph.SerializeToString(), halve(graph).SerializeToString()
    assert len(half) < 0.55 * len(whole)
    images = images_of(bundled, 16)
    answers = [
        ExportedClassifier(ExportedFile(content, "rex.onnx")).probabilities(images)
        for content in (whole, half)
    ]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.02


def test_one_graph_answers_for_several_subjects_as_each_alone_does():
    pair = bundled_pair()
    images = images_of(pair[0])
    file = ExportedFile(graph_of(*pair).SerializeToString(), "rex+mila.onnx")
    for classifier, together in zip(pair, file.classifiers.values(), strict=True):
        content = graph_of(classifier).SerializeToString()
        alone = ExportedClassifier(ExportedFile(content, "alone.onnx"))
        np.testing.assert_allclose(
            together.probabilities(images), alone.probabilities(images), atol=1e-6
        )
        np.testing.assert_allclose(together.heat(images[0]), alone.heat(images[0]), atol=1e-5)
        assert np.ptp(together.probabilities(images)) > 0.01
    single = graph_of(pair[0]).ByteSize()
    assert graph_of(*pair).ByteSize() < 1.02 * single


def test_heat_is_left_out_where_one_head_cannot_tell_it():
    bundled = bundled_classifier()
    hidden = classifier_of("mobilenet", 96, hidden=8)
    assert not ExportedFile(graph_of(bundled, hidden).SerializeToString(), "a.onnx").tells_heat
