"""A classifier as one ONNX graph: photos as bytes in, probability and heat out.

Four parts, merged: preprocessing | backbone | head | answers. The bundled backbones bring graphs of their own, which
onnxruntime fuses; every other backbone, and every head, goes through torch's exporter.
"""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from ismila.learning.backbones import CNN
from ismila.learning.classifier import Classifier
from ismila.learning.features import Floats
from ismila.use.export.exported import FORMAT

OPSET, IR = 18, 9
PRODUCER = "ismila"


class _Backbone(nn.Module):
    """Features `[N, D]`, and the grid `[N, C, h, w]` that they are made of."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Any:
        if isinstance(self.backbone, CNN):
            grid = self.backbone.features(images)
            return grid.flatten(1), grid
        return self.backbone(images)


def graph_of(classifier: Classifier) -> onnx.ModelProto:
    """The graph of a classifier, with all that is needed to ask it in its metadata.

    Input `photos` uint8 `[N, size_px, size_px, 3]`; outputs `probability` `[N]`, `features` `[N, D]` and, where the
    head is one linear layer, `heat` `[N, h, w]`: what each cell of the last grid adds to the logit, as
    `Explainer.contributions` has it, 0 where nothing speaks for the subject.
    """
    classifier.network.eval()
    backbone, head = _backbone(classifier), _head(classifier)
    body = compose.merge_models(_preprocessing(classifier), backbone, [("images", "images")])
    outputs = [output.name for output in body.graph.output]
    merged = compose.merge_models(
        body, head, [("features", "features")], outputs=[*outputs, "logit"]
    )
    model = _answers(merged, classifier)
    _describe(model, classifier)
    onnx.checker.check_model(model, full_check=True)
    return model


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its kernels stored in half precision and cast to float32 when it is opened."""
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph, casts = halved.graph, []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            tensor.CopyFrom(
                numpy_helper.from_array(
                    numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half"
                )
            )
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved


def _model(
    nodes: list[Any], name: str, inputs: list[Any], outputs: list[Any], tensors: list[Any]
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _preprocessing(classifier: Classifier) -> onnx.ModelProto:
    spec = classifier.spec
    std = np.asarray(spec.std, np.float32).reshape(3, 1, 1)
    scale, shift = (
        np.float32(1) / (255 * std),
        np.asarray(spec.mean, np.float32).reshape(3, 1, 1) / std,
    )
    nodes = [
        helper.make_node("Transpose", ["photos"], ["upright"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["upright"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "pixel_scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "pixel_shift"], ["images"]),
    ]
    tensors = [
        numpy_helper.from_array(scale, "pixel_scale"),
        numpy_helper.from_array(shift, "pixel_shift"),
    ]
    side = spec.size_px
    photos = helper.make_tensor_value_info("photos", TensorProto.UINT8, ["n", side, side, 3])
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, side, side])
    return _model(nodes, "preprocessing", [photos], [images], tensors)


def _backbone(classifier: Classifier) -> onnx.ModelProto:
    if (graph := classifier.graph) is not None:
        model = onnx.load(str(graph.with_suffix(".onnx")))
        for tensor in model.graph.initializer:
            tensor.ClearField("external_data")
            tensor.data_location = TensorProto.DEFAULT
        return compose.add_prefix(model, "backbone_", rename_inputs=False, rename_outputs=False)
    side = classifier.spec.size_px
    return _by_torch(
        _Backbone(classifier.network.backbone), torch.zeros(2, 3, side, side), "images", "backbone_"
    )


def _head(classifier: Classifier) -> onnx.ModelProto:
    first = next(classifier.network.head.parameters())
    return _by_torch(
        classifier.network.head, torch.zeros(2, first.shape[1]), "features", "head_", ["logit"]
    )


def _by_torch(
    module: nn.Module, example: Tensor, given: str, prefix: str, outputs: list[str] | None = None
) -> onnx.ModelProto:
    with torch.no_grad():
        found = module.eval()(example[:1])
    outputs = outputs or (["features", "grid"] if isinstance(found, tuple) else ["features"])
    written: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the newer exporter needs onnxscript and folds BatchNorm no better
        torch.onnx.export(
            module,
            (example,),
            written,
            dynamo=False,
            opset_version=OPSET,
            input_names=[given],
            output_names=outputs,
            dynamic_axes={name: {0: "n"} for name in (given, *outputs)},
        )
    model = onnx.load_from_string(written.getvalue())
    model.ir_version = IR
    return compose.add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)


def _answers(model: onnx.ModelProto, classifier: Classifier) -> onnx.ModelProto:
    """Logit -> probability; grid -> heat."""
    graph = model.graph
    temperature = np.float32(classifier.temperature)
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "second_axis"))
    graph.initializer.append(numpy_helper.from_array(np.asarray(temperature), "temperature"))
    graph.node.append(helper.make_node("Squeeze", ["logit", "second_axis"], ["logits"]))
    graph.node.append(helper.make_node("Div", ["logits", "temperature"], ["tempered"]))
    graph.node.append(helper.make_node("Sigmoid", ["tempered"], ["probability"]))
    kept = {output.name: output for output in graph.output}
    outputs = [
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"]),
        kept["features"],
    ]
    weights = _heat_weights(classifier)
    if weights is not None:
        graph.initializer.append(numpy_helper.from_array(weights, "heat_weights"))
        graph.node.append(helper.make_node("Mul", ["grid", "heat_weights"], ["parts"]))
        graph.node.append(
            helper.make_node("ReduceSum", ["parts", "second_axis"], ["speaks"], keepdims=0)
        )
        graph.node.append(helper.make_node("Relu", ["speaks"], ["heat"]))
        outputs.insert(
            1, helper.make_tensor_value_info("heat", TensorProto.FLOAT, ["n", "heat_h", "heat_w"])
        )
    del graph.output[:]
    graph.output.extend(outputs)
    return model


def _heat_weights(classifier: Classifier) -> Floats | None:
    """The logit's gradient for each cell and channel of the grid, `[1, C, h, w]` or `[1, C, 1, 1]` where all cells
    have the same; None under a hidden layer."""
    linear = [
        module for module in classifier.network.head.modules() if isinstance(module, nn.Linear)
    ]
    if len(linear) != 1:
        return None
    side = classifier.spec.size_px
    with torch.no_grad():
        _, grid = _Backbone(classifier.network.backbone)(torch.zeros(1, 3, side, side))
    _, channels, height, width = grid.shape
    weight: Floats = linear[0].weight.detach().numpy().astype(np.float32)
    if weight.size == channels:  # of the mean over the grid
        return weight.reshape(1, channels, 1, 1) / np.float32(height * width)
    return weight.reshape(1, channels, height, width)


def _describe(model: onnx.ModelProto, classifier: Classifier) -> None:
    model.producer_name, model.graph.name = PRODUCER, f"is it {classifier.subject}?"
    told = {
        "format": FORMAT,
        "opset": OPSET,
        "labels": [f"not_{classifier.subject}", classifier.subject],
        "subject": classifier.subject,
        "threshold": classifier.threshold,
        "image": classifier.spec.as_dict(),
        "scores": classifier.scores,
        "run": classifier.run,
    }
    helper.set_model_props(model, {name: json.dumps(value) for name, value in told.items()})
