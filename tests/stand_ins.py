"""What stands for a detector and for a trained classifier where neither is looked at."""

import numpy as np
import torch

from ismila.photos.images import ImageSpec
from ismila.vision.animals import Animal
from ismila.vision.architecture import Architecture
from ismila.vision.backbones import make_network, weights_of
from ismila.vision.classifier import Classifier
from ismila.vision.decision import Calibration, Decision

SPEC = ImageSpec(64)


class Sees:
    """Stands for a detector that sees the same animals in every photo."""

    recipe = "sees"
    digest = "sees"
    spec = ImageSpec(32)

    def __init__(self, *boxes):
        self.seen = [Animal(box, "dog", 0.9 - at / 10) for at, box in enumerate(boxes)]
        self.looked = 0

    def __call__(self, images):
        self.looked += len(images)
        return [list(self.seen) for _ in images]


def untrained(name, hidden=0, spec=SPEC):
    torch.manual_seed(0)
    weights = "" if name == "cnn" else "bundled"
    dropout = 0.2 if hidden or name == "cnn" else 0.0
    architecture = Architecture(name=name, weights=weights, hidden=hidden, dropout=dropout)
    network = make_network(architecture, spec)
    for layer in network.head.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=0.1)
    decision = Decision(0.7, Calibration(1.7, 0.4))
    return Classifier(weights_of(network), architecture, spec, "mila", decision)


def noise(spec=SPEC, n=3):
    shape = (n, spec.size_px, spec.size_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
