"""How well one real animal is told from all others: each in turn is the subject, a third of its photos held out.

    python benchmarks/individuals.py FOLDER [--data strangers] [--blocks 3] [--halves] [--onto THINGS] [OVERRIDE ...]

FOLDER holds a folder of photos for each animal. Photos that follow each other by name are often of one occasion, so
that whole thirds of neighbours are held out. The subject's other photos train, with what the variant adds; nothing
else of FOLDER does. What is said of the held-out third, of the other animals, and of the held-out half of the
strangers, at the threshold that the run chose. The 95 % intervals count each such block of neighbours as one occasion,
and a photo that several heads are asked about once.

How photos of one animal differ was learned from the very animals of shared/individuals. With --halves every second
animal says so for the others, which are asked about among themselves: nobody is asked about who said anything. With
--onto the held-out photos are also laid into a random photo of THINGS, at a half, a third, a quarter of its height of
480 px.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from detector_recall import of_height, pasted
from hydra import compose, initialize_config_dir
from PIL import Image

import ismila
from ismila.evidence.intervals import mean_interval
from ismila.evidence.metrics import taken_for_subject
from ismila.learning import linear
from ismila.learning.training import read_photos, train
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.images import open_photo
from ismila.photos.index import usable
from ismila.settings import RunSettings, register, settings_of
from ismila.vision.classifier import Classifier

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from make_individuals import differences_in

BLOCKS = 3
AWAY = (2, 3, 4)
HEIGHT_PX = 480


def main() -> None:
    """Print a line an animal and block, then the sums."""
    parser = parser_of(__doc__)
    parser.add_argument("--halves", action="store_true", help="of the animals: see above")
    parser.add_argument("--onto", type=Path, help="photos without animals: see above")
    args = parser.parse_args()
    register()
    parts = parts_of(args)
    asked_for = ["found", "others taken", "strangers taken"]
    if args.onto:
        asked_for += [f"found at 1/{away} of the height" for away in AWAY]
    answers = []
    with tempfile.TemporaryDirectory() as scratch:
        for at, asked in enumerate(parts):
            with learned_from(parts[1 - at], args) if args.halves else nullcontext():
                answers += of_each(asked, Path(scratch), args)
    for at, what in enumerate(asked_for):
        print(told(what, pd.concat(of_all[at] for of_all in answers)))


def parser_of(doc: str) -> argparse.ArgumentParser:
    """What all who ask about a folder of animals take."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="strangers")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="held out in turn, at most 3")
    parser.add_argument("overrides", nargs="*")
    return parser


def parts_of(args: argparse.Namespace) -> list[dict[str, list[Path]]]:
    """The photos of each animal; with --halves every second animal apart."""
    photos = {path.name: sorted(path.glob("*.jpg")) for path in sorted(args.folder.iterdir())}
    animals = [(name, of_one) for name, of_one in photos.items() if of_one]
    return [dict(animals[at::2]) for at in range(2)] if args.halves else [dict(animals)]


def told(what: str, answers: pd.DataFrame) -> str:
    """A share with its interval, of `photo, group, taken`."""
    photos = answers.groupby("photo").agg(
        share=("taken", "mean"), heads=("taken", "size"), group=("group", "first")
    )
    values = photos["share"].to_numpy(float)
    low, high = mean_interval(values, photos["heads"].to_numpy(float), photos["group"].to_numpy())
    hits = int(answers["taken"].sum())
    return f"{what}: {hits}/{len(answers)} = {hits / len(answers):.4f} ({low:.4f} to {high:.4f})"


def in_block(photos: list[Path], block: int) -> np.ndarray:
    """`[N]`: which of an animal's photos are held out, neighbours by name."""
    return np.arange(len(photos)) * BLOCKS // len(photos) == block


def link_into(folder: Path, photos: list[Path]) -> None:
    """The photos that train, where an album has them."""
    folder.mkdir(parents=True)
    for photo in photos:
        (folder / photo.name).symlink_to(photo.resolve())


def learned_from(animals: dict[str, list[Path]], args: argparse.Namespace):
    """Meanwhile these animals say how photos of one animal differ, instead of those of the package."""
    folders = [photos[0].parent for photos in animals.values()]
    found, _ = differences_in(folders, settings_for(args.overrides).model)
    return patch.object(linear, "differences_of", lambda made_by: found)


