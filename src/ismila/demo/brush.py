"""How a drawing of the demo album is made: colours, outlines, a figure, a brush.

A figure (an animal, a thing) has its own coordinates: x to the right, y down, the ground at 0, about one
unit high, looking to the right. A brush carries them onto the sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

Colour = tuple[int, int, int]
Points = npt.NDArray[np.float64]
Corners = Sequence[tuple[float, float]] | Points
Mark = tuple[Corners, Colour]
Rng = np.random.Generator

DARK = (44, 37, 36)
WHITE = (240, 236, 228)
CARAMEL = (193, 133, 80)
PINK = (214, 140, 140)


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
        self.figure = figure
        self.matrix = matrix
        self.origin = origin

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
