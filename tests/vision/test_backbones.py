import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ismila.photos.images import ImageSpec, normalise
from ismila.settings import SettingError
from ismila.vision.backbones import CNN, load_efficientnet_lite0, load_mobilenet
from ismila.vision.encoders import OnnxBackbone

REFERENCE = (
    Path(os.environ.get("ISMILA_SHARED", Path(__file__).parents[3] / "shared")) / "reference"
)


def relative_error(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


@pytest.mark.parametrize("size_px", [224, 160])
def test_bundled_mobilenet_computes_what_tensorflow_does(size_px):
    path = REFERENCE / "mobilenet_v2_reference.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    x = np.random.default_rng(0).uniform(-1, 1, (2, size_px, size_px, 3)).astype(np.float32)
    with torch.no_grad():
        features, grid = load_mobilenet("bundled")(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    assert relative_error(features.numpy(), np.load(path)[f"features_{size_px}"]) <= 1e-4
    assert grid.shape == (2, 1280, size_px // 32, size_px // 32)


def test_onnxruntime_and_torch_agree_on_images():
    spec = ImageSpec()
    images = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    encoder = OnnxBackbone(spec)
    with torch.no_grad():
        features, grid = load_mobilenet("bundled")(torch.from_numpy(normalise(images, spec)))
    assert relative_error(encoder(images), features.numpy()) < 1e-4
    assert relative_error(encoder.grid(images), grid.numpy()) < 1e-4


LITE0 = {
    224: ([0.6612346, 0.0, 0.0, 0.0, 0.0, 0.1207933, 0.0, 0.0], 16.295923233032227),
    160: ([0.04318518, 0.0, 0.0, 0.298094, 0.0, 0.203931, 0.0, 0.0], 14.890962600708008),
}
"""What efficientnet-lite-pytorch 0.1.0 makes of the same noise: every 160th feature, and the length of all."""


@pytest.mark.parametrize("size_px", [224, 160])
def test_bundled_efficientnet_lite0_computes_what_the_package_it_came_from_does(size_px):
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, size_px, size_px)).astype(np.float32)
    with torch.no_grad():
        features, grid = load_efficientnet_lite0()(torch.from_numpy(x))
    some, length = LITE0[size_px]
    assert np.allclose(features[0, ::160], some, rtol=1e-4, atol=1e-5)
    assert float(features.norm()) == pytest.approx(length, rel=1e-5)
    assert grid.shape == (1, 1280, size_px // 32, size_px // 32)


def test_cnn_gives_rows_of_the_width_it_says():
    cnn = CNN(96)
    assert cnn(torch.zeros(2, 3, 96, 96)).shape == (2, cnn.width)


def test_an_unknown_weights_name_lists_the_choices():
    with pytest.raises(SettingError, match="bundled or torchvision"):
        load_mobilenet("imagenet")
