"""How much recall flatters itself when photos of one occasion stand on both sides of a split.

    python benchmarks/occasions.py FOLDER [--data strangers] [--neighbours 1,2,4] [--seeds 3] [OVERRIDE ...]

FOLDER holds a folder of photos for each animal; photos that follow each other by name are often of one occasion.
Each animal in turn is the subject and is cross-validated, whatever number of photos there is: with single photos held
out, as if nothing were known of occasions, then with runs of so many neighbours kept together, then with a fifth and
a third of its photos in one piece. What recall loses from line to line is what it owed to the neighbours.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from individuals import link_into, parser_of, parts_of, settings_for, told

from ismila.learning import linear
from ismila.learning.training import train
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import usable
from ismila.settings import register

Grouping = Callable[[int], np.ndarray]
"""How many photos there are -> a number for each: those of one number are never apart."""


def main() -> None:
    """Print a line for each way to keep neighbours together."""
    parser = parser_of(__doc__)
    parser.add_argument("--neighbours", default="1,2,4", help="how many are kept together")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the folds")
    args = parser.parse_args()
    args.halves = False
    register()
    animals = parts_of(args)[0]
    with tempfile.TemporaryDirectory() as scratch:
        for name, photos in animals.items():
            link_into(Path(scratch) / name / name, photos)
        for what, grouping in groupings([int(n) for n in args.neighbours.split(",")]).items():
            answers = [
                found(name, Path(scratch), grouping, seed, args)
                for name in animals
                for seed in range(args.seeds)
            ]
            hits = np.concatenate(answers)
            print(told(what, int(hits.sum()), len(hits)), flush=True)


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
    """`[N]`: whether each of an animal's photos was taken for it while it was held out."""
    root = scratch / name
    overrides = [f"subject={name}", f"data={args.data}", f"data.root='{root}'", f"seed={seed}"]
    settings = settings_for([*overrides, *args.overrides])
    album = Album.open(root, name, scratch / "derived")
    rows = usable(album.update()).sort_values("path", ignore_index=True)
    rows["group"] = pd.Series(grouping(len(rows))).map("{:016}".format)
    rows["fold"] = assign_folds(rows, seed)
    with patch.object(linear, "is_few", lambda rows: True):
        predictions = train(album, rows, settings).predictions
    held_out = predictions[predictions["held_out_by"].str.startswith("crossval")]
    return (held_out["probability"] >= held_out["threshold"]).to_numpy()


if __name__ == "__main__":
    main()
