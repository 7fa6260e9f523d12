"""Bundled backbone weights; README.md says where they come from."""

from functools import lru_cache
from pathlib import Path

import numpy as np

BUNDLED = Path(__file__).with_name("mobilenet_v2.safetensors")
"""Keras' MobileNetV2 (float32); the graph for onnxruntime lies beside it and reads the same bytes."""
LITE0 = BUNDLED.with_name("efficientnet_lite0.safetensors")
"""EfficientNet-Lite0 (float32), likewise."""
BOTH = BUNDLED.with_name("both.onnx")
"""The two graphs as one, the channels of their grids side by side; it reads both weights files."""
NANODET = BUNDLED.with_name("nanodet.onnx")
"""NanoDet-g for the ten animals of COCO, weights inside (float16, computed in float32)."""
STRANGERS = BUNDLED.with_name("strangers_*.npz")
"""Features of photos that nobody has here, a file for each backbone and kind of views."""
INDIVIDUALS = BUNDLED.with_name("individuals_*.npz")
"""How photos of one animal differ, likewise."""


@lru_cache
def shipped(files: Path, made_by: str) -> Path | None:
    """The one of `STRANGERS` or `INDIVIDUALS` that a backbone made; None where none was shipped for it.

    Args:
        made_by: `features.Features.recipe`.
    """
    for path in sorted(files.parent.glob(files.name)):
        with np.load(path, allow_pickle=False) as file:
            if str(file["made_by"]) == made_by:
                return path
    return None
