"""A scene: where something stands, what the drawing is about, what stands before it, the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ismila.demo import animals, breeds
from ismila.demo.brush import (
    CARAMEL,
    DARK,
    WHITE,
    Brush,
    Colour,
    Figure,
    Points,
    Rng,
    curve,
    mix,
    oval,
)
from ismila.demo.things import BRIGHT, PAINTS, THINGS, Stand, draw_thing, on_ground

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
    horizon = height * rng.uniform(0.22, 0.72)
    slope = height * rng.uniform(-0.09, 0.09)
    tint: Colour = tuple(rng.integers(0, 256, 3).tolist())
    tones = [mix(tone, tint, rng.uniform(0, 0.22)) for tone in (*place.above, *place.ground)]
    picture = _fade(size, tones[0], tones[1]).convert("RGBA")
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 4)):  # hills, or houses far away
        x = rng.uniform(0, width)
        w = rng.uniform(0.2, 0.6) * width
        h = rng.uniform(0.05, 0.4) * height
        corners = [(x - w, h), (x - w / 2, -h * 0.5), (x, -h), (x + w, h)]
        shape = curve([(a, horizon + b) for a, b in corners])
        tone = mix(tones[1], tones[2], rng.uniform(0.2, 0.7))
        pen.polygon([(float(a), float(b)) for a, b in shape], fill=tone)
    ground = Image.new("L", size)
    waves = [(width * i / 6, horizon + slope * (i / 3 - 1) + rng.normal(0, 3)) for i in range(7)]
    ImageDraw.Draw(ground).polygon([*waves, (width, height), (0, height)], fill=255)
    picture.paste(_fade(size, tones[2], tones[3]), (0, 0), ground)
    _cover(picture, place.cover, tones[3], horizon, rng)
    for depth in np.sort(rng.uniform(0, 0.5, rng.integers(1, 6))):
        scale = height * (0.14 + 0.9 * depth) * rng.uniform(0.7, 1.3)
        foot = (rng.uniform(0, width), horizon + (height - horizon) * depth + 6)
        name = str(rng.choice(place.about))
        picture.alpha_composite(draw_thing(name, Stand(size, light, foot, scale), rng))
    blur = float(rng.choice([0.0, 1.0, 2.0, 4.0, 6.0]))
    return (picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture), horizon


def _cover(picture: Image.Image, cover: str, tone: Colour, horizon: float, rng: Rng) -> None:
    """What covers the ground: blades of grass, stones, or planks."""
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    if cover == "planks":
        for x in np.arange(-2.0, 3.0, rng.uniform(0.12, 0.4)):
            line = [
                (width * (0.5 + 0.5 * (x - 0.5)), horizon + 8),
                (width * (0.5 + 2 * (x - 0.5)), height),
            ]
            pen.line(line, fill=mix(tone, DARK, 0.3), width=2)
        return
    depths = np.sort(rng.uniform(0, 1, 130)) ** 1.5
    xs = rng.uniform(0, width, 130)
    shades = rng.uniform(0, 0.3, 130)
    for depth, x, shade in zip(depths, xs, shades, strict=True):
        y = horizon + 8 + (height - horizon) * depth
        far = 3 + 14 * depth
        shaded = mix(tone, DARK if depth * 100 % 2 < 1 else WHITE, shade)
        if cover == "blades":
            pen.line([(x, y), (x + far * (shade - 0.15) * 3, y - far * 1.4)], fill=shaded, width=2)
        else:
            pen.ellipse([x - far * 0.7, y - far * 0.3, x + far * 0.7, y + far * 0.3], fill=shaded)


@dataclass(frozen=True)
class Frame:
    """What the camera sees before the figure comes.

    Attributes:
        size: of the sheet, in pixels.
        horizon: its height from the top, in pixels.
        light: the direction it comes from, of length 1.
        nudge: how far a burst's later shots are off the first, in pixels.
        away: how many times as far away as else the figure stands.
        without: one of `breeds.PARTS`, when the subject is drawn without it.
    """

    size: tuple[int, int]
    horizon: float
    light: tuple[float, float]
    nudge: Points
    away: float = 1.0
    without: str = ""


def draw_figure(kind: str, frame: Frame, rng: Rng) -> Image.Image:
    """What the drawing is about, between far away and close up; nothing for a mere view."""
    width, height = frame.size
    far = rng.random()
    share = (rng.uniform(0.22, 0.42) if far < 0.35 else rng.uniform(0.42, 0.85)) / frame.away
    scale = share * min(frame.size)
    ground = frame.horizon + (height - frame.horizon) * rng.uniform(0.1, 0.35)
    ground += share * 0.6 * height
    ground = min(max(ground, scale * 1.15), height * 0.98)
    room = 0.5 - 0.42 * share
    x = width * rng.uniform(0.5 - room, 0.5 + room) + frame.nudge[0]
    foot = (x, ground + frame.nudge[1])
    if kind == "view":
        return Image.new("RGBA", frame.size)
    if kind in THINGS:
        return _draw_things(kind, frame, foot, scale, rng)
    return _draw_animal(kind, frame, foot, scale, rng)


def _draw_things(
    kind: str, frame: Frame, foot: tuple[float, float], scale: float, rng: Rng
) -> Image.Image:
    """One thing, or two of a kind."""
    width, height = frame.size
    picture = Image.new("RGBA", frame.size)
    for _ in range(rng.integers(1, 3)):
        stand = Stand(frame.size, frame.light, foot, scale * 0.9)
        picture.alpha_composite(draw_thing(kind, stand, rng))
        x = rng.uniform(0.1, 0.9) * width + frame.nudge[0]
        foot = (x, min(foot[1] + 0.1 * height, height * 0.98))
        scale *= rng.uniform(0.5, 1.1)
    return picture


def _draw_animal(
    kind: str, frame: Frame, foot: tuple[float, float], scale: float, rng: Rng
) -> Image.Image:
    figure = Figure(frame.size, frame.light, scale, rng)
    left = bool(rng.random() < 0.5)
    at = Brush(figure, np.eye(2), np.array(foot)).sub(0, 0, scale, 0, left)
    if kind in ("bird", "butterfly"):
        flying = _draw_winged(kind, at, rng)
        return figure.whole if flying else on_ground(figure.whole, foot[1])
    build, coat = _looks(kind, frame.without, rng)
    poses = ["stand", "sit", "lie", "front", "head"]
    pose = str(rng.choice(poses, p=[0.32, 0.14, 0.12, 0.18, 0.24]))
    if pose == "head" and frame.away > 1:  # the rest of her, which a close-up cuts off, would show
        pose = "stand"
    if pose == "head":
        unit = min(frame.size) * rng.uniform(0.2, 0.36)
        middle = (rng.uniform(0.36, 0.64), rng.uniform(0.4, 0.55))
        centre = np.array(frame.size) * middle + frame.nudge
        brush = Brush(figure, np.eye(2), centre).sub(0, 0, unit, 0, left)
        animals.animal_head(brush, build, coat, rng, left)
        return figure.whole
    if build.upright:
        animals.animal_upright(at.sub(0, 0, 0.85), build, coat, rng, left)
    elif pose == "front":
        animals.animal_front(Brush(figure, np.eye(2) * scale, np.array(foot)), build, coat, rng)
    else:
        smaller = at.sub(0, 0, min(0.8, 0.55 * frame.size[0] / scale))
        animals.animal_side(smaller, build, coat, rng, pose, left)
    return on_ground(figure.whole, foot[1])


def _looks(kind: str, without: str, rng: Rng) -> tuple[breeds.Build, breeds.Coat]:
    if kind == "subject":
        return breeds.subject_without(without)
    coat = breeds.random_coat(kind, rng)
    return breeds.random_build(kind, rng), coat


def _draw_winged(kind: str, at: Brush, rng: Rng) -> bool:
    """A bird or a butterfly; returns whether it flies."""
    tones = [PLUMAGE[i] for i in rng.permutation(len(PLUMAGE))[:3]]
    flying = kind == "butterfly" or bool(rng.random() < 0.4)
    up = -rng.uniform(0, 0.5) if flying else 0
    turn = rng.uniform(-40, 40) if flying else 0
    air = at.sub(0, up, 0.7, turn)
    if kind == "bird":
        animals.bird(air, rng, tones, flying)
    else:
        animals.butterfly(air, rng, tones)
    return flying


def draw_front(size: tuple[int, int], light: tuple[float, float], rng: Rng) -> Image.Image:
    """What stands before the figure: mostly nothing; a fence, grass, a table, a branch."""
    figure = Figure(size, light, 60, rng)
    width, height = size
    brush = Brush(figure, np.array([[width, 0], [0, height]], float), np.zeros(2))
    tone = mix(BRIGHT[rng.integers(len(BRIGHT))], PAINTS["n"], rng.uniform(0.4, 1))
    fronts = ["nothing", "fence", "grass", "table", "branch"]
    front = rng.choice(fronts, p=[0.66, 0.09, 0.11, 0.07, 0.07])
    if front == "fence":
        top = rng.uniform(0.45, 0.75)
        gap = rng.uniform(0.12, 0.2)
        brush.fill(
            [((0, top + 0.1), (1, top + 0.12), (1, top + 0.16), (0, top + 0.14))],
            mix(tone, DARK, 0.2),
        )
        for x in np.arange(rng.uniform(-0.1, 0), 1, gap):
            brush.fill(
                [((x, 1), (x, top), (x + 0.025, top - 0.04), (x + 0.05, top), (x + 0.05, 1))], tone
            )
    elif front == "grass":
        green = mix(PAINTS["e"], tone, rng.uniform(0, 0.4))
        for x in rng.uniform(0, 1, 60):
            tip = (x + rng.normal(0, 0.05), 1 - rng.uniform(0.1, 0.38))
            brush.limb(
                ((x, 1.02), ((x + tip[0]) / 2 + 0.01, 0.9), tip),
                (0.016, 0.004),
                mix(green, DARK, 0.4 * rng.random()),
            )
    elif front == "table":
        top = rng.uniform(0.7, 0.84)
        brush.fill([((-0.1, top), (1.1, top + rng.normal(0, 0.03)), (1.1, 1.2), (-0.1, 1.2))], tone)
        figure.bake()
        foot = (width * rng.uniform(0.1, 0.9), height * (top + 0.1))
        cup = draw_thing("cup", Stand(size, light, foot, height * 0.16), rng)
        figure.whole.alpha_composite(cup)
        return figure.whole
    elif front == "branch":
        y = rng.uniform(0.1, 0.9)
        lean = rng.uniform(-0.3, 0.3)
        brush.limb(((-0.05, y), (0.5, y + lean / 2), (1.05, y + lean)), (0.05, 0.02), PAINTS["n"])
        for x in rng.uniform(0, 1, 22):
            leaf = oval(x, y + lean * x + rng.normal(0, 0.05), 0.045, 0.02, rng.uniform(-80, 80))
            brush.fill([leaf], mix(PAINTS["e"], tone, 0.5 * rng.random()))
    figure.bake(0.6)
    return figure.whole


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
