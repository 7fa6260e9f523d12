"""Name -> torch module. A backbone runs without a Trainer and turns images into feature rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from ismila.photos.images import ImageSpec
from ismila.settings import TIMM, SettingError
from ismila.vision.architecture import WIDTH, Architecture
from ismila.vision.hub import HubBackbone, empty_backbone, fetch_backbone
from ismila.vision.weights import BUNDLED, LITE0

Array = npt.NDArray[Any]


class CNN(nn.Module):
    """The article's super-simple network: three 3x3 convolutions (32, 32, 64), each ReLU and 2x2 max-pooling.

    `[N, 3, S, S]` -> `[N, 64 * s * s]` with `s = ((S - 2) // 2 - 2) // 2 ...`, as unpadded convolutions give.
    Pooling comes before ReLU, which then has a quarter of the values to go through and gives the same ones.
    """

    def __init__(self, size_px: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        side = size_px
        for width in (32, 32, 64):
            layers += [nn.Conv2d(channels, width, 3), nn.MaxPool2d(2), nn.ReLU()]
            channels = width
            side = (side - 2) // 2
        if side < 1:
            raise ValueError(f"size_px={size_px}: three convolutions need at least 22 px")
        self.features = nn.Sequential(*layers)
        self.width = 64 * side * side

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images).flatten(1)  # type: ignore[no-any-return]


class MobileNetV2(nn.Module):
    """torchvision's MobileNetV2 1.0 without its classifier, changed to compute what Keras' does.

    Keras differs in two ways that both matter: BatchNorm's epsilon is 1e-3, and a convolution of stride 2 pads
    (0, 1, 0, 1), not 1 on each side. `keras=False` leaves torchvision's own (for `model.weights=torchvision`).

    `[N, 3, H, W]` -> features `[N, 1280]` and the grid they are the mean of, `[N, 1280, H/32, W/32]`.
    """

    width = WIDTH

    def __init__(self, keras: bool = True) -> None:
        super().__init__()
        from torchvision.models.mobilenetv2 import mobilenet_v2

        self.features: nn.Sequential = mobilenet_v2(weights=None).features
        if keras:
            _compute_like_tensorflow(self.features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grid = self.features(images)
        return grid.mean((2, 3)), grid


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier: MobileNetV2's blocks in other widths, some of them 5x5.

    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: no squeeze-and-excitation, ReLU6.
    TensorFlow's padding and epsilon as in `MobileNetV2`; the same shapes.
    """

    width = WIDTH
    _SETTING = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 40, 2, 2),
        (6, 80, 3, 2),
        (6, 112, 3, 1),
        (6, 192, 4, 2),
        (6, 320, 1, 1),
    )
    """Expansion, channels, blocks and first stride of each stage."""
    _WIDE = (40, 112, 192)
    """Channels of the stages whose convolutions are 5x5."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.mobilenetv2 import InvertedResidual, mobilenet_v2

        self.features: nn.Sequential = mobilenet_v2(
            weights=None, inverted_residual_setting=[list(stage) for stage in self._SETTING]
        ).features
        for block in self.features:
            if isinstance(block, InvertedResidual) and block.out_channels in self._WIDE:
                depthwise: Any = block.get_submodule("conv.1")
                n, stride = depthwise[0].in_channels, depthwise[0].stride
                depthwise[0] = nn.Conv2d(n, n, 5, stride, 2, groups=n, bias=False)
        _compute_like_tensorflow(self.features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grid = self.features(images)
        return grid.mean((2, 3)), grid


class _TensorFlowConv2d(nn.Conv2d):
    """A stride-2 convolution that pads one less above and to the left, as TensorFlow does on even sizes."""

    def forward(self, x: Tensor) -> Tensor:
        low, high = (self.kernel_size[0] - 2) // 2, (self.kernel_size[0] - 1) // 2
        return super().forward(nn.functional.pad(x, (low, high, low, high)))


def _compute_like_tensorflow(features: nn.Module) -> None:
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.__class__ = _TensorFlowConv2d


class SideBySide(nn.Module):
    """Backbones that see the same images; the channels of their grids stand side by side.

    `[N, 3, H, W]` -> features `[N, width]` and the grid they are the mean of, `[N, width, H/32, W/32]`.
    """

    def __init__(self, *backbones: MobileNetV2 | EfficientNetLite0) -> None:
        super().__init__()
        self.width = sum(backbone.width for backbone in backbones)
        self.features = nn.Sequential(
            _Grids(*backbones), nn.Identity()
        )  # a heat map is taken from the last

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grid = self.features(images)
        return grid.mean((2, 3)), grid


class _Grids(nn.Module):
    def __init__(self, *backbones: MobileNetV2 | EfficientNetLite0) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([backbone(images)[1] for backbone in self.backbones], 1)


def load_efficientnet_lite0() -> EfficientNetLite0:
    """Pretrained EfficientNet-Lite0 in inference mode, from the bundled weights."""
    from safetensors.torch import load_file

    backbone = EfficientNetLite0()
    backbone.load_state_dict(load_file(LITE0), strict=False)  # without BatchNorm's step counters
    return backbone.eval()


def load_mobilenet(weights: str) -> MobileNetV2:
    """Pretrained MobileNetV2 in inference mode.

    Args:
        weights: `bundled` (Keras' ImageNet weights, no network needed) or `torchvision` (its newest, downloaded).

    Raises:
        SettingError: another name.
    """
    if weights == "bundled":
        from safetensors.torch import load_file

        backbone = MobileNetV2(keras=True)
        backbone.load_state_dict(
            load_file(BUNDLED), strict=False
        )  # without BatchNorm's step counters
        return backbone.eval()
    if weights == "torchvision":
        from torchvision.models.mobilenetv2 import MobileNet_V2_Weights

        chosen = MobileNet_V2_Weights.DEFAULT
        state = chosen.get_state_dict(progress=False)
        backbone = MobileNetV2(keras=False)
        backbone.load_state_dict({k: v for k, v in state.items() if k.startswith("features.")})
        return backbone.eval()
    raise SettingError(f"model.weights={weights}: expected bundled or torchvision")


class Network(nn.Module):
    """Backbone and head in one: logits of "is the subject".

    Takes images `[N, H, W, 3]` uint8, or feature rows `[N, D]` that a frozen backbone computed before, and
    returns logits `[N]`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: nn.Module, spec: ImageSpec) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x) if x.ndim == 4 else x).squeeze(1)  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> Tensor:
        """`[N, H, W, 3]` -> `[N, D]`: normalised and through the backbone."""
        rows = self.backbone((images.permute(0, 3, 1, 2) / 255 - self.mean) / self.std)
        return rows[0] if isinstance(rows, tuple) else rows  # type: ignore[no-any-return]


