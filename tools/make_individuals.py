"""Make src/ismila/vision/weights/individuals_*.npz: how photos of one animal differ, as a bundled backbone sees them.

    python tools/make_individuals.py INDIVIDUALS [MODEL ...]

INDIVIDUALS holds a folder of photos for each animal, which nobody who uses ismila has. Each photo counts twice, the
second time a third as large, since an animal far away is few pixels. Photos in which several animals are seen are left
out: which of them it is, nobody says. Only differences of features go into the package. Takes about two minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from make_strangers import model_called, photos_in
from PIL import Image

from ismila.cli.progress import progress
from ismila.learning.features import Features
from ismila.learning.individuals import Differences, differences, pack
from ismila.learning.inputs import encoder_of, viewer_of
from ismila.settings import ModelSettings
from ismila.vision.weights import INDIVIDUALS

MODELS = ("reid",)
SMALLER = 3


def differences_in(animals: Sequence[Path], model: ModelSettings) -> tuple[Differences, str]:
    """Of the photos in folders, one for each animal, and what made them."""
    rows, whose = [], []
    with tempfile.TemporaryDirectory() as scratch:
        features = Features(Path(scratch) / "derived", viewer_of(model), encoder_of(model))
        for number, folder in enumerate(animals):
            smaller = shrunk(folder, Path(scratch) / folder.name)
            photos = photos_in(folder) + photos_in(smaller)
            gone = features.fill(photos, 1, progress)
            x, photo = features.all_rows([sha for sha, _ in photos if sha not in gone])
            alone = np.bincount(photo)[photo] == 1
            rows.append(x[alone])
            whose += [number] * int(alone.sum())
    return differences(np.concatenate(rows), np.array(whose)), features.recipe


def shrunk(folder: Path, to: Path) -> Path:
    """The same photos, a third as large."""
    to.mkdir()
    for _, path in photos_in(folder):
        with Image.open(path) as photo:
            photo.reduce(SMALLER).save(to / f"{path.stem}.png")
    return to


def main(individuals: Path, models: Sequence[str]) -> None:
    """Write a file for each model."""
    animals = sorted(path for path in individuals.iterdir() if path.is_dir())
    for name in models:
        found, made_by = differences_in(animals, model_called(name))
        path = INDIVIDUALS.with_name(INDIVIDUALS.name.replace("*", name))
        np.savez_compressed(path, **pack(found, made_by))
        print(
            f"{path.name}: {len(found.x)} rows of {found.n_animals} animals, {path.stat().st_size:,} bytes"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or MODELS)
