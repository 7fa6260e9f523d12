"""How do index, animals and features of an album grow with its photos? Expected: in a straight line.

    .venv/bin/python benchmarks/growth.py [--rows 1000 10000 100000]

Photos are small drawn JPEGs, a third of them of the subject, each of another content and look. What a detector and a
backbone would give is drawn, too: what is measured is keeping it and reading it again. Microseconds of a core a
photo; the last column says how many times as much the largest album takes a photo as the smallest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ismila.learning.animal_table import AnimalTable
from ismila.learning.features import SHARD_ROWS, Store
from ismila.photos.album import Album
from ismila.vision.animals import Animal

WIDTH = 1280
"""Of MobileNetV2's features."""


class Detector:
    """Its name is all that a table needs."""

    digest = "drawn"


def draw(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        folder = root / ("mila" if number % 3 == 0 else "not_mila") / f"{number // 1000:03}"
        folder.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:06}.jpg")


def seconds(call: Callable[[], object]) -> float:
    """Of processors, which other work on the machine hardly changes, by this process and those that it started."""
    started = time.process_time() + sum(os.times()[2:4])
    call()
    return time.process_time() + sum(os.times()[2:4]) - started


def measured(count: int) -> dict[str, float]:
    """Seconds of each step."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "album"
        draw(root, count)
        album = Album.open(root, "mila")
        steps = {"index, first": seconds(album.update), "index, again": seconds(album.update)}
        index = album.read()
        shas = [str(sha) for sha in index["sha256"]]
        steps["animals kept"] = seconds(lambda: keep_animals(album, shas))
        steps["animals read"] = seconds(lambda: AnimalTable(album.derived, Detector()))
        steps["features kept"] = seconds(lambda: keep_features(album, shas))
        steps["features read"] = seconds(lambda: features(album).rows([(sha, 0) for sha in shas]))
        return steps


def keep_animals(album: Album, shas: list[str]) -> None:
    table = AnimalTable(album.derived, Detector())
    for sha in shas:
        table.add(sha, [Animal((0.1, 0.1, 0.9, 0.9), "dog", 0.9)])
    table.flush()


def features(album: Album) -> Store:
    return Store(album.derived / "features/drawn", (WIDTH,), "<f4")


def keep_features(album: Album, shas: list[str]) -> None:
    store = features(album)
    rows = np.random.default_rng(0).random((SHARD_ROWS, WIDTH), np.float32)
    for at in range(0, len(shas), SHARD_ROWS):
        some = [(sha, 0) for sha in shas[at : at + SHARD_ROWS]]
        store.add(some, list(rows[: len(some)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    args = parser.parse_args()
    by_size = {count: measured(count) for count in args.rows}
    print(f"load {os.getloadavg()[0]:.1f}")
    print(f"{'us a photo':16}" + "".join(f"{count:>12}" for count in by_size) + f"{'times':>8}")
    for step in by_size[args.rows[0]]:
        each = [by_size[count][step] / count * 1e6 for count in by_size]
        print(f"{step:16}" + "".join(f"{us:12.0f}" for us in each) + f"{each[-1] / each[0]:8.2f}")


if __name__ == "__main__":
    main()