def of_each(
    animals: dict[str, list[Path]], scratch: Path, args: argparse.Namespace
) -> list[list[pd.DataFrame]]:
    """What `measured` gives of each animal and block."""
    answers = []
    for name, photos in animals.items():
        for block in range(args.blocks):
            tables = measured(name, animals, in_block(photos, block), scratch, args)
            answers.append(tables)
            counts = (f"{table['taken'].sum()}/{len(table)}" for table in tables)
            print(name, block, *counts, flush=True)
    return answers


def measured(
    name: str,
    animals: dict[str, list[Path]],
    held_out: np.ndarray,
    scratch: Path,
    args: argparse.Namespace,
) -> list[pd.DataFrame]:
    """Which of its held-out photos, of the other animals', of strangers, of its own from afar are taken for the animal:
    `photo, group, taken`."""
    photos = np.array(animals[name], object)
    root = scratch / f"{name} without {np.flatnonzero(held_out)[0]}"
    link_into(root / name, list(photos[~held_out]))
    overrides = [f"subject={name}", f"data={args.data}", "refit=all", f"data.root='{root}'"]
    trained = trained_on(root, scratch / "derived", [*overrides, *args.overrides])
    classifier = trained.classifier
    others = [path for other, paths in animals.items() if other != name for path in paths]
    own = list(photos[held_out])
    group = {
        path: f"{other} {block}"
        for other, paths in animals.items()
        for block in range(BLOCKS)
        for path in np.array(paths, object)[in_block(paths, block)]
    }
    tables = [taken(classifier, own, group), taken(classifier, others, group)]
    tables.append(strangers_taken(trained.strangers))
    if args.onto:
        things = sorted(args.onto.glob("*.jpg"))
        tables += [taken(classifier, own, group, (away, things)) for away in AWAY]
    return tables


def strangers_taken(strangers: pd.DataFrame) -> pd.DataFrame:
    """As `taken`, of the animals among them, each an occasion of its own; every run has them in the same order."""
    animals = (strangers["kind"] != "things").to_numpy()
    number = np.flatnonzero(animals)
    return pd.DataFrame(
        {"photo": number, "group": number, "taken": taken_for_subject(strangers)[animals]}
    )


def taken(
    classifier: Classifier,
    paths: list[Path],
    group: dict[Path, str],
    afar: tuple[int, list[Path]] | None = None,
) -> pd.DataFrame:
    """Which photos are taken for the animal: `photo, group, taken`.

    Args:
        group: the block of neighbours that each photo is of.
        afar: lay each into one of these pictures, at such a part of its height.
    """
    answers = []
    for path in paths:
        photo = open_photo(path, classifier.viewer.decoded_px)
        if afar:
            photo = laid_into(photo, path, *afar)
        judged = classifier.judge([classifier.viewer.views(photo)])[0]
        is_taken = judged.probability >= classifier.threshold
        answers.append((str(path), group[path], bool(is_taken)))
    return pd.DataFrame(answers, columns=["photo", "group", "taken"])


def laid_into(photo: Image.Image, path: Path, away: int, things: list[Path]) -> Image.Image:
    """The same for every classifier."""
    rng = np.random.default_rng([away, zlib.crc32(str(Path(path.parent.name, path.name)).encode())])
    onto = open_photo(things[rng.integers(len(things))], HEIGHT_PX)
    return pasted(photo, of_height(onto, HEIGHT_PX), away, tuple(rng.random(2)))[0]


def settings_for(overrides: list[str]) -> RunSettings:
    """What a command line asks for."""
    conf = Path(ismila.__file__).with_name("conf")
    with initialize_config_dir(str(conf), version_base="1.3"):
        return settings_of(compose("train", overrides))


def trained_on(root: Path, derived: Path, overrides: list[str]):
    """What `python -m ismila.train` gives, without recording it."""
    settings = settings_for(overrides)
    album = Album.open(root, settings.subject, derived)
    rows = usable(album.update())
    rows["fold"] = assign_folds(rows, settings.seed)
    return train(read_photos(album, rows, settings), settings)


if __name__ == "__main__":
    main()
