"""Models that judge by brightness: what the application does around a classifier needs no training."""

import io

import numpy as np
from PIL import Image

from ismila.learning.judgement import judgements
from ismila.learning.views import Viewer
from ismila.photos import UserError
from ismila.photos.images import ImageSpec
from ismila.use.serve.models import Explained


class Brightness:
    """A bright photo is Mila."""

    def __init__(self):
        self.spec = ImageSpec(32)
        self.viewer = Viewer(self.spec)
        self.subject = "mila"
        self.threshold = 0.5
        self.scores = {"accuracy": 0.9}
        self.batches = []

    def judge(self, photos):
        return judgements(photos, self.probabilities)

    def probabilities(self, images):
        self.batches.append(len(images))
        return images.mean((1, 2, 3)) / 255


class StubModel:
    run_id = "0123456789abcdef"

    def __init__(self):
        self.classifier = Brightness()
        self.prepared = 0

    def prepare(self):
        self.prepared += 1

    def explain(self, image):
        return Explained(image.mean(2) / 255, "it is bright")


class StubModels:
    subject = "mila"
    takes_corrections = True

    def __init__(self):
        self.default = StubModel()
        self.corrected = []

    def names(self):
        return ["champion", self.default.run_id]

    def get(self, name):
        if name in ("", "champion"):
            return self.default
        raise KeyError(name)

    def correct(self, content, label):
        if label != "mila":
            raise UserError(f"label={label}: expected mila")
        self.corrected.append(len(content))
        return "feedback/x.png"


def grey_png(value=200, size=(48, 36)):
    out = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(out, "PNG")
    return out.getvalue()
