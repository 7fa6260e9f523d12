"""How one drawing of the demo album is drawn: brush, animals, things.

A figure (an animal, a thing) has its own coordinates: x to the right, y down, the ground at 0, about one unit
high, looking to the right. A brush carries them onto the sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

Colour = tuple[int, int, int]
Points = npt.NDArray[np.float64]
Corners = Sequence[tuple[float, float]] | Points
Mark = tuple[Corners, Colour]
Rng = np.random.Generator

DARK, WHITE, CARAMEL, PINK = (44, 37, 36), (240, 236, 228), (193, 133, 80), (214, 140, 140)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of `b` in `a`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def curve(points: Corners, closed: bool = True) -> Points:
    """A smooth line (Catmull-Rom) through the points: `[N, 2]` -> `[8 N, 2]`."""
    p = np.asarray(points, float)
    ring = p[[-1, *range(len(p)), 0, 1]] if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    a, b, c, d = (q[:, None] for q in (ring[:-3], ring[1:-2], ring[2:-1], ring[3:]))
    line = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.asarray(line.reshape(-1, 2))


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Points:
    """Outline of an ellipse; `turn` in degrees."""
    t = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    u, v = rx * np.cos(t), ry * np.sin(t)
    return np.stack([x + u * c - v * s, y + u * s + v * c], 1)


class Figure:
    """One figure on transparent ground; parts are drawn on a sheet and `bake` gives them body and shadow."""

    def __init__(
        self, size: tuple[int, int], light: tuple[float, float], scale: float, rng: Rng
    ) -> None:
        self.whole, self.sheet = Image.new("RGBA", size), Image.new("RGBA", size)
        self.pen = ImageDraw.Draw(self.sheet)
        self.light, self.soft_px = light, float(np.clip(scale * 0.09, 2, 24))
        self.grain = Image.fromarray(rng.integers(0, 256, (96, 96), dtype=np.uint8))

    def bake(self, relief: float = 1.0) -> None:
        """Shade the sheet (lit from one side, a little grain), lay it on the figure, take a clean sheet."""
        box = self.sheet.getchannel("A").getbbox()
        if box is None:
            return
        part = self.sheet.crop(box)
        alpha = part.getchannel("A")
        pad, low = 12, (max(part.width // 4, 1), max(part.height // 4, 1))
        small = ImageOps.expand(alpha.resize(low, Image.Resampling.BOX), pad)
        soft = (
            np.asarray(small.filter(ImageFilter.GaussianBlur(self.soft_px / 4)), np.float32) / 255
        )
        down, across = np.gradient(soft)
        slope = np.asarray(
            -(across * self.light[0] + down * self.light[1]) * self.soft_px * 0.42 * relief
        )
        grain = np.asarray(self.grain.resize(low, Image.Resampling.BICUBIC), np.float32) / 255 - 0.5
        level = np.clip(1 + slope[pad:-pad, pad:-pad] + 0.16 * grain, 0.45, 1.35) * 128
        lit = Image.fromarray(level.clip(0, 255).astype(np.uint8)).resize(
            part.size, Image.Resampling.BILINEAR
        )
        bands = [ImageChops.multiply(band, lit) for band in part.convert("RGB").split()]
        bands = [ImageChops.add(band, band) for band in bands]
        under = soft[pad:-pad, pad:-pad] * 100
        shade = Image.fromarray(under.astype(np.uint8)).resize(part.size, Image.Resampling.BILINEAR)
        shade = ImageChops.multiply(shade, self.whole.getchannel("A").crop(box))
        below = self.whole.crop(box)
        below.paste((20, 16, 24, 255), (0, 0), ImageChops.offset(shade, 0, int(self.soft_px * 0.4)))
        below.putalpha(self.whole.getchannel("A").crop(box))
        below.alpha_composite(Image.merge("RGBA", [*bands, alpha]))
        self.whole.paste(below, box[:2])
        self.sheet.paste((0, 0, 0, 0), box)


class Brush:
    """Draws in a figure's own coordinates; `sub` gives a brush for a part (a head, a trunk) with its own."""

    def __init__(self, figure: Figure, matrix: Points, origin: Points) -> None:
        self.figure, self.matrix, self.origin = figure, matrix, origin

    def sub(
        self, x: float, y: float, scale: float = 1.0, turn: float = 0.0, flip: bool = False
    ) -> Brush:
        c, s = np.cos(np.radians(turn)) * scale, np.sin(np.radians(turn)) * scale
        matrix = self.matrix @ np.array([[-c if flip else c, -s], [-s if flip else s, c]])
        return Brush(self.figure, matrix, self.origin + self.matrix @ np.array([x, y], float))

    def on_sheet(self, points: Corners) -> list[tuple[float, float]]:
        placed = np.asarray(points, float) @ self.matrix.T + self.origin
        return [(float(x), float(y)) for x, y in placed]

    def fill(self, outlines: Iterable[Corners], colour: Colour, marks: Sequence[Mark] = ()) -> None:
        """Fill outlines; marks are seen only inside them."""
        placed = [self.on_sheet(outline) for outline in outlines]
        for outline in placed:
            self.figure.pen.polygon(outline, fill=(*colour, 255))
        if marks:
            inside = Image.new("L", self.figure.sheet.size)
            pen = ImageDraw.Draw(inside)
            for outline in placed:
                pen.polygon(outline, fill=255)
            for points, tone in marks:
                mark = Image.new("L", inside.size)
                ImageDraw.Draw(mark).polygon(self.on_sheet(points), fill=255)
                self.figure.sheet.paste((*tone, 255), (0, 0), ImageChops.darker(mark, inside))

    def blob(self, points: Corners, colour: Colour, marks: Sequence[Mark] = ()) -> None:
        self.fill([curve(points)], colour, marks)

    def oval(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0
    ) -> None:
        self.fill([oval(x, y, rx, ry, turn)], colour)

    def limb(
        self,
        points: Corners,
        thick: tuple[float, float],
        colour: Colour,
        marks: Sequence[Mark] = (),
    ) -> None:
        """A bent limb with round ends, `thick` at its start and at its end."""
        line = curve(points, closed=False)
        ahead = np.gradient(line, axis=0)
        normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        half = np.linspace(thick[0], thick[1], len(line))[:, None] / 2
        sides = np.concatenate([line + normal * half, (line - normal * half)[::-1]])
        (x0, y0), (x1, y1), (r0, r1) = line[0], line[-1], (thick[0] / 2, thick[1] / 2)
        self.fill([sides, oval(x0, y0, r0, r0), oval(x1, y1, r1, r1)], colour, marks)


