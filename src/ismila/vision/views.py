"""Photo -> views: the images of it that go through a backbone, the whole photo or each animal cut out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ismila.photos import UserError
from ismila.photos.boxes import Box
from ismila.photos.images import (
    MAX_PIXELS,
    PIXELS_VERSION,
    ImageSpec,
    Pixels,
    cut_photo,
    fit_photo,
    open_photo,
    pixels_digest,
    square_around,
)
from ismila.vision.animals import Animal, Spotter, bundled_detector

DECODED_PX = 1024
"""A large photo is decoded at a scale with at least so many pixels a side: an animal of a quarter of its height then
fills the square that it is cut out to."""
MARGIN = 0.15
"""Room around an animal, as a share of the longer side of its box."""
MOST_ANIMALS = 4
"""So many animals of a photo are asked about, the surest."""


@dataclass(frozen=True)
class Views:
    """What of one photo goes through a backbone.

    Attributes:
        images: `[n, size_px, size_px, 3]`, n at least 1.
        animals: the animal that each image shows; empty where the one image is the whole photo.
        width_px, height_px: of the upright photo as decoded, a large JPEG at a reduced scale: what counts is their
            ratio.
    """

    images: Pixels
    animals: tuple[Animal, ...]
    width_px: int
    height_px: int

    def place(self, at: int, spec: ImageSpec) -> Box:
        """Where in the photo what image number `at` shows lies: x0 y0 x1 y1 in [0, 1].

        Args:
            spec: how the images were made.
        """
        size_px = (self.width_px, self.height_px)
        if self.animals:
            left, top, right, bottom = square_around(self.animals[at].box, size_px, MARGIN)
            return (
                left / self.width_px,
                top / self.height_px,
                right / self.width_px,
                bottom / self.height_px,
            )
        if spec.fit == "squash":
            return 0.0, 0.0, 1.0, 1.0
        x0, y0 = ((1 - min(size_px) / side) / 2 for side in size_px)
        return x0, y0, 1 - x0, 1 - y0


@dataclass(frozen=True)
class Viewer:
    """Makes views of photos.

    Attributes:
        spec: how a photo, or a part of it, becomes an image.
        detector: finds the animals that are cut out; None: the whole photo is the view.
    """

    spec: ImageSpec
    detector: Spotter | None = None

    @property
    def digest(self) -> str:
        """16 hex digits that name what makes the views."""
        pixels = pixels_digest(self.spec)
        if self.detector is None:
            return pixels
        text = f"{pixels} {self.detector.digest} {self.recipe}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def recipe(self) -> str:
        """Names how the views are made, whatever decodes the photos."""
        whole = " ".join(map(str, vars(self.spec).values()))
        if self.detector is None:
            return whole
        return f"{whole} {self._boxes}"

    @property
    def boxes_digest(self) -> str:
        """16 hex digits that name how animals are found and cut out, whatever decodes the photos; a classifier keeps
        them. Empty where the whole photo is the view."""
        return hashlib.sha256(self._boxes.encode()).hexdigest()[:16] if self.detector else ""

    @property
    def _boxes(self) -> str:
        recipe = self.detector.recipe if self.detector else ""
        return f"{recipe} {DECODED_PX} {MARGIN} {MOST_ANIMALS}"

    @property
    def decoded_px(self) -> int:
        """Pixels a side that a photo is decoded to at least."""
        return self.spec.size_px if self.detector is None else DECODED_PX

    def read(
        self,
        source: Path | bytes,
        max_pixels: int = MAX_PIXELS,
        animals: Sequence[Animal] | None = None,
    ) -> Views:
        """Decode, find the animals where they are not known, cut them out. Raises PhotoError."""
        return self.views(open_photo(source, self.decoded_px, max_pixels), animals)

    def views(self, photo: Image.Image, animals: Sequence[Animal] | None = None) -> Views:
        """The views of an upright photo in RGB.

        Args:
            animals: those in it, where they are known.
        """
        if animals is None:
            animals = self.animals(photo)
        boxes: list[Box | None] = [animal.box for animal in animals]
        images = [self.cut(photo, box) for box in boxes or [None]]
        return Views(np.stack(images), tuple(animals), photo.width, photo.height)

    def cut(self, photo: Image.Image, box: Box | None) -> Pixels:
        """An image `[size_px, size_px, 3]` of what a box shows, of an upright photo in RGB; None: of all of it."""
        if box is None:
            return fit_photo(photo, self.spec)
        return cut_photo(photo, box, self.spec, MARGIN)

    def animals(self, photo: Image.Image) -> list[Animal]:
        """The animals seen in a photo, the surest first; none without a detector."""
        if self.detector is None:
            return []
        return self.detector(fit_photo(photo, self.detector.spec)[None])[0][:MOST_ANIMALS]


def saved_viewer(spec: ImageSpec, boxes: str, where: str) -> Viewer:
    """The viewer that a kept classifier was trained with.

    Args:
        boxes: the `boxes_digest` that was kept, or the detector's own digest, as earlier versions kept it.
        where: names the classifier to a person.

    Raises:
        UserError: its animals were found or cut out in another way than this version's.
    """
    if not boxes:
        return Viewer(spec)
    viewer = Viewer(spec, bundled_detector())
    if boxes in (viewer.boxes_digest, bundled_detector().digest):
        return viewer
    raise UserError(
        f"{where}: trained on animals that were found in another way than this version does (detector {boxes}, here "
        f"{viewer.boxes_digest}); train again, or use the ismila that made it"
    )


def require_pixels(version: int, where: str) -> None:
    """Raise UserError for a kept classifier whose images were made in another way than this version's."""
    if version != PIXELS_VERSION:
        raise UserError(
            f"{where}: trained on images of version {version}, here it is {PIXELS_VERSION}; train again, or use the "
            "ismila that made it"
        )
