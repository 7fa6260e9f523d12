import numpy as np
import pytest
from conftest import settings

from ismila.learning import backbones
from ismila.learning.encoders import (
    IMAGENET_MEAN,
    TorchEncoder,
    encode_ahead,
    encoder_of,
    image_spec_of,
    views_of,
)
from ismila.learning.features import Features, Identity, OnnxBackbone
from ismila.learning.views import Viewer
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.photos.index import usable


def test_each_model_has_its_encoder():
    assert isinstance(encoder_of(settings("model=cnn").model), Identity)
    assert encoder_of(settings("model=pair").model).shape == (2560,)
    assert encoder_of(settings("model=mobilenet").model).shape == (1280,)
    assert views_of(settings("model=mobilenet", "model.views=3").model) == 3
    assert views_of(settings("model=cnn").model) == 1


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


@pytest.mark.parametrize("model", ["mobilenet", "cnn"])
def test_only_a_bundled_graph_runs_ahead(album, model):
    chosen = settings(f"model={model}", "model.size_px=32").model
    opened = Album.open(album, "mila")
    rows = usable(opened.update())
    encode_ahead(opened, rows, chosen)
    encoder = encoder_of(chosen)
    store = Features(opened.derived, Viewer(ImageSpec(32)), encoder).store
    assert all(((sha, 0) in store) == isinstance(encoder, OnnxBackbone) for sha in rows["sha256"])