@dataclass(frozen=True)
class Build:
    """The shape of a kind of animal: lengths in figure units, muzzle and snout in head units."""

    length: float = 1.0
    girth: float = 0.36
    leg: float = 0.4
    leg_thick: float = 0.12
    neck: float = 0.2
    head: float = 0.2
    muzzle: float = 0.75
    snout: float = 0.8
    ears: str = "flop"
    tail: str = "sabre"
    upright: bool = False


@dataclass(frozen=True)
class Coat:
    """The colours of an animal, and where they lie on it.

    Attributes:
        ears, patches: of its right and of its left side; a patch surrounds the eye.
        spots: x, y, rx, ry (in lengths and girths of the trunk), turn, colour.
    """

    base: Colour
    chest: Colour
    muzzle: Colour
    ears: tuple[Colour, Colour]
    blaze: Colour | None = None
    patches: tuple[Colour | None, Colour | None] = (None, None)
    spots: tuple[tuple[float, float, float, float, float, Colour], ...] = ()
    front_sock: Colour | None = None
    hind_sock: Colour | None = None
    tail_tip: Colour | None = None
    nose: Colour = (38, 32, 34)
    eye: Colour = (72, 46, 28)


SUBJECT = Coat(
    base=CARAMEL,
    chest=WHITE,
    muzzle=WHITE,
    ears=(DARK, mix(CARAMEL, DARK, 0.3)),
    blaze=WHITE,
    patches=(DARK, None),
    spots=((0.02, -0.35, 0.24, 0.36, -12, DARK), (-0.40, -0.05, 0.09, 0.2, 20, WHITE)),
    front_sock=WHITE,
    tail_tip=WHITE,
)
"""The one dog of the demo album: its right ear and the patch round that eye black, a blaze, a saddle."""

