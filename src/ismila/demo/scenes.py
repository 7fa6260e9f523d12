"""Draws the demo album: photos that are drawings, so that a fresh checkout has something to learn from.

One particular dog, things, and other animals, in the same places and the same light. Every drawing follows
from the seed and its name alone, so the album is the same however many are drawn at once.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from ismila.demo import drawing
from ismila.demo.drawing import CARAMEL, DARK, WHITE, Brush, Colour, Figure, Rng, mix
from ismila.photos import UserError

SIZES_PX = ((256, 256), (256, 192), (256, 192), (192, 256))
FINER = 2
"""Drawn this many times larger than it is kept: the shrinking smooths every edge."""
COUNTS = {
    "subject": 110, "things": 200, "dog": 90, "cat": 30, "goat": 22, "squirrel": 16, "bird": 18,
    "butterfly": 14, "bear": 16, "kangaroo": 14,
}  # fmt: skip
BURST_EVERY = 15
"""One scene in so many is a burst of three."""
BROKEN = {
    "{subject}/broken_truncated.jpg": "half",
    "not_{subject}/broken_empty.jpg": "nothing",
    "not_{subject}/broken_text.jpg": "text",
    "pets/cat/broken_truncated.jpg": "half",
    "pets/dog/broken_empty.jpg": "nothing",
}
MARKER = ".drawn.json"
OUTLINES = ".outlines"
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]

# Things, in hundredths of a unit: o(val) x y rx ry, p(olygon), b(lob), l(ine) width, r(ing) width x y radius.
# Colours: 1 2 3 its own, k dark, w white, g glass, n wood, e leaves, m metal, y yellow, s bread, h red.
THINGS = {
    "car": "b1 -95 -14 -95 -36 -52 -44 -25 -63 25 -63 52 -44 90 -36 98 -20 90 -10 -88 -10;"
    "pg -43 -44 -23 -58 -2 -58 -2 -43;pg 3 -58 23 -58 43 -43 3 -43;p2 -92 -28 92 -28 92 -24 -92 -24;"
    "ok -57 -14 18 18;om -57 -14 10 10;ok 57 -14 18 18;om 57 -14 10 10;oy 90 -30 5 4;oh -93 -31 4 4",
    "house": "p2 -55 0 -55 -60 55 -60 55 0;p1 -66 -57 0 -108 66 -57;pn -12 0 -12 -34 12 -34 12 0;"
    "pg -43 -47 -22 -47 -22 -25 -43 -25;pg 22 -47 43 -47 43 -25 22 -25;p1 27 -70 27 -104 39 -104 39 -70",
    "tree": "pn -8 0 -5 -60 5 -60 8 0;oe -26 -66 27 24;oe 26 -70 28 26;oe 0 -96 38 34;oe -8 -78 34 28",
    "pine": "pn -5 0 -5 -25 5 -25 5 0;pe -42 -18 0 -70 42 -18;pe -34 -48 0 -98 34 -48;"
    "pe -25 -78 0 -124 25 -78",
    "boat": "p1 -82 -26 82 -26 60 0 -60 0;p2 -80 -24 80 -24 76 -17 -76 -17;ln 3 0 -25 0 -118;"
    "pw 4 -112 4 -34 62 -34;p3 -4 -100 -4 -34 -46 -34",
    "bicycle": "rk 5 -50 -32 31;rk 5 50 -32 31;l1 5 -50 -32 -15 -76 34 -76 0 -30 -50 -32;l1 5 0 -30 -18 -84;"
    "l1 5 50 -32 32 -90;lk 4 22 -94 34 -92 46 -86;bk -32 -90 -6 -88 -8 -80 -28 -82;om 0 -30 8 8",
    "cup": "r1 8 36 -34 17;p1 -34 -64 34 -64 27 0 -27 0;p2 -33 -46 33 -46 31 -26 -31 -26;o1 0 -64 34 9;"
    "on 0 -63 28 6",
    "chair": "ln 6 -24 -50 -28 0;ln 6 24 -50 28 0;ln 6 -26 -50 -30 -112;ln 6 26 -50 30 -112;"
    "p1 -34 -58 34 -58 38 -46 -38 -46;p1 -31 -110 31 -110 29 -74 -29 -74",
    "parasol": "lw 4 0 0 0 -120;b1 -75 -84 -48 -116 0 -130 48 -116 75 -84 0 -90;"
    "p2 -26 -87 -12 -126 12 -126 26 -87;"
    "o3 58 -17 17 17;ow 52 -22 6 6;p2 -90 -6 -35 -14 -15 -6 -70 2",
    "crosswalk": "pk -150 0 -70 -80 70 -80 150 0;"
    + ";".join(
        f"p{c} {-130 + 44 * i} -2 {-96 + 44 * i} -2 {-45 + 20 * i - 18} -78 {-63 + 20 * i - 16} -78"
        for i, c in enumerate("hoyeiv")
    ),
    "pizza": "ow 0 -26 86 28;os 0 -30 70 21;oy 0 -32 62 17;oh -30 -36 9 4;oh 12 -40 9 4;oh 30 -28 9 4;"
    "oh -8 -24 9 4;"
    "oe 2 -32 5 2;oe -22 -28 5 2",
    "cake": "ow 0 -8 70 14;p1 -50 -50 50 -50 50 -8 -50 -8;o1 0 -8 50 10;p2 -50 -36 50 -36 50 -28 -50 -28;"
    "o3 0 -50 50 11;lw 4 -20 -52 -20 -74;lw 4 6 -54 6 -76;lw 4 28 -52 28 -74;oy -20 -78 4 6;"
    "oy 6 -80 4 6;oy 28 -78 4 6",
    "ice cream": "ps -22 -62 22 -62 0 0;o1 -14 -72 20 18;o2 14 -72 20 18;o3 0 -94 20 18;oh 2 -114 6 6",
    "burger": "bs -50 -8 50 -8 46 4 -46 4;be -56 -18 -20 -12 20 -18 56 -12 54 -24 -54 -24;"
    "bn -52 -34 52 -34 50 -22 -50 -22;"
    "py -54 -36 54 -36 20 -28;bs -52 -36 -40 -62 0 -72 40 -62 52 -36;ow -14 -58 3 2;ow 10 -62 3 2;"
    "ow 26 -52 3 2",
    "fruit bowl": "oh -24 -46 20 20;oy 6 -52 20 20;oe 28 -44 18 18;o1 -4 -36 20 18;"
    "b2 -60 -34 60 -34 36 0 -36 0",
    "balloons": "lk 1 0 0 -34 -78;lk 1 0 0 4 -100;lk 1 0 0 38 -76;o1 -36 -96 24 30;o2 40 -92 24 30;"
    "o3 4 -122 25 31",
    "toy bear": "o1 -22 -10 20 12;o1 22 -10 20 12;o1 0 -36 30 32;o2 0 -34 18 22;o1 -34 -46 11 20;"
    "o1 34 -46 11 20;"
    "o1 -22 -106 12 12;o1 22 -106 12 12;o1 0 -84 30 27;o2 0 -76 14 11;ok -11 -90 4 4;ok 11 -90 4 4;"
    "ok 0 -80 5 4",
    "plant": "be 0 -34 -50 -70 -44 -100 -10 -50;be 0 -34 50 -76 40 -104 8 -50;"
    "be 0 -34 -14 -110 0 -126 14 -80;"
    "ps -28 -38 28 -38 20 0 -20 0;ps -32 -44 32 -44 32 -34 -32 -34",
    "books": "p1 -46 -14 44 -14 44 0 -46 0;p2 -40 -30 50 -30 50 -15 -40 -15;p3 -44 -44 36 -44 36 -31 -44 -31;"
    "pw 38 -12 44 -12 44 -2 38 -2;pw 44 -28 50 -28 50 -17 44 -17;p1 -30 -58 44 -64 45 -50 -29 -44",
    "lamp": "om 0 -3 28 6;lm 5 0 -4 0 -90;p1 -20 -120 20 -120 40 -78 -40 -78;"
    "py -38 -80 38 -80 40 -77 -40 -77",
    "shoe": "b1 -50 -8 -52 -54 -26 -58 -8 -36 40 -26 58 -14 54 -4 -44 -4;pw -54 -9 60 -9 60 0 -54 0;"
    "lw 3 -14 -42 0 -50;lw 3 -4 -37 10 -44;p2 -50 -40 -34 -40 -38 -12 -50 -12",
    "bench": "lk 6 -70 0 -70 -40;lk 6 70 0 70 -40;pn -86 -46 86 -46 92 -36 -92 -36;"
    "pn -84 -64 84 -64 84 -54 -84 -54;"
    "pn -84 -84 84 -84 84 -74 -84 -74;lk 5 -70 -40 -70 -88;lk 5 70 -40 70 -88",
    "hydrant": "p1 -20 0 -20 -62 20 -62 20 0;o1 0 -64 22 20;p1 -28 -8 28 -8 28 0 -28 0;o2 0 -42 12 12;"
    "o2 -28 -42 9 8;"
    "o2 28 -42 9 8;o2 0 -86 6 7",
    "guitar": "b1 -28 -6 0 -2 28 -6 34 -30 20 -48 24 -66 0 -74 -24 -66 -20 -48 -34 -30;ok 0 -48 11 11;"
    "pn -5 -50 -4 -136 4 -136 5 -50;pk -8 -134 -9 -156 9 -156 8 -134;pk -14 -22 14 -22 14 -18 -14 -18",
    "sofa": "b1 -100 -40 -96 -94 0 -98 96 -94 100 -40;b2 -92 -30 -90 -54 0 -56 90 -54 92 -30;"
    "b1 -108 0 -112 -60 -92 -66 -84 0;b1 108 0 112 -60 92 -66 84 0;p1 -98 0 -98 -34 98 -34 98 0;"
    "b3 -66 -50 -70 -82 -36 -84 -34 -50",
    "flowers": "le 3 -24 0 -30 -60;le 3 0 0 0 -84;le 3 24 0 32 -62;o1 -30 -66 17 17;oy -30 -66 6 6;"
    "o2 0 -90 18 18;"
    "oy 0 -90 7 7;o3 33 -68 16 16;oy 33 -68 6 6;be 0 0 -34 -18 -40 -40 -12 -20;be 0 0 34 -18 42 -36 12 -20",
    "ball": "o1 0 -42 42 42;b2 -40 -50 0 -34 40 -50 40 -36 0 -18 -40 -36;o3 0 -74 16 8",
    "suitcase": "lk 5 -16 -66 -16 -82 16 -82 16 -66;p1 -58 -68 58 -68 58 -4 -58 -4;"
    "p2 -38 -68 -26 -68 -26 -4 -38 -4;"
    "p2 26 -68 38 -68 38 -4 26 -4;om 0 -60 8 4;ok -46 -3 6 4;ok 46 -3 6 4",
    "loaf": "bs -70 -6 -74 -36 -40 -56 30 -54 70 -40 72 -8;l3 4 -40 -30 -26 -52;l3 4 -8 -30 6 -54;"
    "l3 4 24 -30 38 -50",
}  # fmt: skip
PAINTS: dict[str, Colour] = {
    "k": (46, 44, 48), "w": (238, 236, 230), "g": (160, 196, 214), "n": (134, 92, 58), "e": (78, 126, 62),
    "m": (158, 162, 168), "y": (240, 200, 84), "s": (212, 160, 96), "h": (204, 62, 52), "o": (236, 140, 50),
    "i": (62, 110, 196), "v": (128, 74, 160),
}  # fmt: skip
BRIGHT: tuple[Colour, ...] = (
    (198, 48, 44), (40, 96, 178), (236, 186, 60), (62, 140, 92), (232, 122, 52), (124, 76, 152),
    (240, 236, 228),
    (60, 60, 68), (226, 140, 164), (92, 176, 188),
)  # fmt: skip
PLUMAGE = (*BRIGHT, CARAMEL, DARK, WHITE, (120, 96, 76), (150, 150, 156))


@dataclass(frozen=True)
class Place:
    """Where things stand: colours from the top down, what stands about, whether it is outdoors."""

    above: tuple[Colour, Colour]
    ground: tuple[Colour, Colour]
    about: tuple[str, ...]
    cover: str


PLACES = (
    Place(((106, 164, 220), (206, 226, 238)), ((136, 168, 84), (84, 128, 54)),
           ("tree", "tree", "house", "flowers"), "blades"),
    Place(((96, 170, 224), (220, 232, 234)), ((226, 204, 158), (206, 176, 126)),
           ("boat", "parasol"), "stones"),
    Place(((170, 186, 202), (222, 224, 222)), ((134, 132, 130), (98, 96, 98)),
           ("house", "house", "car", "bench"), "planks"),
    Place(((88, 112, 84), (140, 162, 116)), ((112, 104, 66), (74, 76, 46)),
           ("pine", "tree", "pine", "tree"), "blades"),
    Place(((182, 200, 222), (232, 236, 242)), ((238, 240, 244), (206, 216, 230)),
           ("pine", "house"), "stones"),
    Place(((240, 170, 110), (250, 216, 160)), ((156, 120, 78), (104, 82, 58)), ("tree", "bench"), "stones"),
    Place(((212, 202, 184), (196, 182, 160)), ((156, 112, 76), (128, 86, 56)),
           ("sofa", "lamp", "plant", "books"), "planks"),
    Place(((170, 192, 196), (152, 174, 180)), ((206, 200, 190), (176, 168, 158)),
           ("chair", "plant", "cup"), "planks"),
    Place(((188, 120, 96), (168, 102, 82)), ((112, 108, 106), (92, 88, 88)),
           ("plant", "bicycle", "bench"), "stones"),
    Place(((150, 200, 226), (206, 230, 236)), ((92, 148, 176), (128, 150, 110)), ("pine", "boat"), "blades"),
    Place(((206, 150, 70), (232, 196, 120)), ((176, 112, 52), (124, 80, 44)),
           ("tree", "bench", "tree"), "blades"),
    Place(((92, 86, 120), (150, 128, 150)), ((84, 78, 92), (60, 56, 72)), ("lamp", "house", "car"), "planks"),
)  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One drawing to be made: where, of what, in which scene, its turn in a burst, its time."""

    path: str
    kind: str
    scene: str
    turn: int
    taken_at: datetime


