"""Classifiers with drawn weights, and images to ask them about."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ismila.photos.images import ImageSpec
from ismila.vision.architecture import Architecture, bundled_digest
from ismila.vision.backbones import make_network, weights_of
from ismila.vision.classifier import Classifier
from ismila.vision.decision import Calibration, Decision


def classifier_of(name, size_px, hidden=0, digest="", detector=""):
    torch.manual_seed(0)
    weights = "" if name == "cnn" else "bundled"
    dropout = 0.2 if hidden or name == "cnn" else 0.0
    described = Architecture(
        name=name, hidden=hidden, dropout=dropout, weights=weights, digest=digest
    )
    spec = ImageSpec(size_px, "squash", (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    network = make_network(described, spec).eval()
    for parameter in network.head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    decision = Decision(threshold=0.7)
    scores = {"accuracy": 0.5}
    return Classifier(
        weights_of(network),
        described,
        spec,
        "rex",
        decision,
        detector=detector,
        scores=scores,
        run="abcdef12",
    )


def bundled_classifier(detector=""):
    return classifier_of("mobilenet", 96, digest=bundled_digest(), detector=detector)


def bundled_pair(detector=""):
    """Of two pets, mila the opposite of rex, with a threshold and a temperature of its own."""
    rex = bundled_classifier(detector)
    heads = {name: -array for name, array in rex.weights.items() if name.startswith("head.")}
    decision = Decision(0.4, Calibration(1.5, 0.3))
    mila = replace(
        rex, subject="mila", weights={**rex.weights, **heads}, decision=decision, run="12abcdef"
    )
    return rex, mila


def images_of(classifier, count=6):
    side = classifier.spec.size_px
    noise = np.random.default_rng(1).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in noise])