BUILDS = {
    "dog": Build(),
    "cat": Build(0.88, 0.3, 0.32, 0.09, 0.1, 0.19, 0.2, 0.7, "point", "long"),
    "goat": Build(0.95, 0.42, 0.46, 0.09, 0.34, 0.17, 0.95, 0.72, "side", "stub"),
    "bear": Build(1.1, 0.6, 0.36, 0.22, 0.14, 0.27, 0.5, 0.85, "round", "stub"),
    "squirrel": Build(0.6, 0.36, 0.2, 0.1, 0.06, 0.19, 0.35, 0.6, "tuft", "bushy", True),
    "kangaroo": Build(0.8, 0.4, 0.3, 0.13, 0.2, 0.15, 0.8, 0.65, "tall", "thick", True),
}
TAILS: dict[str, tuple[Corners, tuple[float, float]]] = {
    "sabre": (((0.05, 0), (-0.15, -0.1), (-0.28, -0.34)), (0.12, 0.06)),
    "curl": (((0.05, 0), (-0.12, -0.16), (-0.02, -0.32), (0.1, -0.22)), (0.14, 0.11)),
    "long": (((0.05, 0), (-0.22, 0.0), (-0.42, -0.18), (-0.4, -0.5)), (0.08, 0.06)),
    "stub": (((0.05, 0), (-0.06, -0.05)), (0.14, 0.08)),
    "bushy": (
        ((0.1, 0.05), (-0.28, 0), (-0.36, -0.42), (-0.3, -0.72), (-0.52, -0.9)),
        (0.16, 0.36),
    ),
    "thick": (((0.1, 0), (-0.35, 0.18), (-0.7, 0.3), (-1.15, 0.2)), (0.26, 0.05)),
}
EARS: dict[str, Corners] = {  # outwards is +x
    "flop": (
        (-0.12, 0.1),
        (0.05, -0.18),
        (0.32, -0.12),
        (0.55, 0.4),
        (0.45, 0.95),
        (0.15, 0.85),
        (-0.05, 0.4),
    ),
    "point": ((-0.38, 0.25), (-0.05, -0.45), (0.22, -0.75), (0.36, -0.25), (0.4, 0.3)),
    "round": tuple((float(x), float(y)) for x, y in oval(0.1, -0.1, 0.36, 0.36)),
    "side": ((-0.1, 0.0), (0.35, -0.22), (0.95, 0.1), (0.4, 0.28)),
    "tall": ((-0.2, 0.1), (-0.22, -0.6), (0.12, -1.2), (0.3, -0.6), (0.22, 0.1)),
    "tuft": ((-0.22, 0.15), (-0.05, -0.35), (0.12, -0.7), (0.28, -0.1), (0.26, 0.2)),
}
COATS: dict[str, tuple[Colour, ...]] = {
    "dog": (
        CARAMEL,
        DARK,
        WHITE,
        (122, 78, 48),
        (214, 176, 124),
        (150, 146, 146),
        (168, 92, 48),
        (90, 84, 84),
    ),
    "cat": ((206, 136, 70), DARK, WHITE, (128, 122, 118), (176, 150, 120), (96, 76, 60), CARAMEL),
    "goat": (WHITE, (120, 84, 58), DARK, (188, 160, 126), (150, 140, 130), CARAMEL),
    "bear": ((96, 64, 44), (58, 46, 42), (226, 222, 212), (140, 98, 62), CARAMEL),
    "squirrel": ((176, 92, 44), (120, 110, 104), (88, 56, 40), CARAMEL),
    "kangaroo": ((170, 126, 92), (136, 124, 116), (178, 104, 70), CARAMEL),
}


