import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
from conftest import settings
from quick import train_on

from ismila.evidence.explain import Explainer
from ismila.learning.inputs import image_spec_of
from ismila.settings import SettingError
from ismila.use.export.graph import graph_of
from ismila.vision.classifier import Classifier

SMALL = ("model=mobilenet", "model.size_px=64", "data=pets")
NETWORKS = {"test_resnet": 96, "test_vit": 64}
"""timm's smallest, and how many features each gives."""


@pytest.fixture(params=NETWORKS)
def folder(request, tmp_path):
    """A model as the hub keeps it, with random weights."""
    sized = {"img_size": 64} if "vit" in request.param else {}
    model = timm.create_model(request.param, pretrained=False, num_classes=0, **sized)
    timm.models.save_for_hf(model, tmp_path / request.param, safe_serialization=True)
    return tmp_path / request.param


def test_a_run_on_a_network_from_elsewhere_needs_it_no_more(enough, folder, tmp_path):
    trained = train_on(enough, *SMALL, f"model.backbone='local-dir:{folder}'")
    assert trained.classifier.features(np.zeros((1, 64, 64, 3), np.uint8)).shape == (
        1,
        NETWORKS[folder.name],
    )
    trained.classifier.save(tmp_path / "kept")
    shutil.rmtree(folder)
    kept = Classifier.load(tmp_path / "kept")
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert np.array_equal(kept.probabilities(images), trained.classifier.probabilities(images))
    assert kept.backbone.name == f"timm:{folder.name}"


def test_it_is_explained_by_hiding_and_is_not_exported(enough, folder):
    trained = train_on(enough, *SMALL, f"model.backbone='local-dir:{folder}'")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    heat = Explainer.without_photos(trained.classifier).contributions(image)
    assert heat.shape == (8, 8)
    assert heat.any()
    with pytest.raises(Exception, match="is not exported"):
        graph_of(trained.classifier)


def test_heat_of_a_photo_that_is_surely_the_subject_is_finite(enough, folder):
    """In single precision 1 - p was 0, and its logarithm made all heat NaN."""
    classifier = train_on(enough, *SMALL, f"model.backbone='local-dir:{folder}'").classifier
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    by_layer = dict(classifier.weights)
    by_layer["head.0.bias"] = by_layer["head.0.bias"] + 60
    sure = replace(classifier, weights=by_layer)
    assert sure.probabilities(image[None])[0] == 1
    heat = Explainer.without_photos(sure).contributions(image)
    expected = Explainer.without_photos(classifier).contributions(image)
    assert np.allclose(heat, expected, atol=1e-4)


def test_a_network_gets_the_colours_that_it_was_trained_with(tmp_path):
    own = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    model = timm.create_model("test_resnet", num_classes=0, pretrained_cfg_overlay=own)
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True)
    chosen = settings("model=reid", f"model.backbone='local-dir:{tmp_path}'").model
    spec = image_spec_of(chosen)
    assert (spec.mean, spec.std) == (own["mean"], own["std"])


@pytest.mark.parametrize(
    ("backbone", "line"),
    [
        ("alexnet", "expected mobilenet, efficientnet_lite0, pair, timm:NAME"),
        ("timm:", "expected mobilenet"),
        ("timm:no_such_network", "timm cannot have it"),
        ("local-dir:no/such/folder", "timm cannot have it"),
    ],
)
def test_a_network_that_cannot_be_had_is_one_line(backbone, line):
    with pytest.raises(SettingError, match=line) as error:
        image_spec_of(settings("model=reid", f"model.backbone='{backbone}'").model)
    assert "\n" not in str(error.value)
