"""Models that judge by brightness: what the application does around a classifier needs no training."""

import io

import numpy as np
from PIL import Image

from ismila.photos.images import ImageSpec
from ismila.use.serve.models import ModelExplanation
from ismila.vision.views import Viewer


class Brightness:
    """A bright photo is Mila; of a dark pet a dark one."""

    def __init__(self, subject="mila", is_dark=False):
        self.spec = ImageSpec(32)
        self.viewer = Viewer(self.spec)
        self.encoder = None
        self.subject = subject
        self.is_dark = is_dark
        self.threshold = 0.5
        self.scores = {"accuracy": 0.9}
        self.batches = []

    def probabilities(self, images):
        self.batches.append(len(images))
        brightness = images.mean((1, 2, 3)) / 255
        return 1 - brightness if self.is_dark else brightness


class StubModel:
    def __init__(self, subject="mila", is_dark=False):
        self.run_id = "fedcba9876543210" if is_dark else "0123456789abcdef"
        self.classifier = Brightness(subject, is_dark)
        self.prepared = 0

    def prepare(self):
        self.prepared += 1

    def explain(self, image):
        return ModelExplanation(image.mean(2) / 255, "it is bright")


class StubModels:
    takes_corrections = True

    def __init__(self, subject="mila", is_dark=False):
        self.subject = subject
        self.default = StubModel(subject, is_dark)
        self.corrected = []

    def names(self):
        return ["champion", self.default.run_id]

    def get(self, name):
        if name in ("", "champion", self.default.run_id):
            return self.default
        raise KeyError(name)

    def correct(self, content, label):
        self.corrected.append((len(content), label))
        return "feedback/x.png"


def bright_and_dark():
    """Of two pets: a bright photo is Mila, a dark one Rex."""
    return [StubModels(), StubModels("rex", is_dark=True)]


def grey_png(value=200, size=(48, 36)):
    out = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()
