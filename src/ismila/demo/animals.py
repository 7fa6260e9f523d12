"""Animals: heads, poses, a bird, a butterfly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ismila.demo.breeds import EARS, TAILS, Build, Coat
from ismila.demo.brush import DARK, PINK, WHITE, Brush, Colour, Corners, Mark, Rng, curve, mix, oval


def _eye(b: Brush, x: float, y: float, size: float, colour: Colour) -> None:
    b.oval(x, y, size, size * 1.05, mix(colour, DARK, 0.75))
    b.oval(x, y, size * 0.8, size * 0.85, colour)
    b.oval(x, y, size * 0.5, size * 0.55, (18, 15, 16))
    b.oval(x - size * 0.3, y - size * 0.35, size * 0.26, size * 0.26, (250, 250, 250))


def _ear(b: Brush, build: Build, colour: Colour) -> None:
    if build.lacks == "ears":
        return
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
    if build.lacks == "tail":
        return
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
        step *= 1.0 if pose == "stand" else 0.2
        front = _front_leg(x, shoulder[1], girth, step, lies=pose == "lie")
        _leg(b, front, build, colour, coat.front_sock)
        if pose == "stand":
            hind = _hind_leg(hip[0] + (0.0 if near else 0.07), hip[1], leg, step)
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


def _front_leg(x: float, y: float, girth: float, step: float, *, lies: bool) -> Corners:
    """From the shoulder to the foot; who lies stretches it out."""
    if lies:
        return ((x, -0.4 * girth), (x + 0.12, -0.09), (x + 0.36, -0.06))
    return ((x, y + 0.1 * girth), (x + step * 0.2, y * 0.5), (x + step, -0.05))


def _hind_leg(x: float, y: float, leg: float, step: float) -> Corners:
    """From the hip to the foot, with a knee and a hock."""
    return (
        (x, y),
        (x + 0.07 - step * 0.3, -leg * 0.66),
        (x - 0.07 - step, -leg * 0.36),
        (x - step, -0.05),
    )


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
