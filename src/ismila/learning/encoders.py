"""Model settings -> what turns images into rows: the images themselves, a bundled graph, or torch."""

from __future__ import annotations

import hashlib

import pandas as pd

from ismila.learning.animals import bundled_detector
from ismila.learning.architecture import architecture_of
from ismila.learning.features import Encoder, Features, Identity, OnnxBackbone, Progress
from ismila.learning.graphs import Floats
from ismila.learning.views import Viewer
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec, Pixels
from ismila.settings import FrozenSettings, ModelSettings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""What torchvision's own weights were trained with; the bundled ones want values in [-1, 1]."""


def image_spec_of(model: ModelSettings) -> ImageSpec:
    """How photos become images for this model."""
    if isinstance(model, FrozenSettings) and model.weights == "torchvision":
        return ImageSpec(model.size_px, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return ImageSpec(model.size_px)


def viewer_of(model: ModelSettings) -> Viewer:
    """What makes images of photos for this model."""
    detects = isinstance(model, FrozenSettings) and model.detector
    return Viewer(image_spec_of(model), bundled_detector() if detects else None)


def encoder_of(model: ModelSettings) -> Encoder:
    """What makes the rows that the model's head, or for the CNN the whole network, is trained on."""
    spec = image_spec_of(model)
    architecture = architecture_of(model)
    if not architecture.is_frozen:
        return Identity(spec)
    if graph := architecture.graph:
        return OnnxBackbone(spec, graph)
    return TorchEncoder(model, spec)


def views_of(model: ModelSettings) -> int:
    """How many cached views of each photo train."""
    return model.views if isinstance(model, FrozenSettings) else 1


def encode_ahead(
    album: Album, rows: pd.DataFrame, model: ModelSettings, progress: Progress | None = None
) -> None:
    """Fill the cache where that needs no torch, so that it can run while torch is imported.

    Args:
        rows: the usable index.
    """
    if architecture_of(model).graph is None:
        return
    features = Features(album.derived, viewer_of(model), encoder_of(model))
    features.fill(album.photos(rows), views_of(model), progress)


class TorchEncoder:
    """A frozen backbone with other weights than the bundled ones, in torch."""

    shape = (1280,)
    dtype = "<f4"

    def __init__(self, model: ModelSettings, spec: ImageSpec) -> None:
        from ismila.learning.backbones import make_network

        self.network = make_network(architecture_of(model), spec)
        state = self.network.backbone.state_dict()
        content = b"".join(tensor.numpy().tobytes() for tensor in state.values())
        self.digest = hashlib.sha256(content).hexdigest()[:16]

    def __call__(self, images: Pixels) -> Floats:
        """`[N, H, W, 3]` uint8 -> `[N, D]`."""
        import torch

        with torch.inference_mode():
            features: Floats = self.network.features(torch.from_numpy(images)).numpy()
        return features
