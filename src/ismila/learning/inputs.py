"""Model settings -> what turns images into rows: the images themselves, a bundled graph, or torch."""

from __future__ import annotations

import os

import pandas as pd

from ismila.learning.features import Features
from ismila.learning.given import annotated_boxes
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.photos.progress import Progress
from ismila.settings import (
    FrozenSettings,
    ModelSettings,
    RunSettings,
    SettingError,
    TrainerSettings,
)
from ismila.vision.animals import bundled_detector
from ismila.vision.architecture import architecture_of
from ismila.vision.encoders import CPU, Identity, OnnxBackbone, StoredEncoder, TorchEncoder
from ismila.vision.views import Viewer

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""What torchvision's own weights were trained with; the bundled ones want values in [-1, 1]."""


def image_spec_of(model: ModelSettings) -> ImageSpec:
    """How photos become images for this model."""
    if isinstance(model, FrozenSettings) and model.is_from_hub:
        from ismila.vision.hub import fetch_backbone

        backbone = fetch_backbone(model.backbone, model.size_px)
        return ImageSpec(model.size_px, mean=backbone.mean, std=backbone.std)
    if isinstance(model, FrozenSettings) and model.weights == "torchvision":
        return ImageSpec(model.size_px, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return ImageSpec(model.size_px)


def viewer_of(model: ModelSettings) -> Viewer:
    """What makes images of photos for this model."""
    detects = isinstance(model, FrozenSettings) and model.detector
    return Viewer(image_spec_of(model), bundled_detector() if detects else None)


def encoder_of(model: ModelSettings, device: str = CPU) -> StoredEncoder:
    """What makes the rows that the model's head, or for the CNN the whole network, is trained on.

    Args:
        device: that a frozen backbone runs on; see `device_of`.
    """
    spec = image_spec_of(model)
    architecture = architecture_of(model)
    if not architecture.is_frozen:
        return Identity(spec)
    graph = architecture.graph
    if graph and device == CPU:
        return OnnxBackbone(spec, graph)
    return TorchEncoder(model, spec, device)


def views_of(model: ModelSettings) -> int:
    """How many cached views of each photo train."""
    return model.views if isinstance(model, FrozenSettings) else 1


def low_resolution_photos(rows: pd.DataFrame, settings: RunSettings) -> frozenset[str]:
    """sha256 of the photos of which low-resolution copies train, too: the subject's.

    Args:
        rows: the usable index.
    """
    if not settings.low_resolution_copies:
        return frozenset()
    return frozenset(rows.loc[rows["label"] == "subject", "sha256"])


def encode_ahead(
    album: Album, rows: pd.DataFrame, settings: RunSettings, progress: Progress | None = None
) -> None:
    """Fill the cache where that needs no torch, so that it can run while torch is imported.

    Args:
        rows: the usable index.
    """
    if needs_torch(settings):
        return
    far = low_resolution_photos(rows, settings)
    photos = album.photos(rows)
    _features(album, rows, settings).fill(photos, views_of(settings.model), progress, far)


def is_encoded(album: Album, rows: pd.DataFrame, settings: RunSettings) -> bool:
    """Whether `encode_ahead` has nothing to do.

    Args:
        rows: the usable index.
    """
    if needs_torch(settings):
        return True
    far = low_resolution_photos(rows, settings)
    photos = album.photos(rows)
    return _features(album, rows, settings).is_filled(photos, views_of(settings.model), far)


def needs_torch(settings: RunSettings) -> bool:
    """Whether the rows that a model trains on are made by torch."""
    model = settings.model
    if settings.trainer.accelerator != CPU:
        return True
    if isinstance(model, FrozenSettings) and model.is_from_hub:
        return True
    architecture = architecture_of(model)
    return architecture.is_frozen and architecture.graph is None


def _features(album: Album, rows: pd.DataFrame, settings: RunSettings) -> Features:
    model = settings.model
    return Features(album.derived, viewer_of(model), encoder_of(model), annotated_boxes(rows))


def device_of(trainer: TrainerSettings) -> str:
    """Where frozen backbones run: `cuda:0` when the trainer uses a GPU of that kind, each process of
    a distributed training its own; or `cpu`.

    Raises:
        SettingError: `accelerator=gpu`, and there is none.
    """
    if trainer.accelerator == CPU:
        return CPU
    import torch

    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if trainer.accelerator == "gpu" and not torch.backends.mps.is_available():
        raise SettingError(
            "trainer.accelerator=gpu: torch sees no GPU on this machine; take trainer=cpu"
        )
    return CPU
