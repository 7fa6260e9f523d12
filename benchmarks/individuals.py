"""How well one real animal is told from all others: each in turn is the subject, a third of its photos held out.

    python benchmarks/individuals.py FOLDER [--data strangers] [--blocks 3] [OVERRIDE ...]

FOLDER holds a folder of photos for each animal. Photos that follow each other by name are often of one occasion, so
that whole thirds of neighbours are held out. The subject's other photos train, with what the variant adds; nothing
else of FOLDER does. What is said of the held-out third, of the other animals, and of the held-out half of the
strangers, at the threshold that the run chose.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

import ismila
from ismila.evidence.metrics import stranger_rates, wilson
from ismila.learning.training import train
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import usable
from ismila.settings import RunSettings, register, settings_of

BLOCKS = 3


def main() -> None:
    """Print a line an animal and block, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="strangers")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="held out in turn, at most 3")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    register()
    animals = {path.name: sorted(path.glob("*.jpg")) for path in sorted(args.folder.iterdir())}
    animals = {name: photos for name, photos in animals.items() if photos}
    sums = np.zeros((3, 2), int)
    with tempfile.TemporaryDirectory() as scratch:
        for name, photos in animals.items():
            for block in range(args.blocks):
                held_out = np.arange(len(photos)) * BLOCKS // len(photos) == block
                counts = measured(name, animals, held_out, Path(scratch), args)
                sums += counts
                print(name, block, *(f"{hits}/{n}" for hits, n in counts), flush=True)
    for what, (hits, n) in zip(("found", "others taken", "strangers taken"), sums, strict=True):
        low, high = wilson(hits, n)
        print(f"{what}: {hits}/{n} = {hits / n:.4f} ({low:.4f} to {high:.4f})")


def measured(
    name: str,
    animals: dict[str, list[Path]],
    held_out: np.ndarray,
    scratch: Path,
    args: argparse.Namespace,
) -> np.ndarray:
    """(taken for the animal, n) of its held-out photos, of the other animals', of strangers."""
    photos = np.array(animals[name], object)
    root = scratch / f"{name} without {np.flatnonzero(held_out)[0]}"
    for photo in photos[~held_out]:
        link = root / name / photo.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photo)
    overrides = [f"subject={name}", f"data={args.data}", "refit=all", f"data.root='{root}'"]
    trained = trained_on(root, scratch / "derived", [*overrides, *args.overrides])
    classifier = trained.classifier
    others = [path for other, paths in animals.items() if other != name for path in paths]
    counts = []
    for asked in (list(photos[held_out]), others):
        judged = [classifier.judge([classifier.viewer.read(path)])[0] for path in asked]
        taken = [one.probability >= classifier.threshold for one in judged]
        counts.append((sum(taken), len(taken)))
    strangers = stranger_rates(trained.strangers)["fpr_strangers"]
    return np.array([*counts, strangers])


def trained_on(root: Path, derived: Path, overrides: list[str]):
    """What `python -m ismila.train` gives, without recording it."""
    conf = Path(ismila.__file__).with_name("conf")
    with initialize_config_dir(str(conf), version_base="1.3"):
        settings: RunSettings = settings_of(compose("train", overrides))
    album = Album.open(root, settings.subject, derived)
    rows = usable(album.update())
    rows["fold"] = assign_folds(rows, settings.seed)
    return train(album, rows, settings)


if __name__ == "__main__":
    main()
