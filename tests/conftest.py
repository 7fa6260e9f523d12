"""Draws small photos: nothing is downloaded, nothing is shipped."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def draw_photo(path: Path, seed: int, subject: bool, size=(160, 120)) -> Path:
    """A noisy photo; the subject is a large orange blob."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size), np.int16)
    pixels = (pixels // 2 + rng.integers(0, 40, pixels.shape)).clip(0, 255).astype(np.uint8)
    if subject:
        y, x = np.ogrid[: size[1], : size[0]]
        blob = ((x - rng.integers(50, 110)) / 45) ** 2 + ((y - rng.integers(45, 75)) / 38) ** 2 < 1
        pixels[blob] = (250, 140, 20)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)
    return path


@pytest.fixture(autouse=True)
def own_tracking():
    """`mlflow.set_tracking_uri` also sets an environment variable, which the next test's processes would inherit."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def album(tmp_path):
    """24 photos of the subject, 40 of things, 12 of other animals."""
    root = tmp_path / "album"
    for i in range(24):
        draw_photo(root / f"mila/m{i}.jpg", i, True)
    for i in range(40):
        draw_photo(root / f"not_mila/t{i}.jpg", 1000 + i, False)
    for i in range(12):
        draw_photo(root / f"pets/{'dog' if i % 2 else 'cat'}/p{i}.jpg", 2000 + i, False)
    return root


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with an album and a run; what a test changes in it, it changes back."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    folder = tmp_path_factory.mktemp("served")
    for i in range(24):
        draw_photo(folder / f"album/mila/m{i}.jpg", i, True)
    for i in range(40):
        draw_photo(folder / f"album/not_mila/t{i}.jpg", 1000 + i, False)
    for i in range(8):
        draw_photo(folder / f"album/pets/dog/p{i}.jpg", 2000 + i, False)
    command = [sys.executable, "-m", "ismila.train", "data=pets", "data.root=album"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """A folder with the run as an ONNX file, and what `ismila export` said."""
    to = tmp_path_factory.mktemp("exported")
    command = [sys.executable, "-m", "ismila.cli", "export", "--format", "onnx", "--to", str(to)]
    return to, subprocess.run(command, cwd=trained, check=True, capture_output=True, text=True).stdout