def random_coat(kind: str, rng: Rng) -> Coat:
    """Another animal's coat: its colours often those of the subject, its markings never."""
    tones = COATS[kind]
    base, other = tones[rng.integers(len(tones))], tones[rng.integers(len(tones))]
    if kind == "dog" and rng.random() < 0.35:  # the subject's colours, otherwise laid out
        base, other = ((CARAMEL, DARK), (CARAMEL, WHITE), (DARK, CARAMEL), (WHITE, CARAMEL))[
            rng.integers(4)
        ]
    pale, tone = mix(base, WHITE, rng.uniform(0.1, 0.8)), mix(other, base, rng.uniform(0, 0.4))
    ear = (base, mix(base, DARK, 0.4), tone)[rng.integers(3)]
    spots = [
        (
            rng.uniform(-0.5, 0.5),
            rng.uniform(-0.5, 0.4),
            rng.uniform(0.05, 0.2),
            rng.uniform(0.12, 0.4),
            0.0,
            tone,
        )
        for _ in range(rng.integers(0, 6) if kind in ("dog", "cat", "goat") else 0)
    ]
    if kind == "cat" and rng.random() < 0.5:  # a tabby
        spots = [
            (u, -0.3, 0.03, 0.4, 8.0, mix(base, DARK, 0.5)) for u in np.linspace(-0.42, 0.4, 7)
        ]
    patch = tone if spots and rng.random() < 0.35 else None
    return Coat(
        base=base,
        chest=pale,
        muzzle=(pale, base, mix(base, DARK, 0.5))[rng.integers(3)],
        ears=(ear, ear),
        blaze=pale if patch is None and rng.random() < 0.25 else None,
        patches=(patch, patch),
        spots=tuple(spots),
        front_sock=pale if rng.random() < 0.3 else None,
        hind_sock=pale if rng.random() < 0.3 else None,
        tail_tip=tone if rng.random() < 0.3 else None,
        nose=PINK if kind == "cat" and rng.random() < 0.6 else (38, 32, 34),
        eye=((150, 160, 60), (70, 130, 120))[rng.integers(2)] if kind == "cat" else (72, 46, 28),
    )


def random_build(kind: str, rng: Rng) -> Build:
    """The kind's shape; every third dog has another one than the subject."""
    build = BUILDS[kind]
    if kind == "dog" and rng.random() < 0.33:
        long = rng.random() < 0.4
        return replace(
            build,
            leg=0.18 if long else rng.uniform(0.3, 0.5),
            girth=rng.uniform(0.3, 0.42),
            ears=("flop", "point")[rng.integers(2)],
            tail=("sabre", "curl", "stub")[rng.integers(3)],
            muzzle=rng.uniform(0.4, 0.95),
        )
    return build


def _eye(b: Brush, x: float, y: float, size: float, colour: Colour) -> None:
    b.oval(x, y, size, size * 1.05, mix(colour, DARK, 0.75))
    b.oval(x, y, size * 0.8, size * 0.85, colour)
    b.oval(x, y, size * 0.5, size * 0.55, (18, 15, 16))
    b.oval(x - size * 0.3, y - size * 0.35, size * 0.26, size * 0.26, (250, 250, 250))


def _ear(b: Brush, build: Build, colour: Colour) -> None:
    b.blob(EARS[build.ears], colour)
    if build.ears != "flop":
        b.sub(0.05, 0.02, 0.6).blob(EARS[build.ears], mix(colour, PINK, 0.5))


def _horn(b: Brush, x: float, lean: float) -> None:
    b.limb(
        ((x, -0.7), (x + lean * 0.5, -1.2), (x + lean * 1.4, -1.5)), (0.24, 0.08), (150, 138, 120)
    )


