import numpy as np
import pandas as pd
import pytest
import torch
from conftest import settings

from ismila.learning.features import Features
from ismila.learning.inputs import (
    IMAGENET_MEAN,
    device_of,
    encode_ahead,
    encoder_of,
    image_spec_of,
    low_resolution_photos,
    views_of,
)
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.photos.index import usable
from ismila.vision import backbones
from ismila.vision.encoders import Identity, TorchEncoder
from ismila.vision.views import Viewer


def test_each_model_has_its_encoder():
    assert isinstance(encoder_of(settings("model=cnn").model), Identity)
    assert encoder_of(settings("model=pair").model).shape == (2560,)
    assert encoder_of(settings("model=mobilenet").model).shape == (1280,)
    assert views_of(settings("model=mobilenet", "model.views=3").model) == 3
    assert views_of(settings("model=cnn").model) == 1


def test_the_subject_is_seen_from_afar_where_strangers_are():
    rows = pd.DataFrame({"sha256": ["a", "b", "c"], "label": ["things", "subject", "pets"]})
    assert low_resolution_photos(rows, settings("data=strangers")) == {"b"}
    for others in (["data=pets"], ["data=strangers", "model=mobilenet"]):
        assert not low_resolution_photos(rows, settings(*others))


def test_torchvisions_own_weights_get_the_colours_they_were_trained_with(monkeypatch):
    """Before, they got values in [-1, 1] like the bundled ones."""
    monkeypatch.setattr(
        backbones, "load_mobilenet", lambda weights: backbones.MobileNetV2(keras=False).eval()
    )
    model = settings("model=mobilenet", "model.weights=torchvision", "model.size_px=64").model
    assert image_spec_of(model).mean == IMAGENET_MEAN
    assert image_spec_of(settings("model=mobilenet").model).mean == (0.5, 0.5, 0.5)
    encoder = encoder_of(model)
    assert isinstance(encoder, TorchEncoder)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert encoder(images).shape == (2, 1280)


@pytest.mark.parametrize(
    ("overrides", "runs"),
    [
        (["model=mobilenet"], True),
        (["model=cnn"], True),
        (["model=mobilenet", "trainer=gpu"], False),
    ],
)
def test_what_needs_no_torch_runs_ahead(album, overrides, runs):
    chosen = settings(*overrides, "model.size_px=32")
    opened = Album.open(album, "mila")
    rows = usable(opened.update())
    encode_ahead(opened, rows, chosen)
    encoder = encoder_of(chosen.model)
    store = Features(opened.derived, Viewer(ImageSpec(32)), encoder).store
    assert {(sha, 0) in store for sha in rows["sha256"]} == {runs}


@pytest.mark.parametrize("model", ["mobilenet", "pair", "efficientnet_lite0"])
def test_torch_and_the_bundled_graph_share_a_cache(model):
    """Rows that a GPU made are read by runs on a CPU."""
    chosen = settings(f"model={model}", "model.size_px=64").model
    bundled = encoder_of(chosen)
    in_torch = TorchEncoder(chosen, image_spec_of(chosen))
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    rows = bundled(images)
    assert (in_torch.digest, in_torch.shape) == (bundled.digest, bundled.shape)
    assert np.abs(in_torch(images) - rows).max() < 1e-4 * np.abs(rows).max()


def test_a_gpu_encodes_what_the_cpu_does(gpu):
    chosen = settings("model=pair", "model.size_px=64").model
    encoder = encoder_of(chosen, gpu)
    assert isinstance(encoder, TorchEncoder)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    rows = encoder_of(chosen)(images)
    assert np.abs(encoder(images) - rows).max() < 1e-4 * np.abs(rows).max()


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return device_of(settings("trainer=gpu").trainer)
