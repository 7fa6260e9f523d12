"""Which drawings the demo album has, and each of them as a file.

Every drawing follows from the seed and its name alone, so the album is the same however many are drawn
at once.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from PIL import ExifTags, Image, ImageChops

from ismila.demo.brush import Rng
from ismila.demo.scenes import Frame, develop, draw_figure, draw_front, draw_place
from ismila.demo.things import THINGS

SIZES_PX = ((256, 256), (256, 192), (256, 192), (192, 256))
FINER = 2
"""Drawn this many times larger than it is kept: the shrinking smooths every edge."""
COUNTS = {
    "subject": 110, "things": 200, "dog": 90, "cat": 30, "goat": 22, "squirrel": 16, "bird": 18,
    "butterfly": 14, "bear": 16, "kangaroo": 14,
}  # fmt: skip
BURST_EVERY = 15
"""One scene in so many is a burst of three."""


@dataclass(frozen=True)
class Shot:
    """One drawing to be made: where, of what, in which scene, its turn in a burst, its time."""

    path: str
    kind: str
    scene: str
    turn: int
    taken_at: datetime


def plan_album(subject: str, seed: int, share: float) -> Iterator[Shot]:
    """Which drawings the album has, in the order of their kinds; the scenes are spread over two years."""
    scenes: list[tuple[str, str, str, int]] = []
    for kind, full in COUNTS.items():
        left, number = max(1, round(full * share)), 0
        while left > 0:
            number += 1
            takes = min(left, 3 if number % BURST_EVERY == 3 else 1)
            name = kind
            if kind == "things":
                name = [*THINGS, "view"][(number - 1) % (len(THINGS) + 1)].replace(" ", "_")
            name = subject if kind == "subject" else name
            folder = {"subject": subject, "things": f"not_{subject}"}.get(kind, f"pets/{kind}")
            scenes.append((kind, f"{folder}/{name}_{number:03d}", name, takes))
            left -= takes
    days = np.random.default_rng([seed, 20]).permutation(len(scenes)) * 730 / len(scenes)
    for day, (kind, scene, name, takes) in zip(days, scenes, strict=True):
        rng = _rng(seed, scene)
        start = datetime(2023, 1, 1, 8) + timedelta(
            days=int(day), seconds=int(rng.integers(0, 11 * 3600))
        )
        for turn in range(takes):
            path = f"{scene}{'abc'[turn] if takes > 1 else ''}.jpg"
            thing = name.replace("_", " ") if kind == "things" else kind
            yield Shot(
                path,
                thing,
                scene.replace(subject, "subject"),
                turn,
                start + timedelta(seconds=3 * turn),
            )


def _rng(seed: int, name: str) -> Rng:
    return np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()[:8]])


@dataclass(frozen=True)
class Drawing:
    """A drawing as a JPEG file, and where the subject is seen in it: 1-bit, of its size, or None."""

    jpeg: bytes
    outline: Image.Image | None


def draw_shot(shot: Shot, seed: int) -> Drawing:
    """Draw one scene as the shot sees it: a burst's later shots shake, nothing else differs."""
    rng = _rng(seed, shot.scene)
    shake = _rng(seed, f"{shot.scene} {shot.turn}")
    width, height = SIZES_PX[rng.integers(len(SIZES_PX))]
    size = (width * FINER, height * FINER)
    angle = rng.uniform(-2.6, -0.5)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    picture, horizon = draw_place(size, light, rng)
    nudge = (shake.uniform(-5, 5, 2) if shot.turn else np.zeros(2)) * FINER
    figure = draw_figure(shot.kind, Frame(size, horizon, light, nudge), rng)
    picture.alpha_composite(figure)
    front = draw_front(size, light, rng)
    picture.alpha_composite(front)
    outline = _seen(figure, front, (width, height)) if shot.kind == "subject" else None
    small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return Drawing(_jpeg(develop(small, rng, shake), shot), outline)


def _seen(figure: Image.Image, front: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Where the figure is seen behind what stands before it: 1-bit, of `size`."""
    behind = ImageChops.invert(front.getchannel("A"))
    seen = ImageChops.multiply(figure.getchannel("A"), behind)
    small = seen.resize(size, Image.Resampling.BOX)
    return small.point(lambda a: 255 * (a > 127)).convert("1")


def _jpeg(photo: Image.Image, shot: Shot) -> bytes:
    """The file, whose EXIF says when it was taken and that it is a drawing."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = f"A drawing of the demo album ({shot.kind})"
    exif[ExifTags.Base.Software] = "ismila demo"
    exif[ExifTags.Base.DateTime] = shot.taken_at.strftime("%Y:%m:%d %H:%M:%S")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = exif[ExifTags.Base.DateTime]
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=85, exif=exif)
    return file.getvalue()
