"""Things: a car, a cup, a tree, ..., each a few outlines in a small language of its own."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ismila.demo.brush import CARAMEL, DARK, WHITE, Brush, Colour, Figure, Rng, curve, mix

# In hundredths of a unit: o(val) x y rx ry, p(olygon), b(lob), l(ine) width, r(ing) width x y radius.
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


@dataclass(frozen=True)
class Stand:
    """Where a figure stands.

    Attributes:
        size: of the sheet, in pixels.
        light: the direction it comes from, of length 1.
        foot: x and y of its foot, in pixels.
        scale: of a figure that is 1 high, in pixels.
    """

    size: tuple[int, int]
    light: tuple[float, float]
    foot: tuple[float, float]
    scale: float


def draw_thing(name: str, stand: Stand, rng: Rng) -> Image.Image:
    """A thing in colours of its own, by chance those of the subject."""
    own = [BRIGHT[i] for i in rng.permutation(len(BRIGHT))[:3]]
    if rng.random() < 0.3:
        own = [(CARAMEL, WHITE, DARK)[i] for i in rng.permutation(3)]
    tint = BRIGHT[rng.integers(len(BRIGHT))]
    paints = {key: mix(tone, tint, rng.uniform(0, 0.16)) for key, tone in PAINTS.items()}
    paints |= dict(zip("123", own, strict=True))
    figure = Figure(stand.size, stand.light, stand.scale, rng)
    unit = stand.scale / 100
    brush = Brush(figure, np.diag([unit, unit]), np.array(stand.foot))
    brush = brush.sub(0, 0, 1, rng.normal(0, 3), rng.random() < 0.5)
    for part in THINGS[name].split(";"):
        _draw_part(brush, part[0], paints[part[1]], [float(v) for v in part[2:].split()], rng)
    figure.bake()
    return on_ground(figure.whole, stand.foot[1])


def _draw_part(brush: Brush, shape: str, colour: Colour, values: list[float], rng: Rng) -> None:
    """One word of the language that `THINGS` is written in."""
    if shape == "o":
        x, y, rx, ry = values
        brush.oval(x, y, rx, ry, mix(colour, DARK, 0.12 * rng.random()))
    elif shape == "r":
        thick, x, y, radius = values
        turns = np.linspace(0, 2 * np.pi, 25)
        ring = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1)
        brush.limb(ring, (thick, thick), colour)
    elif shape == "l":
        thick, *line = values
        for a, b in pairwise(np.reshape(line, (-1, 2))):
            brush.limb(np.stack([a, b]), (thick, thick), colour)
    else:
        points = np.reshape(values, (-1, 2))
        brush.fill([curve(points) if shape == "b" else points], colour)


def on_ground(figure: Image.Image, foot_px: float) -> Image.Image:
    """The figure with its shadow on the ground."""
    box = figure.getchannel("A").getbbox()
    if box is None:
        return figure
    low = (figure.width // 4, figure.height // 4)
    shade = Image.new("L", low)
    half = (box[2] - box[0]) / 8
    middle = (box[0] + box[2]) / 8
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
