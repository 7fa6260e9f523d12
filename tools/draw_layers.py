"""Draw docs/layers.svg: the rooms in the order in which a photo travels, and who imports whom. `make docs`.

    .venv/bin/python tools/draw_layers.py [FILE]

The rooms and their order are those of the layers contract in pyproject.toml, the imports those that import-linter sees.
The picture is plain SVG text, so that it is the same on every machine and a test can compare it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/layers.svg"
ROOMS = {
    "photos": "from disk or Flickr to a table of photos",
    "demo": "draws the demo album",
    "settings": "what can be set",
    "vision": "from a photo to a judgement, without torch and pandas",
    "learning": "from a table of photos to a classifier",
    "runs": "the only place that speaks MLflow",
    "evidence": "from predictions to figures and pictures",
    "use": "ask, scan, export, serve, check",
    "cli": "ismila VERB: parses, makes one call, prints",
    "train": "the Hydra entry: the story of a run",
}
COLOURS = (
    "#0072b2",
    "#b35900",
    "#00795c",
    "#a3467f",
    "#5b4fa2",
    "#7a6a00",
    "#c0392b",
    "#33658a",
    "#444444",
    "#8a5a33",
)

NAME_PX = 150
BOXES_PX = 610
CHARACTER_PX = 7.0
BOX_PX = 24
GAP_PX = 8
LANE_PX = 30
ARROW_PX = 15
CAPTION_PX = 14
CAPTION_CHARACTERS = 17
MARGIN_PX = 20


@dataclass(frozen=True)
class Box:
    """A module in its room; its corner is counted from the room's."""

    name: str
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Room:
    """A row of the picture."""

    name: str
    boxes: tuple[Box, ...]
    imported_by: dict[str, int]  # room -> how many of its imports lead here
    top: float
    height: float


