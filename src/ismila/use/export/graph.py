"""Classifiers as one ONNX graph: photos as bytes in, probability and heat out.

Four parts, merged: preprocessing | backbone | a head for each subject | answers. The bundled backbones bring graphs of
their own, which onnxruntime fuses; every other backbone, and every head, goes through torch's
exporter.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, compose, helper, numpy_helper
from torch import Tensor, nn

from ismila.photos import UserError
from ismila.photos.images import PIXELS_VERSION
from ismila.use.export.exported import FORMAT, FORMAT_OF_SEVERAL
from ismila.vision.backbones import CNN
from ismila.vision.classifier import Classifier
from ismila.vision.graphs import Floats

OPSET = 18
IR = 9
"""Version of the file format: what browsers of today read."""
PRODUCER = "ismila"


class _Backbone(nn.Module):
    """Features `[N, D]`, and the grid `[N, C, h, w]` that they are made of."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.backbone, CNN):
            grid: Tensor = self.backbone.features(images)
            return grid.flatten(1), grid
        features, grid = self.backbone(images)
        return features, grid


def graph_of(*classifiers: Classifier) -> onnx.ModelProto:
    """The graph of a classifier, with all that is needed to ask it in its metadata.

    Input `photos` uint8 `[N, size_px, size_px, 3]`. Outputs `probability` `[N]`, `features`
    `[N, D]` and, where the head is one linear layer, `heat` `[N, h, w]`: what each cell of the last
    grid adds to the logit, as `Explainer.contributions` has it, 0 where nothing speaks for the
    subject. Of H subjects `probability` is `[N, H]`, and `heat` `[N, H, h, w]`.

    Args:
        classifiers: of each subject, with the same views and the same backbone.
    """
    first = classifiers[0]
    first.network.eval()
    model = compose.merge_models(_preprocessing(first), _backbone(first), [("images", "images")])
    for number, classifier in enumerate(classifiers):
        outputs = [*(output.name for output in model.graph.output), _logit(number)]
        joint = [("features", "features")]
        model = compose.merge_models(model, _head(classifier, number), joint, outputs=outputs)
    _add_answers(model, classifiers)
    _describe(model, classifiers)
    onnx.checker.check_model(model, full_check=True)
    return model


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with kernels in half precision, cast to float32 when it is opened."""
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved


def _preprocessing(classifier: Classifier) -> onnx.ModelProto:
    """Photos as bytes -> normalised images, as `photos.images.normalise` does it."""
    spec = classifier.spec
    std = np.asarray(spec.std, np.float32).reshape(3, 1, 1)
    mean = np.asarray(spec.mean, np.float32).reshape(3, 1, 1)
    nodes: list[NodeProto] = [
        helper.make_node("Transpose", ["photos"], ["upright"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["upright"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "pixel_scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "pixel_shift"], ["images"]),
    ]
    tensors = [
        numpy_helper.from_array(np.float32(1) / (255 * std), "pixel_scale"),
        numpy_helper.from_array(mean / std, "pixel_shift"),
    ]
    side = spec.size_px
    photos = helper.make_tensor_value_info("photos", TensorProto.UINT8, ["n", side, side, 3])
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, side, side])
    graph = helper.make_graph(nodes, "preprocessing", [photos], [images], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _backbone(classifier: Classifier) -> onnx.ModelProto:
    if (graph := classifier.backbone.graph) is not None:
        model = onnx.load(str(graph.with_suffix(".onnx")))
        for tensor in model.graph.initializer:
            tensor.ClearField("external_data")
            tensor.data_location = TensorProto.DEFAULT
        return compose.add_prefix(model, "backbone_", rename_inputs=False, rename_outputs=False)
    if classifier.backbone.is_from_hub:
        raise UserError(
            f"{classifier.backbone.name}: a backbone of timm's is not exported; predict, scan and "
            "serve ask it, or train with a bundled one"
        )
    side = classifier.spec.size_px
    written = _write_by_torch(
        _Backbone(classifier.network.backbone),
        torch.zeros(2, 3, side, side),
        given="images",
        outputs=["features", "grid"],
    )
    return compose.add_prefix(written, "backbone_", rename_inputs=False, rename_outputs=False)


def _logit(number: int) -> str:
    """What the output of a head is called."""
    return f"logit_{number}"


def _head(classifier: Classifier, number: int) -> onnx.ModelProto:
    head = classifier.network.head
    n_features = next(head.parameters()).shape[1]
    written = _write_by_torch(
        head, torch.zeros(2, n_features), given="features", outputs=[_logit(number)]
    )
    return compose.add_prefix(written, f"head_{number}_", rename_inputs=False, rename_outputs=False)


def _write_by_torch(
    module: nn.Module, example: Tensor, given: str, outputs: list[str]
) -> onnx.ModelProto:
    """A module as torch's exporter writes it, for any number of photos.

    Args:
        example: what the module takes, of two photos.
        given, outputs: names of what it takes and gives.
    """
    written = io.BytesIO()
    with warnings.catch_warnings():
        # the newer exporter needs onnxscript and folds BatchNorm no better
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (example,),
            written,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=[given],
            output_names=outputs,
            dynamic_axes={name: {0: "n"} for name in (given, *outputs)},
        )
    model = onnx.load_from_string(written.getvalue())
    model.ir_version = IR
    return model


def _add_answers(model: onnx.ModelProto, classifiers: Sequence[Classifier]) -> None:
    """Logits -> probability; grid -> heat."""
    graph = model.graph
    calibrations = [one.decision.calibration for one in classifiers]
    temperatures = np.array([[one.temperature for one in calibrations]], np.float32)
    biases = np.array([[one.bias for one in calibrations]], np.float32)
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "second_axis"))
    graph.initializer.append(numpy_helper.from_array(temperatures, "temperatures"))
    graph.initializer.append(numpy_helper.from_array(biases, "biases"))
    logits = [_logit(number) for number in range(len(classifiers))]
    graph.node.append(helper.make_node("Concat", logits, ["logits"], axis=1))
    graph.node.append(helper.make_node("Div", ["logits", "temperatures"], ["tempered"]))
    graph.node.append(helper.make_node("Add", ["tempered", "biases"], ["calibrated"]))
    graph.node.append(helper.make_node("Sigmoid", ["calibrated"], ["of_subjects"]))
    features = next(output for output in graph.output if output.name == "features")
    probability = _answer(model, "of_subjects", "probability", len(classifiers))
    outputs: list[ValueInfoProto] = [probability, *_add_heat(model, classifiers), features]
    del graph.output[:]
    graph.output.extend(outputs)


def _answer(
    model: onnx.ModelProto, of_subjects: str, name: str, n_subjects: int, *more: str
) -> ValueInfoProto:
    """The output `name` of what has the subjects in its second axis; of one subject without that axis.

    Args:
        more: names of the axes that follow.
    """
    if n_subjects > 1:
        model.graph.node.append(helper.make_node("Identity", [of_subjects], [name]))
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", n_subjects, *more])
    model.graph.node.append(helper.make_node("Squeeze", [of_subjects, "second_axis"], [name]))
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *more])


def _add_heat(model: onnx.ModelProto, classifiers: Sequence[Classifier]) -> list[ValueInfoProto]:
    """The output `heat`; none where a head has a hidden layer."""
    known = [_heat_weights(classifier) for classifier in classifiers]
    weights = [one for one in known if one is not None]
    if len(weights) < len(known):
        return []
    graph = model.graph
    for number, one in enumerate(weights):
        names = [f"{name}_{number}" for name in ("heat_weights", "parts", "sum")]
        graph.initializer.append(numpy_helper.from_array(one, names[0]))
        graph.node.append(helper.make_node("Mul", ["grid", names[0]], names[1:2]))
        graph.node.append(helper.make_node("ReduceSum", [names[1], "second_axis"], names[2:]))
    sums = [f"sum_{number}" for number in range(len(weights))]
    graph.node.append(helper.make_node("Concat", sums, ["speaks"], axis=1))
    graph.node.append(helper.make_node("Relu", ["speaks"], ["heat_of_subjects"]))
    return [_answer(model, "heat_of_subjects", "heat", len(classifiers), "heat_h", "heat_w")]


def _heat_weights(classifier: Classifier) -> Floats | None:
    """The logit's gradient for each cell and channel of the grid, `[1, C, h, w]` or `[1, C, 1, 1]`
    where all cells have the same; None under a hidden layer."""
    modules = classifier.network.head.modules()
    linear = [module for module in modules if isinstance(module, nn.Linear)]
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


def _describe(model: onnx.ModelProto, classifiers: Sequence[Classifier]) -> None:
    first = classifiers[0]
    subjects = [_described(classifier) for classifier in classifiers]
    model.producer_name = PRODUCER
    model.graph.name = f"is it {' or '.join(one.subject for one in classifiers)}?"
    described = {"opset": OPSET, "image": first.spec.as_dict(), "detector": first.detector}
    described["pixels"] = PIXELS_VERSION
    if len(classifiers) > 1:
        described |= {"format": FORMAT_OF_SEVERAL, "subjects": subjects}
    else:
        described |= {"format": FORMAT, **subjects[0]}
    helper.set_model_props(model, {name: json.dumps(value) for name, value in described.items()})


def _described(classifier: Classifier) -> dict[str, object]:
    return {
        "labels": [f"not_{classifier.subject}", classifier.subject],
        "subject": classifier.subject,
        "threshold": classifier.threshold,
        "scores": classifier.scores,
        "run": classifier.run,
    }