def make_head(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """`[N, width]` -> `[N, 1]`; one fully connected layer, or two with ReLU between when `hidden` is not 0."""
    if hidden == 0 and dropout == 0:
        linear = nn.Linear(width, 1)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        return nn.Sequential(linear)
    if hidden == 0:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, 1))
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
    )


def make_network(architecture: Architecture, spec: ImageSpec, pretrained: bool = True) -> Network:
    """Backbone and head as described.

    Args:
        pretrained: fetch the backbone's weights; False when a state is loaded right after.

    Raises:
        SettingError: unknown weights.
    """
    if architecture.name == "cnn":
        cnn = CNN(spec.size_px)
        return Network(cnn, make_head(cnn.width, 0, architecture.dropout), spec)
    body = _make_body(architecture, spec, pretrained)
    body.requires_grad_(False)
    return Network(
        body.eval(), make_head(body.width, architecture.hidden, architecture.dropout), spec
    )


def _make_body(
    architecture: Architecture, spec: ImageSpec, pretrained: bool
) -> MobileNetV2 | EfficientNetLite0 | SideBySide | HubBackbone:
    if architecture.is_from_hub:
        if pretrained:
            return copy.deepcopy(fetch_backbone(architecture.weights, spec.size_px))
        name = architecture.name.removeprefix(TIMM)
        return empty_backbone(name, architecture.args, spec.size_px)
    if architecture.name == "efficientnet_lite0":
        return load_efficientnet_lite0() if pretrained else EfficientNetLite0()
    bundled = architecture.weights != "torchvision"
    mobilenet = load_mobilenet(architecture.weights) if pretrained else MobileNetV2(keras=bundled)
    if architecture.name == "mobilenet":
        return mobilenet
    return SideBySide(mobilenet, load_efficientnet_lite0() if pretrained else EfficientNetLite0())


def weights_of(network: nn.Module) -> dict[str, Array]:
    """A network's state by name, as `Classifier.weights` holds it."""
    return {
        name: tensor.detach().cpu().contiguous().numpy()
        for name, tensor in network.state_dict().items()
    }


def load_weights(network: nn.Module, weights: Mapping[str, Array]) -> None:
    """Put weights into a network by name; those that are not named stay as they are."""
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    network.load_state_dict(state, strict=False)
