import copy

import numpy as np
import pandas as pd
import pytest
import torch
from untrained import bundled_classifier, classifier_of, images_of

from ismila.evidence.explain import Explainer
from ismila.learning.decision import Decision
from ismila.use.export.exported import ExportedClassifier
from ismila.use.export.graph import graph_of, halve


@pytest.fixture(scope="module")
def bundled():
    return bundled_classifier()


@pytest.mark.parametrize(
    ("name", "size_px", "hidden", "temperature"),
    [
        ("cnn", 64, 0, 1.0),
        ("mobilenet", 64, 0, 1.0),
        ("mobilenet", 64, 16, 2.5),
        ("bundled", 96, 0, 2.5),
    ],
)
def test_the_graph_says_what_torch_says(bundled, name, size_px, hidden, temperature):
    classifier = bundled if name == "bundled" else classifier_of(name, size_px, hidden)
    classifier = copy.copy(classifier)
    classifier.decision = Decision(classifier.threshold, temperature)
    images = images_of(classifier)
    exported = ExportedClassifier(graph_of(classifier).SerializeToString(), "rex.onnx")
    with torch.inference_mode():
        expected = torch.sigmoid(classifier.network(torch.from_numpy(images)) / temperature).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(exported.probabilities(images, 4), expected, atol=1e-4)
    assert exported.tells_heat == (hidden == 0)


@pytest.mark.parametrize("name", ["cnn", "bundled"])
def test_its_heat_is_what_explain_draws(bundled, name):
    classifier = bundled if name == "bundled" else classifier_of("cnn", 64)
    exported = ExportedClassifier(graph_of(classifier).SerializeToString(), "rex.onnx")
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
        ExportedClassifier(content, "rex.onnx").probabilities(images) for content in (whole, half)
    ]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.02
