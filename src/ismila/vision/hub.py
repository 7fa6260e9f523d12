"""Backbones from elsewhere, by name, through timm: its own, the Hugging Face hub's, or a folder's."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ismila.photos.names import first_line
from ismila.settings import TIMM, SettingError

NOT_TO_KEEP = ("pretrained", "cache_dir", "img_size")


class HubBackbone(nn.Module):
    """A timm model without its classifier.

    `[N, 3, S, S]` -> `[N, width]`, pooled as the model does it.

    Attributes:
        architecture: what timm calls it.
        args: what it was made with besides, as JSON; with `architecture` enough to make it again.
        mean, std: of the images that it was trained on.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.width = int(model.num_features)
        trained = model.pretrained_cfg
        self.architecture = str(trained["architecture"])
        made_with = getattr(model, "_model_args", {})
        self.args = json.dumps({k: v for k, v in made_with.items() if k not in NOT_TO_KEEP})
        self.mean = tuple(trained["mean"])
        self.std = tuple(trained["std"])

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model(images)
        return features


@lru_cache(maxsize=1)
def fetch_backbone(name: str, size_px: int) -> HubBackbone:
    """The model with its weights, which timm downloads when they are not in its cache.

    Args:
        name: `timm:NAME`, `hf-hub:OWNER/NAME` or `local-dir:FOLDER`.

    Raises:
        SettingError: timm is not installed, knows no such model, or cannot have it.
    """
    try:
        model = _make(name.removeprefix(TIMM), size_px, pretrained=True, num_classes=0)
    except SettingError:
        raise
    except Exception as error:  # whatever timm, the hub and torch raise: a name, a network, a file
        raise SettingError(
            f"model.backbone={name}: timm cannot have it ({first_line(error)}); "
            "look at the name, and at the network connection"
        ) from error
    return HubBackbone(model.eval())


def empty_backbone(architecture: str, args: str, size_px: int) -> HubBackbone:
    """The same without its weights, which come from a classifier's folder; needs no network.

    Raises:
        SettingError: timm is not installed.
    """
    model = _make(architecture, size_px, pretrained=False, **json.loads(args))
    return HubBackbone(model.eval())


def _make(name: str, size_px: int, **args: Any) -> Any:
    """A timm model; a transformer's positions are fitted to the images' size."""
    try:
        import timm
    except ImportError as error:
        raise SettingError(
            "model.backbone: timm is not installed; pip install 'ismila[timm]'"
        ) from error
    with torch.random.fork_rng(devices=[]):  # its random weights are replaced
        try:
            return timm.create_model(name, img_size=size_px, **args)
        except TypeError:  # convolutions take any size and no such argument
            return timm.create_model(name, **args)
