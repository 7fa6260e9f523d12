"""Backbone + head + image specification + labels + threshold -> probabilities; a folder on disk, no pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from ismila.learning.features import Floats, OnnxBackbone, bundled_digest, bundled_graph
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, Pixels, write_aside

if TYPE_CHECKING:
    from ismila.learning.backbones import Network

FORMAT = 1
WEIGHT, BIAS = "head.0.weight", "head.0.bias"


@dataclass
class Classifier:
    """A trained network with all that is needed to ask it about a photo.

    A bundled backbone with a linear head is asked without torch: `ismila predict` need not import it.

    Attributes:
        weights: of backbone and head, by the names that torch knows them by.
        backbone: `{"name": "cnn" | "mobilenet" | "efficientnet_lite0", ...}`, what `make_network` takes.
        threshold: a photo is the subject from this probability on.
        temperature: what the logits are divided by (`temperature_of`).
        scores: the figures of the epoch whose weights these are.
        run: MLflow run id, empty when there is none.
    """

    weights: Mapping[str, npt.NDArray[Any]]
    backbone: dict[str, Any]
    spec: ImageSpec
    subject: str
    threshold: float = 0.5
    scores: dict[str, float] = field(default_factory=dict)
    run: str = ""
    temperature: float = 1.0

    @cached_property
    def network(self) -> Network:
        """The same in torch, in inference mode: what explains an answer, and answers where no bundled graph does."""
        import torch

        from ismila.learning.backbones import make_network

        network = make_network(self.backbone, self.spec, pretrained=False)
        network.load_state_dict(
            {name: torch.from_numpy(np.array(array)) for name, array in self.weights.items()}
        )
        return network.eval()

    @property
    def graph(self) -> Path | None:
        """The bundled graph that computes what the backbone does; None where its weights are not the bundled ones."""
        graph = bundled_graph(self.backbone)
        return graph if graph and self.backbone.get("digest") == bundled_digest(graph) else None

    @property
    def encoder(self) -> OnnxBackbone | None:
        """What makes the head's rows, faster than torch does; None without a bundled graph."""
        return OnnxBackbone(self.spec, self.graph) if self.graph else None

    def probabilities(self, images: Pixels, batch_size: int = 32) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N]` probability of the subject."""
        parts = [
            self._logits(self.features(images[i : i + batch_size]))
            for i in range(0, len(images), batch_size)
        ]
        logits = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return sigmoid(logits / np.float32(self.temperature))

    def features(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N, D]`, what the head gets."""
        if encoder := self.encoder:
            return encoder(images)
        return self._by_torch(self.network.features, np.array(images))

    def _logits(self, features: Floats) -> Floats:
        if self.is_linear:
            linear: Floats = features @ self.weights[WEIGHT][0] + self.weights[BIAS]
            return linear
        return self._by_torch(self.network, features)

    @staticmethod
    def _by_torch(call: Callable[[Any], Any], rows: npt.NDArray[Any]) -> Floats:
        import torch

        with torch.inference_mode():
            found: Floats = call(torch.from_numpy(rows)).numpy()
        return found

    @property
    def is_linear(self) -> bool:
        """The head is one linear layer and no more."""
        return sorted(name for name in self.weights if name.startswith("head.")) == [BIAS, WEIGHT]

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `classifier.json`."""
        write_aside(folder / "model.safetensors", save(dict(self.weights)))
        described = {
            "format": FORMAT,
            "labels": [f"not_{self.subject}", self.subject],
            "subject": self.subject,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "image": self.spec.as_dict(),
            "backbone": self.backbone,
            "scores": self.scores,
            "run": self.run,
        }
        write_aside(folder / "classifier.json", json.dumps(described, indent=2).encode())

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Raises UserError when the folder holds no classifier that this version can read."""
        try:
            described = json.loads((folder / "classifier.json").read_text())
            weights = load((folder / "model.safetensors").read_bytes())
            if described["format"] != FORMAT:
                raise UserError(
                    f"{folder}: classifier of format {described['format']}, expected {FORMAT}"
                )
            spec = ImageSpec(**described["image"])
            names = ("subject", "threshold", "scores", "run")
            loaded = cls(weights, described["backbone"], spec, *(described[name] for name in names))
            loaded.temperature = float(described.get("temperature", 1.0))
            loaded.probabilities(np.zeros((1, spec.size_px, spec.size_px, 3), np.uint8))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{folder}: not a classifier ({error}); name a folder that `train` wrote"
            ) from error
        return loaded


def sigmoid(logits: Floats) -> Floats:
    """Logits -> probabilities."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)


LOW_TENTH = 0.1
CALIBRATED_FROM = 10
"""With fewer photos of either side than this the temperature stays 1: a handful that is told apart would ask for 0."""


def choose_threshold(
    logits: Floats,
    is_subject: npt.NDArray[np.bool_],
    false_positive_rate: float,
    play: float = 0.0,
    easy: bool = False,
) -> float:
    """A logit: half-way between the subject's photos and the others, near 0, where few enough of the others pass.

    Half-way is between the lowest tenth of the subject's logits (with a few photos: the lowest) and the highest
    negative, but at most `play` from 0. It is moved up to where no more than `false_positive_rate` of the negatives
    passes: half-way between the highest that must stay out and the next higher logit.

    Args:
        logits: `[N]`, of photos that were held out.
        easy: the negatives are easy (things alone), so not below 0: their logits are low, and a threshold among them
            would take every animal for the subject.
    """
    x = np.asarray(logits, dtype=np.float64)
    negatives = np.sort(x[~is_subject])[::-1]
    highest_out = negatives[min(int(false_positive_rate * len(negatives)), len(negatives) - 1)]
    above = x[x > highest_out]
    strict = (highest_out + above.min()) / 2 if len(above) else highest_out + 1e-3
    half_way = (
        (np.quantile(x[is_subject], LOW_TENTH, method="lower") + negatives[0]) / 2
        if is_subject.any()
        else 0.0
    )
    lowest = 0.0 if easy else -play
    low, high = (strict if highest_out >= bound else bound for bound in (lowest, play))
    return float(np.clip(half_way, min(low, high), high))


def temperature_of(logits: Floats, is_subject: npt.NDArray[np.bool_]) -> float:
    """What held-out logits `[N]` have to be divided by for their probabilities to be likeliest, in 0.25..4.

    Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599): it changes no order and no verdict.
    1 with fewer than ten photos of either side.
    """
    from scipy.optimize import minimize_scalar

    if min(is_subject.sum(), (~is_subject).sum()) < CALIBRATED_FROM:
        return 1.0
    signed = np.where(is_subject, -1.0, 1.0) * logits
    found = minimize_scalar(
        lambda log_t: np.logaddexp(0, signed / np.exp(log_t)).mean(),
        bounds=np.log([0.25, 4]),
        method="bounded",
    )
    return float(np.exp(found.x))