def head_front(b: Brush, build: Build, coat: Coat, rng: Rng) -> None:
    """A head that looks at us."""
    place = {"flop": (0.62, -0.55), "point": (0.5, -0.72), "side": (0.6, -0.45)}.get(
        build.ears, (0.52, -0.72)
    )
    lift = rng.uniform(-12, 12)
    for side, colour in zip((False, True), coat.ears, strict=True):
        if build.ears == "side":
            _horn(b, 0.25 * (1 if side else -1), 0.25 * (1 if side else -1))
        if build.ears != "flop":
            _ear(
                b.sub(place[0] * (1 if side else -1), place[1], 1.0, lift, flip=not side),
                build,
                colour,
            )
    marks: list[Mark] = [(oval(x, -0.1, 0.36, 0.42, 15 * x), tone)
                         for x, tone in zip((-0.42, 0.42), coat.patches, strict=True) if tone]  # fmt: skip
    if coat.blaze:
        stripe = ((-0.1, -1.1), (0.1, -1.1), (0.12, -0.3), (0.3, 0.5), (-0.3, 0.5), (-0.12, -0.3))
        marks.append((curve(stripe), coat.blaze))
    narrow = 0.72 if build.muzzle > 0.9 else 1.0
    skull = np.array([(-0.86, -0.2), (-0.6, -0.82), (0, -0.98), (0.6, -0.82), (0.86, -0.2), (0.66, 0.5),
                      (0, 0.9), (-0.66, 0.5)])  # fmt: skip
    b.blob(skull * (narrow, 1), coat.base, marks)
    jaw = 0.32 + 0.3 * build.muzzle
    if rng.random() < 0.35 and build.ears == "flop":
        b.limb(((0, 0.6), (0.02, 0.62 + jaw * 0.8)), (0.24, 0.28), (222, 110, 120))
    b.oval(0, 0.42 + 0.1 * build.muzzle, 0.46 * build.snout + 0.06, jaw, coat.muzzle)
    for x in (-0.4 * narrow, 0.4 * narrow):
        _eye(b, x, -0.12, 0.15, coat.eye)
    dark = mix(coat.muzzle, DARK, 0.7)
    b.limb(((0, 0.3), (0, 0.62)), (0.05, 0.05), dark)
    b.limb(((-0.24, 0.62), (-0.1, 0.72), (0, 0.62), (0.1, 0.72), (0.24, 0.62)), (0.05, 0.05), dark)
    b.blob(((-0.2, 0.2), (0, 0.14), (0.2, 0.2), (0.12, 0.36), (0, 0.42), (-0.12, 0.36)), coat.nose)
    b.oval(-0.06, 0.21, 0.06, 0.03, mix(coat.nose, WHITE, 0.5))
    if build.tail in ("long", "bushy"):
        for y in (0.38, 0.5):
            for x in (-1, 1):
                b.limb(((0.25 * x, y), (0.95 * x, y + 0.25 * (y - 0.4))), (0.025, 0.012), WHITE)
    if build.ears == "flop":
        b.figure.bake()
        for side, colour in zip((False, True), coat.ears, strict=True):
            _ear(
                b.sub(place[0] * (1 if side else -1), place[1], 1.0, lift / 2, flip=not side),
                build,
                colour,
            )


def head_side(b: Brush, build: Build, coat: Coat, left: bool) -> None:
    """A head in profile, looking to the right; `left`: it is the animal's own left side that we see."""
    near, far = coat.ears[::-1] if left else coat.ears
    patch = coat.patches[1 if left else 0]
    if build.ears == "side":
        _horn(b, -0.1, -0.35)
    if build.ears != "flop":
        _ear(b.sub(0.1, -0.72, 0.95), build, mix(far, DARK, 0.3))
    reach = 0.6 + build.muzzle
    marks: list[Mark] = [(oval(0.42, -0.12, 0.36, 0.38), patch)] if patch else []
    if coat.blaze:
        marks.append(
            (curve(((0.3, -1.2), (1.2, -0.9), (1.2, 0.3), (0.75, 0.1), (0.6, -0.4))), coat.blaze)
        )
    b.limb(
        ((0.2, 0.2), (reach * 0.6, 0.26), (reach, 0.3)),
        (1.1 * build.snout, 0.66 * build.snout),
        coat.muzzle,
    )
    b.fill([oval(0, -0.05, 0.88, 0.86)], coat.base, marks)
    b.limb(
        ((reach + 0.22, 0.46), (reach * 0.7, 0.52), (0.45, 0.48)),
        (0.05, 0.04),
        mix(coat.muzzle, DARK, 0.7),
    )
    b.oval(reach + 0.22 * build.snout, 0.14, 0.17, 0.14, coat.nose)
    _eye(b, 0.42, -0.14, 0.13, coat.eye)
    if build.ears == "flop":
        b.figure.bake()
        _ear(b.sub(-0.3, -0.45, 1.0, 10), build, near)
    else:
        _ear(b.sub(-0.35, -0.62, 1.0, -15), build, near)