def layers() -> list[str]:
    """Rooms, the first one imports nothing of the others."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contract = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]
    names = [name for layer in contract["layers"] for name in re.findall(r"ismila\.(\w+)", layer)]
    return names[::-1]


def imports_between(graph: grimp.ImportGraph, rooms: list[str]) -> dict[str, dict[str, int]]:
    """Imported room -> importing room -> from how many modules to how many, each pair counted once."""
    counts: dict[str, dict[str, int]] = {room: {} for room in rooms}
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            source = room_of(importer)
            target = room_of(imported)
            if source != target and source in rooms and target in rooms:
                counts[target][source] = counts[target].get(source, 0) + 1
    return counts


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def shown_modules(graph: grimp.ImportGraph, room: str) -> list[str]:
    """The room's files; a package's own file only where it takes part in imports. A room of one file has no boxes."""
    package = f"ismila.{room}"
    if not graph.find_children(package):
        return []
    modules = sorted({package, *graph.find_descendants(package)})
    return [
        "__init__" if module == package else module.removeprefix(f"{package}.").replace(".", "/")
        for module in modules
        if not graph.find_children(module)
        or graph.find_modules_directly_imported_by(module)
        or graph.find_modules_that_directly_import(module)
    ]


def placed(names: list[str]) -> tuple[Box, ...]:
    """Boxes side by side, in lines of BOXES_PX; those of one folder stay together."""
    boxes = []
    x = 0.0
    y = 0.0
    for name in names:
        width = len(name) * CHARACTER_PX + 18
        if x and x + width > BOXES_PX:
            x = 0.0
            y += BOX_PX + GAP_PX
        boxes.append(Box(name, x, y, width))
        x += width + GAP_PX
    return tuple(boxes)


def rooms() -> list[Room]:
    """All rows, from the top."""
    graph = grimp.build_graph("ismila", cache_dir=None)
    names = [name for name in layers() if f"ismila.{name}" in graph.modules]
    counts = imports_between(graph, names)
    top = MARGIN_PX + 66.0
    placed_rooms = []
    for name in names:
        boxes = placed(shown_modules(graph, name))
        boxes_px = boxes[-1].y + BOX_PX if boxes else 0
        caption_px = 28 + CAPTION_PX * len(wrapped(ROOMS.get(name, ""), CAPTION_CHARACTERS))
        height = max(boxes_px, caption_px, len(counts[name]) * ARROW_PX + 16) + 24
        placed_rooms.append(Room(name, boxes, counts[name], top, height))
        top += height + 12
    return placed_rooms


def svg() -> str:
    """The picture."""
    rows = rooms()
    right = MARGIN_PX + NAME_PX + BOXES_PX + 20
    # The last rows' lanes are the longest; the nearer a row is to the top, the nearer its lane to the boxes.
    lanes = {room.name: right + 46 + LANE_PX * i for i, room in enumerate(rows)}
    width = max(lanes.values()) + MARGIN_PX
    height = rows[-1].top + rows[-1].height + MARGIN_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        text(
            MARGIN_PX,
            MARGIN_PX + 16,
            "A photo travels down; a file imports only from above",
            18,
            "#222",
            "bold",
        ),
        text(
            MARGIN_PX,
            MARGIN_PX + 40,
            "A row is a room, a box a module; an arrow leads to the room that is imported, with the number of imports.",
            13,
            "#555",
        ),
    ]
    for number, room in enumerate(rows):
        parts += draw_room(room, right, COLOURS[number % len(COLOURS)])
    for number, room in enumerate(rows):
        parts += draw_imports(room, rows, right, lanes[room.name], COLOURS[number % len(COLOURS)])
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_room(room: Room, right: float, colour: str) -> Iterator[str]:
    left = MARGIN_PX
    yield rectangle(left, room.top, right - left, room.height, colour, 0.07)
    yield rectangle(left, room.top, 5, room.height, colour, 1.0)
    yield text(
        left + 18, room.top + 27, room.name if room.boxes else f"{room.name}.py", 16, colour, "bold"
    )
    for number, line in enumerate(wrapped(ROOMS.get(room.name, ""), CAPTION_CHARACTERS)):
        yield text(left + 18, room.top + 45 + CAPTION_PX * number, line, 11, "#555")
    for box in room.boxes:
        x = left + NAME_PX + box.x
        y = room.top + 12 + box.y
        yield (
            f'<rect x="{x:g}" y="{y:g}" width="{box.width:g}" height="{BOX_PX}" rx="4" '
            f'fill="#ffffff" stroke="{colour}" stroke-opacity="0.6"/>'
        )
        yield text(x + box.width / 2, y + 16, box.name, 12, "#222", anchor="middle")


def wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw_imports(
    source: Room, rows: list[Room], right: float, lane: float, colour: str
) -> Iterator[str]:
    """One line out of the room, up its own lane, with an arrow into each room that it imports."""
    targets = [room for room in rows if source.name in room.imported_by]
    if not targets:
        return
    y_out = source.top + source.height - 10
    y_top = min(arrow_y(room, source.name) for room in targets)
    style = f'fill="none" stroke="{colour}" stroke-width="1.6"'
    yield f'<path d="M{right:g} {y_out:g} H{lane:g} V{y_top:g}" {style}/>'
    yield f'<circle cx="{right:g}" cy="{y_out:g}" r="3" fill="{colour}"/>'
    for room in targets:
        y = arrow_y(room, source.name)
        yield f'<path d="M{lane:g} {y:g} H{right + 8:g}" {style}/>'
        yield f'<path d="M{right:g} {y:g} l9 -4 v8 z" fill="{colour}"/>'
        count = f"{room.imported_by[source.name]}"
        yield f'<rect x="{right + 13:g}" y="{y - 7:g}" width="{7 * len(count) + 6:g}" height="14" fill="#ffffff"/>'
        yield text(right + 16, y + 4, count, 11, colour, "bold")


def arrow_y(room: Room, source: str) -> float:
    """Where the arrow from a room arrives: the nearest below comes first from the bottom."""
    order = list(room.imported_by)
    order.sort(key=layers().index)
    return room.top + 12 + ARROW_PX * order.index(source)


def rectangle(x: float, y: float, width: float, height: float, fill: str, opacity: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" '
        f'fill-opacity="{opacity:g}"/>'
    )


def text(
    x: float,
    y: float,
    words: str,
    size_px: int,
    fill: str,
    weight: str = "normal",
    *,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size_px}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    picture.write_text(svg(), encoding="utf-8")
    print(f"{picture}: {len(rooms())} rooms")
