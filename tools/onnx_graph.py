"""Writes a backbone's graph for onnxruntime. Its weights are external data that point into the safetensors files beside
it, so that the same bytes serve torch and onnxruntime.

    python tools/onnx_graph.py        writes both.onnx, the two bundled networks side by side

By hand: torch's exporter leaves a shape beside each BatchNorm's epsilon, and onnxruntime then fuses none of them into
its convolution (97 instead of more than 200 photos/s).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import onnx
import torch

from ismila.vision.backbones import EfficientNetLite0, MobileNetV2
from ismila.vision.weights import BOTH, BUNDLED, LITE0


class Graph:
    """Nodes and tensors of one network, from `images` to its grid; names begin with `prefix`."""

    def __init__(self, backbone: torch.nn.Module, weights: Path, prefix: str = "") -> None:
        raw = weights.read_bytes()
        self.header_size = struct.unpack("<Q", raw[:8])[0]
        self.header = json.loads(raw[8 : 8 + self.header_size])
        self.weights, self.prefix = weights, prefix
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.pads = {}
        strided = {
            m.kernel_size[0]
            for m in backbone.modules()
            if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)
        }
        for k in sorted(strided):  # TensorFlow's padding of a stride of 2
            low, high = (k - 2) // 2, (k - 1) // 2
            self.pads[k] = self._constant(
                f"pads_{k}", np.array([0, 0, low, low, 0, 0, high, high], np.int64)
            )
        self.relu6 = [self._constant("low", np.float32(0)), self._constant("high", np.float32(6))]
        self.grid = self._run(dict(backbone.named_modules()))

    def _shared(self, name: str) -> str:
        begin, end = self.header[name]["data_offsets"]
        tensor = onnx.TensorProto(
            name=self.prefix + name,
            data_type=onnx.TensorProto.FLOAT,
            dims=self.header[name]["shape"],
        )
        tensor.data_location = onnx.TensorProto.EXTERNAL
        places = {
            "location": self.weights.name,
            "offset": 8 + self.header_size + begin,
            "length": end - begin,
        }
        for key, value in places.items():
            tensor.external_data.add(key=key, value=str(value))
        self.tensors.append(tensor)
        return tensor.name

    def _node(self, op: str, inputs: list[str], **attributes: object) -> str:
        output = f"{self.prefix}{op}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.tensors.append(onnx.numpy_helper.from_array(value, self.prefix + name))
        return self.prefix + name

    def _layer(self, x: str, conv_at: str, conv: torch.nn.Conv2d, relu: bool) -> str:
        if conv.stride == (2, 2):
            x = self._node("Pad", [x, self.pads[conv.kernel_size[0]]])
        x = self._node(
            "Conv",
            [x, self._shared(f"{conv_at}.weight")],
            group=conv.groups,
            strides=list(conv.stride),
            pads=[*conv.padding, *conv.padding],
        )
        above, _, number = conv_at.rpartition(".")
        norm_at = f"{above}.{int(number) + 1}"
        scale = [
            self._shared(f"{norm_at}.{n}")
            for n in ("weight", "bias", "running_mean", "running_var")
        ]
        x = self._node("BatchNormalization", [x, *scale], epsilon=1e-3)
        return self._node("Clip", [x, *self.relu6]) if relu else x

    def _run(self, modules: dict[str, torch.nn.Module]) -> str:
        x, entered = "images", {}
        for conv_at in [
            name for name, module in modules.items() if isinstance(module, torch.nn.Conv2d)
        ]:
            block = ".".join(conv_at.split(".")[:2])
            entered.setdefault(block, x)
            projects = (
                conv_at.count(".") == 3
            )  # features.N.conv.K: the block's last convolution, with no ReLU
            x = self._layer(x, conv_at, modules[conv_at], relu=not projects)
            if projects and modules[block].use_res_connect:
                x = self._node("Add", [entered[block], x])
        return x


def export_graph(graphs: list[Graph], width: int, to: Path) -> None:
    """Write the graphs as one: outputs `features` and the `grid` that they are the mean of."""
    nodes = [node for graph in graphs for node in graph.nodes]
    tensors = [tensor for graph in graphs for tensor in graph.tensors]
    nodes.append(
        onnx.helper.make_node("Concat", [graph.grid for graph in graphs], ["grid"], axis=1)
    )
    tensors.append(onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "spatial"))
    nodes.append(onnx.helper.make_node("ReduceMean", ["grid", "spatial"], ["features"], keepdims=0))
    value, single = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        to.stem,
        [value("images", single, ["n", 3, "h", "w"])],
        [value("features", single, ["n", width]), value("grid", single, ["n", width, "gh", "gw"])],
        tensors,
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    )
    to.write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(to))
    print(f"{to.name}: {to.stat().st_size} bytes, {len(nodes)} nodes, weights beside it")


if __name__ == "__main__":
    side_by_side = [
        Graph(MobileNetV2(), BUNDLED, "mobilenet_v2/"),
        Graph(EfficientNetLite0(), LITE0, "lite0/"),
    ]
    export_graph(side_by_side, MobileNetV2.width + EfficientNetLite0.width, BOTH)
