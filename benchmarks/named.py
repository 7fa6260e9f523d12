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

import pandas as pd
from individuals import in_block, learned_from, link_into, parser_of, parts_of, told, trained_on

from ismila.learning import linear
from ismila.settings import register
from ismila.use.ask.pets import Pets

WHAT = ("named right", "another's name", "no name")


def main() -> None:
    """Print a line a block, then the sums."""
    parser = parser_of(__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--halves", action="store_true", help="of the animals: see above")
    which.add_argument("--no-differences", action="store_true", help="see above")
    args = parser.parse_args()
    register()
    albums = parts_of(args)
    answers = []
    for number, album in enumerate(albums):
        knowing = nullcontext()
        if args.halves:
            knowing = learned_from(albums[1 - number], args)
        elif args.no_differences:
            knowing = patch.object(linear, "differences_of", lambda made_by: None)
        with tempfile.TemporaryDirectory() as scratch, knowing:
            for block in range(args.blocks):
                table = named(album, block, Path(scratch), args)
                answers.append(table)
                shares = (f"{what} {table[what].sum()}/{len(table)}," for what in WHAT)
                print(f"{len(album)} animals, block {block}:", *shares, flush=True)
    table = pd.concat(answers)
    for what in WHAT:
        print(told(what, table.assign(taken=table[what])))


def named(
    animals: dict[str, list[Path]], block: int, scratch: Path, args: argparse.Namespace
) -> pd.DataFrame:
    """`photo, group` of one third of each animal's photos, and which of `WHAT` is so; the others trained the runs."""
    root = scratch / f"without {block}"
    held_out: list[tuple[str, Path]] = []
    for name, photos in animals.items():
        out = in_block(photos, block)
        held_out += [(name, photo) for photo, is_out in zip(photos, out, strict=True) if is_out]
        link_into(
            root / name, [photo for photo, is_out in zip(photos, out, strict=True) if not is_out]
        )
    overrides = [f"data={args.data}", "refit=all", f"data.root='{root}'", *args.overrides]
    classifiers = {
        name: trained_on(root, scratch / "derived", [f"subject={name}", *overrides]).classifier
        for name in animals
    }
    pets = Pets(classifiers, dict.fromkeys(classifiers, "not recorded"))
    answers = []
    for name, photo in held_out:
        names = pets.judge([pets.read(photo)])[0].names
        so = (name in names, bool(set(names) - {name}), not names)
        answers.append((str(photo), f"{name} {block}", *so))
    return pd.DataFrame(answers, columns=["photo", "group", *WHAT])


if __name__ == "__main__":
    main()
