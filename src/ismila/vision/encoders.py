"""Images -> rows: the images themselves, a bundled graph in onnxruntime, or a network in torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ismila.photos.images import ImageSpec, Pixels, normalise
from ismila.settings import ModelSettings
from ismila.vision.architecture import architecture_of, bundled_digest, bundled_width
from ismila.vision.graphs import Floats, graph_session
from ismila.vision.weights import BUNDLED

if TYPE_CHECKING:
    from torch import nn

CPU = "cpu"
BATCH = 16
CHUNK = 2
"""Images that a bundled graph sees at a time: what lies between its layers then stays in a core's cache."""


class Encoder(Protocol):
    """Turns images into rows; `digest` names the weights that do it: those of one digest make the same rows."""

    digest: str

    def __call__(self, images: Pixels, /) -> npt.NDArray[Any]: ...


class StoredEncoder(Encoder, Protocol):
    """One whose rows can be kept: each is an array of this type and shape."""

    dtype: str

    @property
    def shape(self) -> tuple[int, ...]: ...


class Identity:
    """Keeps the images themselves: what a backbone that is trained reads every epoch."""

    digest = "images"
    dtype = "|u1"

    def __init__(self, spec: ImageSpec) -> None:
        self.shape = (spec.size_px, spec.size_px, 3)

    def __call__(self, images: Pixels) -> Pixels:
        return images


def in_batches(call: Callable[[Pixels], Floats], images: Pixels, batch_size: int = BATCH) -> Floats:
    """What `call` makes of images `[N, H, W, 3]`, a few at a time; N at least 1."""
    starts = range(0, len(images), batch_size)
    return np.concatenate([call(images[at : at + batch_size]) for at in starts])


class OnnxBackbone:
    """A bundled backbone in onnxruntime: on a CPU several times as fast as torch, and it imports no torch.

    The graph lies beside the weights and reads the same safetensors files as torch does.
    """

    dtype = "<f4"

    def __init__(self, spec: ImageSpec, graph: Path = BUNDLED) -> None:
        self.spec = spec
        self.digest = bundled_digest(graph)
        self.shape = (bundled_width(graph),)
        self._graph = graph.with_suffix(".onnx")

    @property
    def _session(self) -> Any:
        # a run whose rows are all cached asks it nothing
        return graph_session(self._graph, 0)

    def __call__(self, images: Pixels) -> Floats:
        """`[N, H, W, 3]` uint8 -> `[N, D]`; N at least 1."""
        return in_batches(self._features, images, CHUNK)

    def _features(self, images: Pixels) -> Floats:
        features: Floats = self._session.run(
            ["features"], {"images": normalise(images, self.spec)}
        )[0]
        return features

    def grid(self, images: Pixels) -> Floats:
        """`[N, H, W, 3]` uint8 -> `[N, D, H/32, W/32]`, whose mean over the last two axes the features are made of."""
        grid: Floats = self._session.run(["grid"], {"images": normalise(images, self.spec)})[0]
        return grid


class TorchEncoder:
    """A frozen backbone in torch: one with other weights than the bundled ones, or on a GPU.

    Bundled weights keep their digest there: onnxruntime's rows and a GPU's in full single precision
    are the same to 1e-5 of the largest at 224 px, and stand in one cache (`benchmarks/gpu_speed.py` says how
    far they are apart).
    """

    dtype = "<f4"

    def __init__(self, model: ModelSettings, spec: ImageSpec, device: str = CPU) -> None:
        from ismila.vision.backbones import make_network

        architecture = architecture_of(model)
        network = make_network(architecture, spec)
        width: Any = network.backbone.width
        self.shape: tuple[int, ...] = (width,)
        self.digest = architecture.digest or _digest_of(network.backbone)
        self.device = device
        self.network = network.to(device)

    def __call__(self, images: Pixels) -> Floats:
        """`[N, H, W, 3]` uint8 -> `[N, D]`."""
        import torch

        # TF32 would round each product to ten bits: a hundredth of the largest feature
        exactly = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), exactly:
            rows = self.network.features(torch.from_numpy(images).to(self.device))
            features: Floats = rows.cpu().numpy()
        return features


def _digest_of(backbone: nn.Module) -> str:
    content = b"".join(tensor.numpy().tobytes() for tensor in backbone.state_dict().values())
    return hashlib.sha256(content).hexdigest()[:16]
