"""A model that sees bright and dark squares as animals; the bright one is Mila."""

import io

import numpy as np
from PIL import Image
from stub import StubModels, bright_and_dark

from ismila.photos.images import ImageSpec
from ismila.vision.animals import Animal
from ismila.vision.views import Viewer

LEFT = (0.1, 0.2, 0.4, 0.7)
RIGHT = (0.6, 0.5, 0.9, 1.0)


class Squares:
    """Sees an animal on each side of a photo that is not grey there."""

    recipe = digest = "squares"
    spec = ImageSpec(20)

    def __call__(self, images):
        return [
            [animal for animal in self._both() if self._is_there(image, animal.box)]
            for image in images
        ]

    @staticmethod
    def _both():
        return Animal(RIGHT, "cat", 0.9), Animal(LEFT, "dog", 0.8)

    @staticmethod
    def _is_there(image, box):
        middle = image[round(10 * (box[1] + box[3])), round(10 * (box[0] + box[2]))]
        return abs(int(middle[0]) - 128) > 20


def models_that_see(threshold=0.5):
    """Stub models that are asked about animals."""
    return _that_see(StubModels(), threshold)


def pets_that_see(threshold=0.5):
    """The same of two pets: the dark square is Rex."""
    return [_that_see(models, threshold) for models in bright_and_dark()]


def _that_see(models, threshold):
    models.default.classifier.threshold = threshold
    models.default.classifier.viewer = Viewer(ImageSpec(32), Squares())
    return models


def photo_of(left=128, right=128, size=(400, 300)):
    """A grey PNG with a square of some grey where each animal stands."""
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    for (x0, y0, x1, y1), grey in ((LEFT, left), (RIGHT, right)):
        pixels[int(y0 * size[1]) : int(y1 * size[1]), int(x0 * size[0]) : int(x1 * size[0])] = grey
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
