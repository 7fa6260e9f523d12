"""How much recall flatters itself when photos of one occasion stand on both sides of a split.

    python benchmarks/occasions.py FOLDER [--data strangers] [--neighbours 1,2,4] [--seeds 3] [--halves] ...]

FOLDER holds a folder of photos for each animal; photos that follow each other by name are often of one occasion.
Each animal in turn is the subject and is cross-validated among the strangers: with single photos held out, as if
nothing were known of occasions, then with runs of so many neighbours kept together, then with a fifth and a third of
its photos in one piece. What recall loses from line to line, at thresholds that so many of the strangers pass, is
what it owed to the neighbours. With --halves every second animal says for the others how photos of one animal differ.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import numpy as np
from individuals import learned_from, link_into, parser_of, parts_of, settings_for, told

from ismila.learning.crossval import out_of_fold
from ismila.learning.dataset import album_rows
from ismila.learning.linear import LinearRun
from ismila.learning.training import read_photos
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import usable
from ismila.settings import register

STRANGERS = (0.01, 0.001)
Grouping = Callable[[int], np.ndarray]
"""How many photos there are -> a number for each: those of one number are never apart."""


def main() -> None:
    """Print a line for each way to keep neighbours together."""
    parser = parser_of(__doc__)
    parser.add_argument("--neighbours", default="1,2,4", help="how many are kept together")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the folds")
    parser.add_argument("--halves", action="store_true", help="of the animals: see above")
    parser.add_argument("--derived", type=Path, help="where derived files stay for another time")
    args = parser.parse_args()
    register()
    parts = parts_of(args)
    ways = groupings([int(n) for n in args.neighbours.split(",")])
    hits: dict[str, list[np.ndarray]] = {what: [] for what in ways}
    with tempfile.TemporaryDirectory() as scratch:
        for at, animals in enumerate(parts):
            with learned_from(parts[1 - at], args) if args.halves else nullcontext():
                for name, photos in animals.items():
                    link_into(Path(scratch) / name / name, photos)
                    for what, seed in product(ways, range(args.seeds)):
                        hits[what].append(found(name, Path(scratch), ways[what], seed, args))
                    print(name, flush=True)
    for what, of_each in hits.items():
        for share, passes in zip(STRANGERS, np.concatenate(of_each).T, strict=True):
            print(told(f"{what}, {share:.1%} of strangers", int(passes.sum()), len(passes)))


def groupings(lengths: list[int]) -> dict[str, Grouping]:
    """Ways to keep neighbours together."""
    runs = {f"{n} together": lambda count, n=n: np.arange(count) // n for n in lengths}
    pieces = {
        f"1/{n} in one piece": lambda count, n=n: np.arange(count) * n // count for n in (5, 3)
    }
    return runs | pieces


def found(
    name: str, scratch: Path, grouping: Grouping, seed: int, args: argparse.Namespace
) -> np.ndarray:
    """`[N, len(STRANGERS)]`: whether each of an animal's photos, held out, passes where so many of the strangers do."""
    root = scratch / name
    overrides = [f"subject={name}", f"data={args.data}", f"data.root='{root}'", f"seed={seed}"]
    settings = settings_for([*overrides, *args.overrides])
    album = Album.open(root, name, args.derived or scratch / "derived")
    index = usable(album.update()).sort_values("path", ignore_index=True)
    index["group"] = [f"{number:016}" for number in grouping(len(index))]
    index["fold"] = assign_folds(index, seed)
    photos = read_photos(album, index, settings)
    rows = album_rows(photos.index, settings.data, seed)
    run = LinearRun(rows, photos.features[0], settings.model, settings)
    examples = run.with_strangers(run.examples)
    held_out = out_of_fold(examples, run.penalty, seed)
    of_subject = examples.is_subject[examples.photos()] & held_out.known
    strangers = held_out.logits[~examples.is_subject[examples.photos()] & held_out.known]
    return held_out.logits[of_subject][:, None] > np.quantile(strangers, 1 - np.array(STRANGERS))


if __name__ == "__main__":
    main()
