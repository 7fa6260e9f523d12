"""Backbone + head + image specification + labels + threshold -> probabilities; a folder on disk, no pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import nn

from ismila.learning.backbones import CNN, MobileNetV2, load_mobilenet
from ismila.learning.features import OnnxMobileNet, bundled_digest
from ismila.learning.module import Network, make_head
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, Pixels, write_aside

FORMAT = 1


@dataclass
class Classifier:
    """A trained network with all that is needed to ask it about a photo.

    Attributes:
        backbone: `{"name": "cnn" | "mobilenet", ...}`, what `make_network` takes.
        threshold: a photo is the subject from this probability on.
        scores: the figures of the epoch whose weights these are.
        run: MLflow run id, empty when there is none.
    """

    network: Network
    backbone: dict[str, Any]
    spec: ImageSpec
    subject: str
    threshold: float = 0.5
    scores: dict[str, float] = field(default_factory=dict)
    run: str = ""

    def probabilities(self, images: Pixels, batch_size: int = 32) -> npt.NDArray[np.float32]:
        """`[N, size_px, size_px, 3]` uint8 -> `[N]` probability of the subject."""
        parts = [self._batch(images[i : i + batch_size]) for i in range(0, len(images), batch_size)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    @torch.inference_mode()
    def _batch(self, images: Pixels) -> npt.NDArray[np.float32]:
        self.network.eval()
        device = next(self.network.parameters()).device
        if device.type == "cpu" and self.backbone.get("digest") == bundled_digest():
            x = torch.from_numpy(OnnxMobileNet(self.spec)(images))
        else:
            x = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        return torch.sigmoid(self.network(x)).cpu().numpy()  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `classifier.json`."""
        state = {name: tensor.contiguous().cpu() for name, tensor in self.network.state_dict().items()}
        write_aside(folder / "model.safetensors", save(state))
        described = {
            "format": FORMAT,
            "labels": [f"not_{self.subject}", self.subject],
            "subject": self.subject,
            "threshold": self.threshold,
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
            state = load((folder / "model.safetensors").read_bytes())
            if described["format"] != FORMAT:
                raise UserError(f"{folder}: classifier of format {described['format']}, expected {FORMAT}")
            spec = ImageSpec(**described["image"])
            network = make_network(described["backbone"], spec, pretrained=False)
            network.load_state_dict(state)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{folder}: not a classifier ({error}); name a folder that `train` wrote") from error
        return cls(
            network.eval(),
            described["backbone"],
            spec,
            described["subject"],
            described["threshold"],
            described["scores"],
            described["run"],
        )


def make_network(backbone: dict[str, Any], spec: ImageSpec, pretrained: bool = True) -> Network:
    """Backbone and head as described.

    Args:
        backbone: `name` (cnn or mobilenet), `hidden`, `dropout`; for mobilenet also `weights`.
        pretrained: fetch the backbone's weights; False when a state is loaded right after.

    Raises:
        ValueError: an unknown name.
    """
    name, hidden, dropout = backbone["name"], int(backbone.get("hidden", 0)), float(backbone["dropout"])
    if name == "cnn":
        cnn = CNN(spec.size_px)
        return Network(cnn, make_head(cnn.width, 0, dropout), spec)
    if name == "mobilenet":
        weights = backbone["weights"]
        body: nn.Module = load_mobilenet(weights) if pretrained else MobileNetV2(keras=weights == "bundled")
        body.requires_grad_(False)
        return Network(body.eval(), make_head(MobileNetV2.width, hidden, dropout if hidden else 0.0), spec)
    raise ValueError(f"model.name={name}: expected cnn or mobilenet")


def choose_threshold(
    probabilities: Sequence[float] | npt.NDArray[np.floating[Any]],
    is_subject: npt.NDArray[np.bool_],
    false_positive_rate: float,
) -> float:
    """0.5, or the higher threshold that it takes to let at most this share of the negatives through.

    Never below 0.5: where the negatives are easy (things alone) their probabilities lie near 0, and a threshold
    among them would take every animal for the subject. A higher one lies half-way, in logits, between the highest
    negative that must stay out and the next higher probability.
    """
    p = np.asarray(probabilities, dtype=np.float64).clip(1e-7, 1 - 1e-7)
    if int((p[~is_subject] >= 0.5).sum()) <= int(false_positive_rate * int((~is_subject).sum())):
        return 0.5
    logits = np.log(p / (1 - p))
    negatives = np.sort(logits[~is_subject])[::-1]
    highest_out = negatives[min(int(false_positive_rate * len(negatives)), len(negatives) - 1)]
    above = logits[logits > highest_out]
    at = (highest_out + above.min()) / 2 if len(above) else highest_out + 1e-3
    return float(1 / (1 + np.exp(-at)))
