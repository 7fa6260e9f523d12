"""Make src/ismila/vision/weights/strangers_*.npz: what the bundled backbones make of photos of strangers.

    python tools/make_strangers.py STRANGERS THINGS [MODEL ...]

STRANGERS holds `dog/` and `cat/` with photos of animals that nobody who uses ismila has; THINGS holds photos without
animals. Where animals are cut out, a third of those that may be trained on are there from afar, too. Only features
go into the package. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

import ismila
from ismila.cli.progress import progress
from ismila.learning.features import Features
from ismila.learning.inputs import encoder_of, viewer_of
from ismila.learning.strangers import Strangers, pack
from ismila.photos.images import FAR_VIEW
from ismila.settings import ModelSettings, register, settings_of
from ismila.vision.weights import STRANGERS

MODELS = ("reid", "mobilenet")
CONF = Path(ismila.__file__).with_name("conf")


def photos_in(folder: Path) -> list[tuple[str, Path]]:
    """(sha256, file) in the order of their content; a photo that is there twice counts once."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    return sorted({hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files}.items())


def model_called(name: str) -> ModelSettings:
    """The settings of `model=NAME` as its config has them."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return settings_of(compose("train", [f"model={name}"])).model


def strangers_in(folders: dict[str, Path], model: ModelSettings) -> tuple[Strangers, str]:
    """Rows of all photos, and what made them."""
    cuts_out = viewer_of(model).detector is not None
    parts = []
    far_parts = []
    before = 0
    with tempfile.TemporaryDirectory() as derived:
        features = Features(Path(derived), viewer_of(model), encoder_of(model))
        for kind, folder in folders.items():
            photos = photos_in(folder)
            far = {
                sha for sha, _ in photos if cuts_out and kind != "things" and int(sha, 16) % 6 == 0
            }
            gone = features.fill(photos, 1, progress, far)
            shas = [sha for sha, _ in photos if sha not in gone]
            x, photo = features.all_rows(shas)
            held_out = np.array([int(sha, 16) % 2 == 1 for sha in shas])
            # of a photo the surest animal: the others are more of the same
            seen = [at for at, sha in enumerate(shas) if sha in far]
            far_of = before + np.searchsorted(photo, seen)
            far_parts.append((features.rows([shas[at] for at in seen], FAR_VIEW), far_of))
            before += len(x)
            parts.append((x, photo, np.array([kind] * len(photo), object), held_out[photo]))
    starts = np.cumsum([0, *(part[1].max() + 1 for part in parts)])
    photo = np.concatenate([part[1] + start for part, start in zip(parts, starts, strict=False)])
    columns = [np.concatenate([part[at] for part in parts]) for at in (0, 2, 3)]
    far, far_of = (np.concatenate([part[at] for part in far_parts]) for at in range(2))
    return Strangers(columns[0], photo, columns[1], columns[2], far, far_of), features.recipe


def main(animals: Path, things: Path, models: Sequence[str]) -> None:
    """Write a file for each model."""
    folders = {"dog": animals / "dog", "cat": animals / "cat", "things": things}
    for name in models:
        strangers, made_by = strangers_in(folders, model_called(name))
        path = STRANGERS.with_name(STRANGERS.name.replace("*", name))
        np.savez_compressed(path, **pack(strangers, made_by))
        n = len(np.unique(strangers.photo))
        print(f"{path.name}: {len(strangers.x)} rows of {n} photos, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or MODELS)
