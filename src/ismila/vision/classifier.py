"""Backbone + head + decision + image specification -> probabilities; a folder on disk, no pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from ismila.photos import UserError
from ismila.photos.files import write_aside
from ismila.photos.images import PIXELS_VERSION, ImageSpec, Pixels
from ismila.vision.architecture import Architecture, architecture_from
from ismila.vision.decision import Decision
from ismila.vision.encoders import OnnxBackbone, in_batches
from ismila.vision.graphs import Floats
from ismila.vision.judgement import Judgement, judgements
from ismila.vision.views import Viewer, Views, require_pixels, saved_viewer

if TYPE_CHECKING:
    from ismila.vision.backbones import Network

FORMAT = 3
READ = (1, 2, 3)
"""Formats that are understood: the first had threshold and temperature on top, before the third no bias."""
WEIGHT = "head.0.weight"
BIAS = "head.0.bias"


@dataclass
class Classifier:
    """A trained network with all that is needed to ask it about a photo.

    A bundled backbone with a linear head is asked without torch: `ismila predict` need not import it.

    Attributes:
        weights: of backbone and head, by the names that torch knows them by.
        backbone: what network it is.
        detector: names how the animals that it is asked about are found and cut out, see `Viewer.boxes_digest`;
            empty: it is asked about the whole photo.
        scores: the figures of the epoch whose weights these are.
        run: MLflow run id, empty when there is none.
    """

    weights: Mapping[str, npt.NDArray[Any]]
    backbone: Architecture
    spec: ImageSpec
    subject: str
    decision: Decision = field(default_factory=Decision)
    detector: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    run: str = ""

    @property
    def threshold(self) -> float:
        """A photo is the subject from this probability on."""
        return self.decision.threshold

    @cached_property
    def network(self) -> Network:
        """The same in torch, in inference mode: what explains an answer, and answers where no bundled graph does."""
        import torch

        from ismila.vision.backbones import make_network

        network = make_network(self.backbone, self.spec, pretrained=False)
        state = {name: torch.from_numpy(np.array(array)) for name, array in self.weights.items()}
        network.load_state_dict(state)
        return network.eval()

    @property
    def encoder(self) -> OnnxBackbone | None:
        """What makes the head's rows, faster than torch does; None without a bundled graph."""
        graph = self.backbone.graph
        return OnnxBackbone(self.spec, graph) if graph else None

    @cached_property
    def viewer(self) -> Viewer:
        """What makes images of a photo for it."""
        where = f"run {self.run[:8]}" if self.run else f"classifier of {self.subject}"
        return saved_viewer(self.spec, self.detector, where)

    def judge(self, photos: Sequence[Views]) -> list[Judgement]:
        """What it says of each photo."""
        return judgements(photos, self.probabilities)

    def probabilities(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N]` probability of the subject."""
        if not len(images):
            return np.zeros(0, np.float32)
        return in_batches(lambda batch: self.answer(self.features(batch)), images)

    def logits(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N]`: those that are calibrated, finite however sure it is."""
        return in_batches(lambda batch: self._logits(self.features(batch)), images)

    def answer(self, features: Floats) -> Floats:
        """`[N, D]`, what `features` gives -> `[N]` probability of the subject."""
        return self.decision.probabilities(self._logits(features))

    def features(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N, D]`, what the head gets."""
        if encoder := self.encoder:
            return encoder(images)
        return self._by_torch(self.network.features, np.array(images))

    def _logits(self, features: Floats) -> Floats:
        if self.is_linear:
            logits: Floats = features @ self.weights[WEIGHT][0] + self.weights[BIAS]
            return logits
        return self._by_torch(self.network, features)

    @staticmethod
    def _by_torch(call: Callable[[Any], Any], rows: npt.NDArray[Any]) -> Floats:
        import torch

        with torch.inference_mode():
            computed: Floats = call(torch.from_numpy(rows)).numpy()
        return computed

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
            "image": self.spec.as_dict(),
            "pixels": PIXELS_VERSION,
            "backbone": self.backbone.as_dict(),
            "decision": self.decision.as_dict(),
            "detector": self.detector,
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
            if described["format"] not in READ:
                known = " or ".join(map(str, READ))
                raise UserError(
                    f"{folder}: classifier of format {described['format']}, expected {known}"
                )
            loaded = cls(
                weights,
                architecture_from(described["backbone"]),
                ImageSpec(**described["image"]),
                described["subject"],
                Decision.from_dict(described.get("decision", described)),
                str(described.get("detector", "")),
                described["scores"],
                described["run"],
            )
            require_pixels(described.get("pixels", 1), str(folder))
            _ = loaded.viewer  # raises where animals were found in another way
            size_px = loaded.spec.size_px
            loaded.probabilities(np.zeros((1, size_px, size_px, 3), np.uint8))
        except UserError:
            raise
        except (
            Exception
        ) as error:  # whatever a file that is no classifier makes json, safetensors or torch raise
            raise UserError(
                f"{folder}: not a classifier ({error}); name a folder that `train` wrote"
            ) from error
        return loaded