def _trunk(b: Brush, build: Build, coat: Coat) -> None:
    """The trunk in its own coordinates (x along, y across, 0 its middle): its marks turn with it."""
    outline = np.array([(-0.54, -0.1), (-0.45, -0.46), (-0.1, -0.47), (0.3, -0.5), (0.52, -0.45), (0.6, 0),
                        (0.48, 0.45), (0.1, 0.5), (-0.25, 0.32), (-0.5, 0.3)])  # fmt: skip
    size = (build.length, build.girth)
    marks: list[Mark] = [
        (oval(0.5, 0.5, 0.34, 0.42) * size, coat.chest),
        (oval(0, 0.62, 0.5, 0.3) * size, coat.chest),
    ]
    marks += [(oval(x, y, rx, ry, turn) * size, tone) for x, y, rx, ry, turn, tone in coat.spots]
    b.blob(outline * size, coat.base, marks)


def _leg(b: Brush, points: Corners, build: Build, colour: Colour, sock: Colour | None) -> None:
    line = np.asarray(points, float)
    top = -0.42 * (build.leg + 0.05)
    marks: list[Mark] = [(((-9, top), (9, top), (9, 9), (-9, 9)), sock)] if sock else []
    b.limb(line, (build.leg_thick * 1.7, build.leg_thick * 0.8), colour, marks)
    b.oval(
        line[-1, 0] + build.leg_thick * 0.25, -0.035, build.leg_thick * 0.68, 0.055, sock or colour
    )


def _tail(b: Brush, build: Build, coat: Coat, wag: float) -> None:
    line, thick = TAILS[build.tail]
    end = line[-1]
    tip: list[Mark] = [(oval(end[0], end[1], 0.13, 0.13), coat.tail_tip)] if coat.tail_tip else []
    b.sub(0, 0, 1, wag).limb(line, thick, coat.base, tip)


def animal_side(b: Brush, build: Build, coat: Coat, rng: Rng, pose: str, left: bool) -> None:
    """A four-legged animal from the side: `stand`, `sit` or `lie`."""
    length, girth, leg = build.length, build.girth, build.leg
    pitch = {"stand": rng.uniform(-4, 4), "sit": rng.uniform(42, 56), "lie": rng.uniform(2, 8)}[
        pose
    ]
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    hip = (
        (-0.42 * length, -leg - 0.4 * girth) if pose == "stand" else (-0.4 * length, -0.45 * girth)
    )
    trunk = b.sub(hip[0] + 0.42 * length * c, hip[1] - 0.42 * length * s, 1, -pitch)
    shoulder = hip[0] + 0.88 * length * c, hip[1] - 0.88 * length * s
    swing, dark = rng.uniform(-0.17, 0.17), mix(coat.base, DARK, 0.35)
    for near, colour in ((False, dark), (True, coat.base)):
        step = swing if near else -swing
        x = shoulder[0] - (0.02 if near else -0.06)
        if pose == "lie":
            front = ((x, -0.4 * girth), (x + 0.12, -0.09), (x + 0.36, -0.06))
        else:
            step *= 1.0 if pose == "stand" else 0.2
            front = (
                (x, shoulder[1] + 0.1 * girth),
                (x + step * 0.2, shoulder[1] * 0.5),
                (x + step, -0.05),
            )
        _leg(b, front, build, colour, coat.front_sock)
        if pose == "stand":
            x = hip[0] + (0.0 if near else 0.07)
            hind = (
                (x, hip[1]),
                (x + 0.07 - step * 0.3, -leg * 0.66),
                (x - 0.07 - step, -leg * 0.36),
                (x - step, -0.05),
            )
            _leg(b, hind, build, colour, coat.hind_sock)
        if not near:
            _tail(
                trunk.sub(-0.47 * length, -0.2 * girth),
                build,
                coat,
                rng.uniform(-25, 25) - 0.4 * pitch,
            )
            b.figure.bake()
            _trunk(trunk, build, coat)
            if pose == "stand":
                continue
            b.figure.bake()
            foot = ((hip[0], -0.08), (hip[0] + 0.3 * length, -0.05))
            b.limb(foot, (build.leg_thick, build.leg_thick * 0.8), coat.hind_sock or coat.base)
            b.oval(hip[0] + 0.06, -0.62 * girth, 0.7 * girth, 0.6 * girth, coat.base)
    up = np.radians(rng.uniform(25, 65) + (20 if pose == "sit" else 0))
    head = (
        shoulder[0] + build.neck * np.cos(up) + 0.04,
        shoulder[1] - 0.3 * girth - build.neck * np.sin(up),
    )
    chest: list[Mark] = [(oval(shoulder[0] + 0.16, shoulder[1], 0.1, 0.24), coat.chest)]
    neck = ((shoulder[0] - 0.06, shoulder[1]), head)
    b.limb(neck, (girth * 0.8, build.head * 1.3), coat.base, chest)
    b.figure.bake()
    nod = b.sub(head[0], head[1], build.head, rng.uniform(-18, 22))
    if rng.random() < 0.4:
        head_front(nod.sub(0, 0, 1.05, flip=left), build, coat, rng)
    else:
        head_side(nod, build, coat, left)
    b.figure.bake()


