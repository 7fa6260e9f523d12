"""How well one real animal is told from all others: each in turn is the subject, a third of its photos held out.

    python benchmarks/individuals.py FOLDER [--data strangers] [--blocks 3] [--halves] [--onto THINGS] [OVERRIDE ...]

FOLDER holds a folder of photos for each animal. Photos that follow each other by name are often of one occasion, so
that whole thirds of neighbours are held out. The subject's other photos train, with what the variant adds; nothing
else of FOLDER does. What is said of the held-out third, of the other animals, and of the held-out half of the
strangers, at the threshold that the run chose.

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
from detector_recall import of_height, pasted
from hydra import compose, initialize_config_dir
from PIL import Image

import ismila
from ismila.evidence.metrics import stranger_rates, wilson
from ismila.learning import linear
from ismila.learning.classifier import Classifier
from ismila.learning.training import train
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.images import open_photo
from ismila.photos.index import usable
from ismila.settings import RunSettings, register, settings_of

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
    sums = np.zeros((len(asked_for), 2), int)
    with tempfile.TemporaryDirectory() as scratch:
        for at, asked in enumerate(parts):
            with learned_from(parts[1 - at], args) if args.halves else nullcontext():
                sums += of_each(asked, Path(scratch), args)
    for what, (hits, n) in zip(asked_for, sums, strict=True):
        print(told(what, int(hits), int(n)))


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


def told(what: str, hits: int, n: int) -> str:
    """A share with its interval."""
    low, high = wilson(hits, n)
    return f"{what}: {hits}/{n} = {hits / n:.4f} ({low:.4f} to {high:.4f})"


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


def of_each(animals: dict[str, list[Path]], scratch: Path, args: argparse.Namespace) -> np.ndarray:
    """The sums of `measured` over the animals and blocks."""
    sums = 0
    for name, photos in animals.items():
        for block in range(args.blocks):
            counts = measured(name, animals, in_block(photos, block), scratch, args)
            sums = sums + counts
            print(name, block, *(f"{hits}/{n}" for hits, n in counts), flush=True)
    return sums


def measured(
    name: str,
    animals: dict[str, list[Path]],
    held_out: np.ndarray,
    scratch: Path,
    args: argparse.Namespace,
) -> np.ndarray:
    """(taken for the animal, n) of its held-out photos, of the other animals', of strangers, of its own from afar."""
    photos = np.array(animals[name], object)
    root = scratch / f"{name} without {np.flatnonzero(held_out)[0]}"
    link_into(root / name, list(photos[~held_out]))
    overrides = [f"subject={name}", f"data={args.data}", "refit=all", f"data.root='{root}'"]
    trained = trained_on(root, scratch / "derived", [*overrides, *args.overrides])
    classifier = trained.classifier
    others = [path for other, paths in animals.items() if other != name for path in paths]
    own = list(photos[held_out])
    strangers = stranger_rates(trained.strangers)["fpr_strangers"]
    counts = [taken(classifier, own), taken(classifier, others), strangers]
    if args.onto:
        things = sorted(args.onto.glob("*.jpg"))
        counts += [taken(classifier, own, (away, things)) for away in AWAY]
    return np.array(counts)


def taken(
    classifier: Classifier, paths: list[Path], afar: tuple[int, list[Path]] | None = None
) -> tuple[int, int]:
    """How many photos are taken for the animal, and how many were asked about.

    Args:
        afar: lay each into one of these pictures, at such a part of its height.
    """
    hits = 0
    for path in paths:
        photo = open_photo(path, classifier.viewer.decoded_px)
        if afar:
            photo = laid_into(photo, path, *afar)
        judged = classifier.judge([classifier.viewer.views(photo)])[0]
        hits += judged.probability >= classifier.threshold
    return hits, len(paths)


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
    return train(album, rows, settings)


if __name__ == "__main__":
    main()