def draw_album(
    root: Path,
    subject: str = "mila",
    seed: int = 0,
    progress: Progress | None = None,
    share: float = 1.0,
) -> int:
    """Draw the demo album into `root`; an album that was drawn there before stays as it is.

    The album is drawn aside and moved into place when it is whole. Besides the drawings, with EXIF times, it
    has a few broken files, and the subject's outlines: 1-bit masks, and `outlines.csv` that names them
    (path, x0, y0, x1, y1, mask).

    Args:
        root: folder that does not exist yet, or is empty.
        progress: wraps the drawings as they are made, given how many there will be and a title.
        share: in (0, 1], how much of the album; at least one drawing of each kind.

    Returns:
        How many drawings the album holds, without the broken files.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    root = root.resolve()
    if (root / MARKER).is_file():
        drawn = json.loads((root / MARKER).read_text())
        if drawn["subject"] != subject:
            raise UserError(
                f"{root}: holds drawings of {drawn['subject']}, not {subject}; give another folder"
            )
        return int(drawn["drawings"])
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(
            f"{root}: holds something that is no demo album; give a folder that is empty or missing"
        )
    aside = root.with_name(f".{root.name}.{os.getpid()}.part")
    try:
        shots = list(plan_album(subject, seed, share))
        _write_album(aside, shots, subject, seed, progress)
        aside.replace(root)
    except OSError as error:
        if not (
            root / MARKER
        ).is_file():  # another process may have been faster: then its album is as good
            raise UserError(
                f"{root}: {error.strerror}; give a folder that can be written"
            ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return len(shots)


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


def _write_album(
    folder: Path, shots: list[Shot], subject: str, seed: int, progress: Progress | None
) -> None:
    (folder / OUTLINES).mkdir(parents=True)
    for parent in {(folder / shot.path).parent for shot in shots}:
        parent.mkdir(parents=True, exist_ok=True)
    outlines = []
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        drawn: Iterable[tuple[Shot, bytes, Image.Image | None]] = pool.map(
            lambda shot: draw_shot(shot, seed), shots
        )
        if progress:
            drawn = progress(drawn, len(shots), "Drawing the demo album")
        for shot, content, outline in drawn:
            (folder / shot.path).write_bytes(content)
            if outline is not None:
                mask = f"{OUTLINES}/{Path(shot.path).stem}.png"
                outline.save(folder / mask, bits=1, optimize=True)
                outlines.append([shot.path, *(outline.getbbox() or (0, 0, 0, 0)), mask])
    with (folder / "outlines.csv").open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([["path", "x0", "y0", "x1", "y1", "mask"], *outlines])
    whole = (folder / shots[0].path).read_bytes()
    contents = {
        "half": whole[: len(whole) // 2],
        "nothing": b"",
        "text": b"This is a text, not a drawing.\n",
    }
    for path, how in BROKEN.items():
        broken = folder / path.format(subject=subject)
        broken.parent.mkdir(parents=True, exist_ok=True)
        broken.write_bytes(contents[how] + (b"" if how != "half" else path.encode()))
    marker = {
        "drawings": len(shots),
        "subject": subject,
        "seed": seed,
        "what": "a demo album: drawings",
    }
    (folder / MARKER).write_text(json.dumps(marker) + "\n")


def draw_shot(shot: Shot, seed: int) -> tuple[Shot, bytes, Image.Image | None]:
    """One drawing as a JPEG file, and where the subject is seen in it (1-bit, of its size) if it is there."""
    rng, shake = _rng(seed, shot.scene), _rng(seed, f"{shot.scene} {shot.turn}")
    width, height = SIZES_PX[rng.integers(len(SIZES_PX))]
    size = (width * FINER, height * FINER)
    angle = rng.uniform(-2.6, -0.5)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    picture, horizon = draw_place(size, light, rng)
    nudge = (shake.uniform(-5, 5, 2) if shot.turn else np.zeros(2)) * FINER
    figure = draw_figure(shot.kind, size, horizon, light, nudge, rng)
    picture.alpha_composite(figure)
    front = draw_front(size, light, rng)
    picture.alpha_composite(front)
    outline = None
    if shot.kind == "subject":
        seen = ImageChops.multiply(figure.getchannel("A"), ImageChops.invert(front.getchannel("A")))
        outline = (
            seen.resize((width, height), Image.Resampling.BOX)
            .point(lambda a: 255 * (a > 127))
            .convert("1")
        )
    photo = develop(
        picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), rng, shake
    )
    exif = Image.Exif()
    exif[0x010E], exif[0x0131] = f"A drawing of the demo album ({shot.kind})", "ismila demo"
    exif[0x0132] = shot.taken_at.strftime("%Y:%m:%d %H:%M:%S")
    exif.get_ifd(0x8769)[0x9003] = exif[0x0132]
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=85, exif=exif)
    return shot, file.getvalue(), outline


def _fade(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ends = Image.new("RGB", (1, 2), top)
    ends.putpixel((0, 1), bottom)
    return ends.resize((1, 64), Image.Resampling.BILINEAR).resize(size, Image.Resampling.BILINEAR)


def draw_place(
    size: tuple[int, int], light: tuple[float, float], rng: Rng
) -> tuple[Image.Image, float]:
    """A background, out of focus by chance, and the height of its horizon in pixels."""
    place = PLACES[rng.integers(len(PLACES))]
    width, height = size
    horizon, slope = height * rng.uniform(0.22, 0.72), height * rng.uniform(-0.09, 0.09)
    tint: Colour = tuple(rng.integers(0, 256, 3).tolist())
    tones = [mix(tone, tint, rng.uniform(0, 0.22)) for tone in (*place.above, *place.ground)]
    picture = _fade(size, tones[0], tones[1]).convert("RGBA")
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 4)):  # hills, or houses far away
        x, w, h = (
            rng.uniform(0, width),
            rng.uniform(0.2, 0.6) * width,
            rng.uniform(0.05, 0.4) * height,
        )
        shape = drawing.curve(
            [
                (x - w, horizon + h),
                (x - w / 2, horizon - h * 0.5),
                (x, horizon - h),
                (x + w, horizon + h),
            ]
        )
        pen.polygon(
            [(float(a), float(b)) for a, b in shape],
            fill=mix(tones[1], tones[2], rng.uniform(0.2, 0.7)),
        )
    ground = Image.new("L", size)
    waves = [(width * i / 6, horizon + slope * (i / 3 - 1) + rng.normal(0, 3)) for i in range(7)]
    ImageDraw.Draw(ground).polygon([*waves, (width, height), (0, height)], fill=255)
    picture.paste(_fade(size, tones[2], tones[3]), (0, 0), ground)
    _cover(pen, place.cover, tones, size, horizon, rng)
    for depth in np.sort(rng.uniform(0, 0.5, rng.integers(1, 6))):
        scale = height * (0.14 + 0.9 * depth) * rng.uniform(0.7, 1.3)
        foot = (rng.uniform(0, width), horizon + (height - horizon) * depth + 6)
        picture.alpha_composite(
            draw_thing(str(rng.choice(place.about)), size, foot, scale, light, rng)
        )
    blur = float(rng.choice([0.0, 1.0, 2.0, 4.0, 6.0]))
    return (picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture), horizon


def _cover(
    pen: ImageDraw.ImageDraw,
    cover: str,
    tones: list[Colour],
    size: tuple[int, int],
    horizon: float,
    rng: Rng,
) -> None:
    """What covers the ground: blades of grass, stones, or planks."""
    width, height = size
    if cover == "planks":
        for x in np.arange(-2.0, 3.0, rng.uniform(0.12, 0.4)):
            line = [
                (width * (0.5 + 0.5 * (x - 0.5)), horizon + 8),
                (width * (0.5 + 2 * (x - 0.5)), height),
            ]
            pen.line(line, fill=mix(tones[3], DARK, 0.3), width=2)
        return
    depths, xs, shades = (
        np.sort(rng.uniform(0, 1, 130)) ** 1.5,
        rng.uniform(0, width, 130),
        rng.uniform(0, 0.3, 130),
    )
    for depth, x, shade in zip(depths, xs, shades, strict=True):
        y, far = horizon + 8 + (height - horizon) * depth, 3 + 14 * depth
        tone = mix(tones[3], DARK if depth * 100 % 2 < 1 else WHITE, shade)
        if cover == "blades":
            pen.line([(x, y), (x + far * (shade - 0.15) * 3, y - far * 1.4)], fill=tone, width=2)
        else:
            pen.ellipse([x - far * 0.7, y - far * 0.3, x + far * 0.7, y + far * 0.3], fill=tone)


def draw_thing(
    name: str,
    size: tuple[int, int],
    foot: tuple[float, float],
    scale: float,
    light: tuple[float, float],
    rng: Rng,
) -> Image.Image:
    """A thing that stands at `foot`, in colours of its own, by chance those of the subject."""
    own = [BRIGHT[i] for i in rng.permutation(len(BRIGHT))[:3]]
    if rng.random() < 0.3:
        own = [(CARAMEL, WHITE, DARK)[i] for i in rng.permutation(3)]
    tint = BRIGHT[rng.integers(len(BRIGHT))]
    paints = {
        **{k: mix(c, tint, rng.uniform(0, 0.16)) for k, c in PAINTS.items()},
        **dict(zip("123", own, strict=True)),
    }
    figure = Figure(size, light, scale, rng)
    brush = Brush(figure, np.diag([scale / 100, scale / 100]), np.array(foot)).sub(
        0, 0, 1, rng.normal(0, 3), rng.random() < 0.5
    )
    for part in THINGS[name].split(";"):
        how, colour = part[0], paints[part[1]]
        values = [float(value) for value in part[2:].split()]
        if how == "o":
            brush.oval(
                values[0], values[1], values[2], values[3], mix(colour, DARK, 0.12 * rng.random())
            )
        elif how == "r":
            turns = np.linspace(0, 2 * np.pi, 25)
            ring = np.stack(
                [values[1] + values[3] * np.cos(turns), values[2] + values[3] * np.sin(turns)], 1
            )
            brush.limb(ring, (values[0], values[0]), colour)
        elif how == "l":
            points = np.reshape(values[1:], (-1, 2))
            for a, b in pairwise(points):
                brush.limb(np.stack([a, b]), (values[0], values[0]), colour)
        else:
            points = np.reshape(values, (-1, 2))
            brush.fill([drawing.curve(points) if how == "b" else points], colour)
    figure.bake()
    return _on_ground(figure.whole, foot[1])


def _on_ground(figure: Image.Image, foot_px: float) -> Image.Image:
    """The figure with its shadow on the ground."""
    box = figure.getchannel("A").getbbox()
    if box is None:
        return figure
    low = (figure.width // 4, figure.height // 4)
    shade = Image.new("L", low)
    half, middle = (box[2] - box[0]) / 8, (box[0] + box[2]) / 8
    ImageDraw.Draw(shade).ellipse(
        [
            middle - half * 1.05,
            foot_px / 4 - half * 0.14,
            middle + half * 1.05,
            foot_px / 4 + half * 0.14,
        ],
        fill=130,
    )
    shade = shade.filter(ImageFilter.GaussianBlur(max(half * 0.1, 1.0))).resize(
        figure.size, Image.Resampling.BILINEAR
    )
    ground = Image.new("RGBA", figure.size, (24, 20, 28, 0))
    ground.putalpha(shade)
    ground.alpha_composite(figure)
    return ground


def draw_figure(
    kind: str,
    size: tuple[int, int],
    horizon: float,
    light: tuple[float, float],
    nudge: Any,
    rng: Rng,
) -> Image.Image:
    """What the drawing is about, between far away and close up; nothing for a mere view."""
    width, height = size
    far = rng.random()
    share = rng.uniform(0.22, 0.42) if far < 0.35 else rng.uniform(0.42, 0.85)
    scale = share * min(size)
    ground = horizon + (height - horizon) * rng.uniform(0.1, 0.35) + share * 0.6 * height
    ground = min(max(ground, scale * 1.15), height * 0.98)
    room = 0.5 - 0.42 * share
    foot = (width * rng.uniform(0.5 - room, 0.5 + room) + nudge[0], ground + nudge[1])
    if kind == "view":
        return Image.new("RGBA", size)
    if kind in THINGS:
        picture = Image.new("RGBA", size)
        for _ in range(rng.integers(1, 3)):
            picture.alpha_composite(draw_thing(kind, size, foot, scale * 0.9, light, rng))
            foot = (
                rng.uniform(0.1, 0.9) * width + nudge[0],
                min(foot[1] + 0.1 * height, height * 0.98),
            )
            scale *= rng.uniform(0.5, 1.1)
        return picture
    return _draw_animal(kind, size, foot, scale, light, nudge, rng)


def _draw_animal(
    kind: str, size: tuple[int, int], foot: tuple[float, float], scale: float, light: tuple[float, float],
    nudge: Any, rng: Rng,
) -> Image.Image:  # fmt: skip
    figure = Figure(size, light, scale, rng)
    left = bool(rng.random() < 0.5)
    at = Brush(figure, np.eye(2), np.array(foot)).sub(0, 0, scale, 0, left)
    if kind in ("bird", "butterfly"):
        tones = [PLUMAGE[i] for i in rng.permutation(len(PLUMAGE))[:3]]
        flying = kind == "butterfly" or bool(rng.random() < 0.4)
        air = at.sub(
            0, -rng.uniform(0, 0.5) if flying else 0, 0.7, rng.uniform(-40, 40) if flying else 0
        )
        if kind == "bird":
            drawing.bird(air, rng, tones, flying)
        else:
            drawing.butterfly(air, rng, tones)
        return figure.whole if flying else _on_ground(figure.whole, foot[1])
    coat = drawing.SUBJECT if kind == "subject" else drawing.random_coat(kind, rng)
    build = drawing.BUILDS["dog"] if kind == "subject" else drawing.random_build(kind, rng)
    pose = str(
        rng.choice(["stand", "sit", "lie", "front", "head"], p=[0.32, 0.14, 0.12, 0.18, 0.24])
    )
    if pose == "head":
        unit = min(size) * rng.uniform(0.2, 0.36)
        centre = np.array(size) * (rng.uniform(0.36, 0.64), rng.uniform(0.4, 0.55)) + nudge
        drawing.animal_head(
            Brush(figure, np.eye(2), centre).sub(0, 0, unit, 0, left), build, coat, rng, left
        )
        return figure.whole
    if build.upright:
        drawing.animal_upright(at.sub(0, 0, 0.85), build, coat, rng, left)
    elif pose == "front":
        drawing.animal_front(Brush(figure, np.eye(2) * scale, np.array(foot)), build, coat, rng)
    else:
        drawing.animal_side(
            at.sub(0, 0, min(0.8, 0.55 * size[0] / scale)), build, coat, rng, pose, left
        )
    return _on_ground(figure.whole, foot[1])


def draw_front(size: tuple[int, int], light: tuple[float, float], rng: Rng) -> Image.Image:
    """What stands before the figure: mostly nothing; a fence, grass, a table, a branch."""
    figure = Figure(size, light, 60, rng)
    width, height = size
    brush = Brush(figure, np.array([[width, 0], [0, height]], float), np.zeros(2))
    tone = mix(BRIGHT[rng.integers(len(BRIGHT))], PAINTS["n"], rng.uniform(0.4, 1))
    what = rng.choice(
        ["nothing", "fence", "grass", "table", "branch"], p=[0.66, 0.09, 0.11, 0.07, 0.07]
    )
    if what == "fence":
        top, gap = rng.uniform(0.45, 0.75), rng.uniform(0.12, 0.2)
        brush.fill(
            [((0, top + 0.1), (1, top + 0.12), (1, top + 0.16), (0, top + 0.14))],
            mix(tone, DARK, 0.2),
        )
        for x in np.arange(rng.uniform(-0.1, 0), 1, gap):
            brush.fill(
                [((x, 1), (x, top), (x + 0.025, top - 0.04), (x + 0.05, top), (x + 0.05, 1))], tone
            )
    elif what == "grass":
        green = mix(PAINTS["e"], tone, rng.uniform(0, 0.4))
        for x in rng.uniform(0, 1, 60):
            tip = (x + rng.normal(0, 0.05), 1 - rng.uniform(0.1, 0.38))
            brush.limb(
                ((x, 1.02), ((x + tip[0]) / 2 + 0.01, 0.9), tip),
                (0.016, 0.004),
                mix(green, DARK, 0.4 * rng.random()),
            )
    elif what == "table":
        top = rng.uniform(0.7, 0.84)
        brush.fill([((-0.1, top), (1.1, top + rng.normal(0, 0.03)), (1.1, 1.2), (-0.1, 1.2))], tone)
        figure.bake()
        return _with_cup(
            figure.whole, (width * rng.uniform(0.1, 0.9), height * (top + 0.1)), light, rng
        )
    elif what == "branch":
        y, lean = rng.uniform(0.1, 0.9), rng.uniform(-0.3, 0.3)
        brush.limb(((-0.05, y), (0.5, y + lean / 2), (1.05, y + lean)), (0.05, 0.02), PAINTS["n"])
        for x in rng.uniform(0, 1, 22):
            leaf = drawing.oval(
                x, y + lean * x + rng.normal(0, 0.05), 0.045, 0.02, rng.uniform(-80, 80)
            )
            brush.fill([leaf], mix(PAINTS["e"], tone, 0.5 * rng.random()))
    figure.bake(0.6)
    return figure.whole


def _with_cup(
    table: Image.Image, foot: tuple[float, float], light: tuple[float, float], rng: Rng
) -> Image.Image:
    table.alpha_composite(draw_thing("cup", table.size, foot, table.height * 0.16, light, rng))
    return table


def develop(picture: Image.Image, rng: Rng, shake: Rng) -> Image.Image:
    """Light, tint, vignette, blur and noise, as a camera would leave them."""
    blur = float(rng.choice([0.0, 0.0, 0.4, 0.8, 1.3]))
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(blur))
    values = np.asarray(picture, np.float32) / 255
    height, width = values.shape[:2]
    x, y = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    )
    turn = rng.uniform(0, 2 * np.pi)
    level = 1 + rng.uniform(0, 0.35) * (x * np.cos(turn) + y * np.sin(turn))
    level -= rng.uniform(0, 0.2) * (x**2 + y**2)
    tint = 1 + rng.uniform(-1, 1) * np.array([0.14, 0.02, -0.14]) + rng.normal(0, 0.03, 3)
    values = values * level[..., None].astype(np.float32) * tint.astype(np.float32)
    values = np.clip(values, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.22)))
    grey = values.mean(2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.55, 1.15))
    noise = shake.standard_normal(values.shape, dtype=np.float32) * np.float32(
        rng.uniform(0.008, 0.035)
    )
    return Image.fromarray((np.clip(values + noise, 0, 1) * 255).astype(np.uint8))