def animal_front(b: Brush, build: Build, coat: Coat, rng: Rng) -> None:
    """A four-legged animal that sits and looks at us."""
    wide = build.girth / 0.36
    sway = rng.uniform(-0.08, 0.08)
    _tail(b.sub(0.2 * wide, -0.14), build, coat, rng.uniform(60, 110))
    for x in (-0.25 * wide, 0.25 * wide):
        b.oval(x, -0.2, 0.17 * wide, 0.2, coat.base)
        b.oval(x * 1.15, -0.05, 0.13, 0.06, coat.hind_sock or coat.base)
    b.figure.bake()
    torso = np.array([(-0.16 + sway, -0.9), (0.16 + sway, -0.9), (0.27, -0.5), (0.22, -0.08), (-0.22, -0.08),
                      (-0.27, -0.5)])  # fmt: skip
    b.blob(torso * (wide, 1), coat.base, [(oval(sway, -0.6, 0.13 * wide, 0.3), coat.chest)])
    b.figure.bake()
    for x in (-0.12 * wide, 0.12 * wide):
        _leg(b, ((x, -0.5), (x * 1.05, -0.3), (x, -0.05)), build, coat.base, coat.front_sock)
    b.figure.bake()
    turn = rng.uniform(-16, 16)
    head_front(b.sub(sway, -0.95 - build.neck * 0.3, build.head * 1.2, turn), build, coat, rng)
    b.figure.bake()


def animal_upright(b: Brush, build: Build, coat: Coat, rng: Rng, left: bool) -> None:
    """An animal that sits up on long hind feet."""
    girth, lean = build.girth, rng.uniform(-4, 14)
    _tail(b.sub(-0.12, -0.22), build, coat, rng.uniform(-8, 8))
    b.figure.bake()
    body = b.sub(0, -0.1, 1, lean)
    pear = np.array(
        [
            (-0.45, -0.05),
            (-0.42, -0.4),
            (-0.1, -0.85),
            (0.22, -0.85),
            (0.36, -0.5),
            (0.4, -0.1),
            (0, 0.08),
        ]
    )
    body.blob(
        pear * (girth / 0.4, build.length / 0.72),
        coat.base,
        [(oval(0.34, -0.35, 0.17, 0.42), coat.chest)],
    )
    b.figure.bake()
    b.oval(-0.02, -0.22, 0.6 * girth, 0.5 * girth, coat.base)
    b.limb(((-0.1, -0.06), (0.38, -0.05)), (0.12, 0.07), mix(coat.base, DARK, 0.25))
    top = -build.length
    arm = rng.uniform(-0.1, 0.12)
    body.limb(
        ((0.14, top * 0.85), (0.3, top * 0.6 + arm), (0.42, top * 0.62 + arm)),
        (0.12, 0.06),
        coat.base,
    )
    body.limb(
        ((0.06, top * 0.95), (0.12, top * 1.05 - build.neck)),
        (girth * 0.55, build.head * 1.2),
        coat.base,
    )
    b.figure.bake()
    head = body.sub(0.14, top * 1.1 - build.neck, build.head, rng.uniform(-15, 10) - lean)
    if rng.random() < 0.4:
        head_front(head, build, coat, rng)
    else:
        head_side(head, build, coat, left)
    b.figure.bake()


