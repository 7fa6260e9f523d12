"""Name -> torch module. A backbone runs without a Trainer and turns images into feature rows."""

from __future__ import annotations

from torch import Tensor, nn

from ismila.learning.weights import BUNDLED


class CNN(nn.Module):
    """The article's super-simple network: three 3x3 convolutions (32, 32, 64), each ReLU and 2x2 max-pooling.

    `[N, 3, S, S]` -> `[N, 64 * s * s]` with `s = ((S - 2) // 2 - 2) // 2 ...`, as unpadded convolutions give.
    """

    def __init__(self, size_px: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, side = 3, size_px
        for width in (32, 32, 64):
            layers += [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels, side = width, (side - 2) // 2
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

    width = 1280

    def __init__(self, keras: bool = True) -> None:
        super().__init__()
        from torchvision.models.mobilenetv2 import mobilenet_v2

        self.features: nn.Sequential = mobilenet_v2(weights=None).features
        if keras:
            for module in self.features.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = 1e-3
            _pad_like_keras(self.features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grid = self.features(images)
        return grid.mean((2, 3)), grid


class _KerasConv2d(nn.Conv2d):
    """A stride-2 convolution that pads below and to the right only, as Keras does on even sizes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))


def _pad_like_keras(features: nn.Module) -> None:
    for module in features.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.__class__ = _KerasConv2d


def load_mobilenet(weights: str) -> MobileNetV2:
    """Pretrained MobileNetV2 in inference mode.

    Args:
        weights: `bundled` (Keras' ImageNet weights, no network needed) or `torchvision` (its newest, downloaded).

    Raises:
        ValueError: another name.
    """
    if weights == "bundled":
        from safetensors.torch import load_file

        backbone = MobileNetV2(keras=True)
        backbone.load_state_dict(load_file(BUNDLED), strict=False)  # without BatchNorm's step counters
        return backbone.eval()
    if weights == "torchvision":
        from torchvision.models.mobilenetv2 import MobileNet_V2_Weights

        chosen = MobileNet_V2_Weights.DEFAULT
        state = chosen.get_state_dict(progress=False)
        backbone = MobileNetV2(keras=False)
        backbone.load_state_dict({k: v for k, v in state.items() if k.startswith("features.")})
        return backbone.eval()
    raise ValueError(f"model.weights={weights}: expected bundled or torchvision")
