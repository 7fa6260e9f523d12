import shutil

import numpy as np
import pytest
import timm
from conftest import settings
from quick import train_on

from ismila.evidence.explain import Explainer
from ismila.learning.classifier import Classifier
from ismila.learning.encoders import image_spec_of
from ismila.settings import SettingError
from ismila.use.export.graph import graph_of

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


def test_its_own_colours_are_kept():
    """A network gets the scaling that it was trained with."""
    name = "timm:test_resnet"
    with pytest.raises(SettingError, match=r"model.backbone=timm:test_resnet: timm cannot have it"):
        image_spec_of(settings("model=reid", f"model.backbone={name}").model)


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
