"""What kinds of animals look like: builds and coats, and the one dog of the demo album."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ismila.demo.brush import CARAMEL, DARK, PINK, WHITE, Colour, Corners, Rng, mix, oval


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
    lacks: str = ""
    """`ears` or `tail` are not drawn; without another of `PARTS` it is the coat that differs."""


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

PARTS = ("ears", "tail", "patch", "blaze", "saddle", "muzzle", "chest", "socks")
"""What the subject can be drawn without."""


def subject_without(part: str) -> tuple[Build, Coat]:
    """The subject without one of `PARTS`, or with all of them, "".

    A mark that is gone has the colour of the coat. No random draw depends on it, so that nothing
    else in a drawing changes.
    """
    base = SUBJECT.base
    coats = {
        "": SUBJECT,
        "ears": SUBJECT,
        "tail": SUBJECT,
        "patch": replace(SUBJECT, patches=(None, None)),
        "blaze": replace(SUBJECT, blaze=None),
        "saddle": replace(SUBJECT, spots=()),
        "muzzle": replace(SUBJECT, muzzle=base),
        "chest": replace(SUBJECT, chest=base),
        "socks": replace(SUBJECT, front_sock=None),
    }
    return replace(BUILDS["dog"], lacks=part), coats[part]


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