def animal_head(b: Brush, build: Build, coat: Coat, rng: Rng, left: bool) -> None:
    """A close-up in head units: the head at the origin, the chest below it."""
    b.blob(((-1.3, 4), (-1.0, 1.5), (-0.6, 0.3), (0.6, 0.3), (1.0, 1.5), (1.3, 4)), coat.base,
           [(oval(0.1, 2.2, 0.6, 1.5), coat.chest)])  # fmt: skip
    b.figure.bake()
    nod = b.sub(0, 0, 1, rng.uniform(-20, 20))
    if rng.random() < 0.3:
        head_side(nod, build, coat, left)
    else:
        head_front(nod.sub(0, 0, flip=left), build, coat, rng)
    b.figure.bake()


def bird(b: Brush, rng: Rng, tones: Sequence[Colour], flying: bool) -> None:
    """A bird, standing or on the wing."""
    body, wing, beak = (
        tones[0],
        tones[1],
        ((226, 150, 50), (60, 56, 54), (200, 80, 50))[rng.integers(3)],
    )
    if not flying:
        for x in (-0.02, 0.1):
            b.limb(
                ((x, -0.25), (x + 0.02, -0.02), (x + 0.1, 0)), (0.035, 0.03), mix(beak, DARK, 0.3)
            )
    stretch = rng.uniform(0.8, 1.3)
    b.blob(
        ((-0.4, -0.5), (-0.95 * stretch, -0.42), (-0.95 * stretch, -0.26), (-0.4, -0.3)),
        mix(wing, DARK, 0.3),
    )
    if flying:
        b.blob(
            ((-0.2, -0.5), (-0.15, -0.95), (0.0, -1.25), (0.3, -1.0), (0.3, -0.5)),
            mix(wing, DARK, 0.35),
        )
        b.figure.bake()
    b.blob(((-0.5, -0.45), (-0.1, -0.64), (0.25, -0.78), (0.45, -0.6), (0.32, -0.3), (0, -0.18),
            (-0.4, -0.28)), body, [(oval(0.3, -0.35, 0.25, 0.2), tones[2])])  # fmt: skip
    b.fill([((0.5, -0.86), (0.5, -0.7), (0.62 + 0.2 * stretch, -0.74))], beak)
    b.oval(0.4, -0.78, 0.19, 0.18, body if rng.random() < 0.5 else tones[2])
    _eye(b, 0.46, -0.82, 0.05, (60, 40, 30))
    b.figure.bake()
    up = -1.05 if flying else -0.42
    b.blob(((0.2, -0.6), (-0.1, -0.62), (-0.5, up), (-0.75, up + 0.05), (-0.3, -0.3), (0.05, -0.32)), wing,
           [(oval(-0.6, up, 0.25, 0.3), mix(wing, DARK, 0.6))])  # fmt: skip
    b.figure.bake()


def butterfly(b: Brush, rng: Rng, tones: Sequence[Colour]) -> None:
    """A butterfly with open wings, seen from above."""
    fold, spot = rng.uniform(0.5, 1.0), rng.uniform(0.08, 0.2)
    edge = mix(tones[0], DARK, 0.75)
    for side in (-1, 1):
        half = b.sub(0, -0.5, 1, flip=side < 0)
        narrow = (fold if side > 0 else 1.0, 1.0)
        lower = np.array([(0, 0), (0.55, 0.02), (0.62, 0.4), (0.3, 0.62), (0.08, 0.4)]) * narrow
        upper = (
            np.array(
                [(0, -0.12), (0.25, -0.62), (0.8, -0.72), (0.86, -0.3), (0.5, 0.02), (0, 0.06)]
            )
            * narrow
        )
        half.blob(
            lower,
            edge,
            [(curve(lower * 0.82 + 0.03), tones[1]), (oval(0.35, 0.3, spot, spot), tones[2])],
        )
        half.blob(
            upper,
            edge,
            [
                (curve(upper * 0.82 + (0.05, -0.03)), tones[0]),
                (oval(0.55, -0.42, spot, spot), tones[2]),
            ],
        )
        half.limb(((0, -0.25), (0.1, -0.5), (0.22, -0.62)), (0.02, 0.02), DARK)
    b.limb(((0, -0.78), (0, -0.1)), (0.1, 0.06), DARK)
    b.figure.bake(0.5)
