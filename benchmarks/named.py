"""How often does each of several animals get its own name, when all are trained together?

    python benchmarks/named.py FOLDER [--blocks 3] [--data strangers] [--halves | --no-differences] [OVERRIDE ...]

FOLDER holds a folder of photos for each animal: an album in which every other animal is a kind. Whole thirds of
neighbours by name are held out, since photos that follow each other are often of one occasion; the rest trains a run
for each animal, and all runs are asked together, as `ismila predict --subject` does. How photos of one animal differ
was learned from the very animals of shared/individuals: --no-differences leaves that out; with --halves every second
animal says so for the others, and each half is an album of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
from individuals import BLOCKS, learned_from, trained_on

from ismila.evidence.metrics import wilson
from ismila.learning import linear
from ismila.settings import register
from ismila.use.ask.pets import Pets

WHAT = ("named right", "another's name", "no name")


def main() -> None:
    """Print a line a block, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="strangers")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="held out in turn, at most 3")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--halves", action="store_true", help="of the animals: see above")
    which.add_argument("--no-differences", action="store_true", help="see above")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    register()
    animals = {path.name: sorted(path.glob("*.jpg")) for path in sorted(args.folder.iterdir())}
    animals = {name: photos for name, photos in animals.items() if photos}
    albums = [dict(list(animals.items())[at::2]) for at in range(2)] if args.halves else [animals]
    sums = np.zeros(len(WHAT), int)
    n = 0
    for number, album in enumerate(albums):
        knowing = nullcontext()
        if args.halves:
            knowing = learned_from(albums[1 - number], args)
        elif args.no_differences:
            knowing = patch.object(linear, "differences_of", lambda made_by: None)
        with tempfile.TemporaryDirectory() as scratch, knowing:
            for block in range(args.blocks):
                counts, asked = named(album, block, Path(scratch), args)
                told = (f"{what} {hits}/{asked}," for what, hits in counts)
                print(f"{len(album)} animals, block {block}:", *told, flush=True)
                sums += [hits for _, hits in counts]
                n += asked
    for what, hits in zip(WHAT, sums, strict=True):
        low, high = wilson(int(hits), n)
        print(f"{what}: {hits}/{n} = {hits / n:.3f} ({low:.3f} to {high:.3f})")


def named(
    animals: dict[str, list[Path]], block: int, scratch: Path, args: argparse.Namespace
) -> tuple[list[tuple[str, int]], int]:
    """What is said of one third of each animal's photos by runs that were trained on the others."""
    root = scratch / f"without {block}"
    held_out: list[tuple[str, Path]] = []
    for name, photos in animals.items():
        for at, photo in enumerate(photos):
            if at * BLOCKS // len(photos) == block:
                held_out.append((name, photo))
                continue
            link = root / name / photo.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(photo.resolve())
    overrides = [f"data={args.data}", "refit=all", f"data.root='{root}'", *args.overrides]
    classifiers = {
        name: trained_on(root, scratch / "derived", [f"subject={name}", *overrides]).classifier
        for name in animals
    }
    pets = Pets(classifiers, dict.fromkeys(classifiers, "not recorded"))
    counts = np.zeros(len(WHAT), int)
    for name, photo in held_out:
        names = pets.judge([pets.read(photo)])[0].names
        counts += [name in names, bool(set(names) - {name}), not names]
    return list(zip(WHAT, counts.tolist(), strict=True)), len(held_out)


if __name__ == "__main__":
    main()
