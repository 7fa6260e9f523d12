"""Which drawings the demo album has, and each of them as a file.

Every drawing follows from the seed and its name alone, so the album is the same however many are drawn
at once.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
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
DIFFERS = 32
"""Levels by which a channel must change for a pixel to be a part's: more than the coat's grain,
less than any mark."""
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
    """A drawing as a JPEG file, and where the subject is seen in it: 1-bit, of its size, or None.

    Drawn without a part, the outline is that of the part: where it would have been seen.
    """

    jpeg: bytes
    outline: Image.Image | None


@dataclass(frozen=True, kw_only=True)
class Retake:
    """What is changed when the subject's drawing is made again, from the same random draws.

    Attributes:
        without: one of `breeds.PARTS` that is left out.
        away: how many times as far away she stands, with nothing before her. The picture has so
            many times more pixels a side, so that she keeps hers; who showed her head only shows
            all of her.
    """

    without: str = ""
    away: int = 1


AS_IT_IS = Retake()


def draw_shot(shot: Shot, seed: int, retake: Retake = AS_IT_IS) -> Drawing:
    """Draw one scene as the shot sees it: a burst's later shots shake, nothing else differs."""
    rng = _rng(seed, shot.scene)
    shake = _rng(seed, f"{shot.scene} {shot.turn}")
    across, down = SIZES_PX[rng.integers(len(SIZES_PX))]
    width = across * retake.away
    height = down * retake.away
    finer = FINER if retake.away == 1 else 1  # a picture that large would take ten seconds
    size = (width * finer, height * finer)
    angle = rng.uniform(-2.6, -0.5)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    picture, horizon = draw_place(size, light, rng)
    nudge = (shake.uniform(-5, 5, 2) if shot.turn else np.zeros(2)) * finer
    frame = Frame(size, horizon, light, nudge, retake.away)
    figure, shape = _figure(shot, frame, retake.without, rng)
    picture.alpha_composite(figure)
    front = draw_front(size, light, rng)
    if retake.away > 1:
        front.putalpha(0)
    picture.alpha_composite(front)
    outline = _seen(shape, front, (width, height)) if shot.kind == "subject" else None
    small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return Drawing(_jpeg(develop(small, rng, shake), shot), outline)


def _figure(shot: Shot, frame: Frame, without: str, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """The figure and its shape; without a part only what that covered is changed: its shape."""
    again = deepcopy(rng)
    whole = draw_figure(shot.kind, frame, rng)
    if not without:
        return whole, whole.getchannel("A")
    bare = draw_figure(shot.kind, replace(frame, without=without), again)
    part = _part(whole, bare)
    return Image.composite(bare, whole, part), part


def _part(figure: Image.Image, bare: Image.Image) -> Image.Image:
    """Where the animal itself, not its shadow on the ground, differs from the bare one."""
    levels = np.asarray(ImageChops.difference(figure, bare)).max(2)
    opaque = np.asarray(figure.getchannel("A")) > 200
    return Image.fromarray(((levels > DIFFERS) & opaque).astype(np.uint8) * 255)


def _seen(shape: Image.Image, front: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Where a shape is seen behind what stands before it: 1-bit, of `size`."""
    behind = ImageChops.invert(front.getchannel("A"))
    seen = ImageChops.multiply(shape, behind)
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
