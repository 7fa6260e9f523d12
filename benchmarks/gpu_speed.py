"""Photos per second of every pass, on the CPU and on a GPU, and what the runs of both say.

    python benchmarks/gpu_speed.py ALBUM

Needs a CUDA GPU; a minute and a half for 300 photos on an H200. Prints a row a pass: photos/s, and the ratio to
the CPU's in the same run. Nothing is recorded in MLflow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir

import ismila
from ismila.evidence.metrics import rates, reported
from ismila.learning.closeups import with_shares
from ismila.learning.inputs import encoder_of, viewer_of
from ismila.learning.training import read_photos, train
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import usable
from ismila.settings import RunSettings, register, settings_of
from ismila.vision.encoders import TorchEncoder
from ismila.vision.reading import content_of, decode_ahead

CONF = Path(ismila.__file__).with_name("conf")
BATCH = 64
TRAINED = {
    "cnn": ("model=cnn", "model.epochs=10", "model.patience=99"),
    "fine-tuning": ("model=mobilenet", "model.finetune_blocks=3", "model.finetune_epochs=5"),
}
TRAINERS = {
    "cpu": (),
    "gpu": ("trainer=gpu",),
    "gpu, 16-mixed": ("trainer=gpu", "trainer.precision=16-mixed"),
    "gpu, bf16-mixed": ("trainer=gpu", "trainer.precision=bf16-mixed"),
}


def settings(root: Path, *overrides: str) -> RunSettings:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return settings_of(compose("train", [f"data.root='{root}'", "data=pets", *overrides]))


def seconds(work: Callable[[], object]) -> float:
    """Of the fastest of three, the GPU's queue included."""
    taken = []
    for _ in range(3):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken)


def encoding(model: object, images: np.ndarray) -> None:
    """Both networks over the cut-out animals: onnxruntime, torch, torch on the GPU."""
    bundled = encoder_of(model)
    torch_encoder = TorchEncoder(model, bundled.spec, "cuda")
    parts = [images[at : at + BATCH] for at in range(0, len(images), BATCH)]
    exact = np.concatenate([bundled(part) for part in parts])

    def on_cpu() -> None:
        for part in parts:
            bundled(part)

    base = len(images) / seconds(on_cpu)
    print(f"encode, onnxruntime on the CPU   {base:8.0f} photos/s   1.00")
    network = torch_encoder.network

    def as_a_run_does() -> np.ndarray:
        return np.concatenate([torch_encoder(part) for part in parts])

    away = np.abs(as_a_run_does() - exact).max() / np.abs(exact).max()
    rate = len(images) / seconds(as_a_run_does)
    print(f"encode, as trainer=gpu does it   {rate:8.0f} photos/s {rate / base:6.2f}", end="")
    print(f"   largest difference {away:.1e} of the largest feature")
    for name, dtype in (
        ("tf32", None),
        ("float16", torch.float16),
        ("bfloat16", torch.bfloat16),
    ):

        def on_gpu(dtype: torch.dtype | None = dtype) -> np.ndarray:
            rows = []
            with torch.inference_mode(), torch.autocast("cuda", dtype, enabled=dtype is not None):
                for part in parts:
                    rows.append(network.features(torch.from_numpy(part).cuda()).float().cpu())
            return torch.cat(rows).numpy()

        away = np.abs(on_gpu() - exact).max() / np.abs(exact).max()
        rate = len(images) / seconds(on_gpu)
        print(f"encode, torch on the GPU, {name:<9}{rate:6.0f} photos/s {rate / base:6.2f}", end="")
        print(f"   largest difference {away:.1e} of the largest feature")


def reading(album: Album, rows: object, model: object) -> np.ndarray:
    """Decode, and decode and detect and cut out, in threads as a run does; the cut-out animals."""
    viewer = viewer_of(model)
    photos = album.photos(rows)

    def decode() -> None:
        plain = viewer_of(settings(album.root, "model=pair").model)
        list(decode_ahead(photos, lambda sha, path: plain.read(content_of(sha, path))))

    seen = []

    def detect() -> None:
        seen[:] = decode_ahead(photos, lambda sha, path: viewer.read(content_of(sha, path)))

    rate = len(photos) / seconds(decode)
    print(f"decode                           {rate:8.0f} photos/s")
    rate = len(photos) / seconds(detect)
    print(f"decode, detect, cut out          {rate:8.0f} photos/s")
    return np.stack([views.images[0] for _, views in seen])


def training(album: Album, rows: object, name: str, overrides: tuple[str, ...]) -> None:
    """The same run on each trainer: its time, and what it says of the test fold."""
    base = 0.0
    for trainer, more in TRAINERS.items():
        wanted = settings(album.root, *overrides, *more)
        once = settings(album.root, *overrides, *more, "trainer.max_epochs=1")
        train(read_photos(album, rows, once), once)
        start = time.perf_counter()
        trained = train(read_photos(album, rows, wanted), wanted)
        taken = time.perf_counter() - start
        speed = len(trained.epochs) * int((rows["fold"] == "train").sum()) / taken
        base = base or speed
        said = {
            key: f"{rate.hits}/{rate.n}"
            for key, rate in rates(reported(trained.predictions)).items()
        }
        few = {key: said[key] for key in ("recall", "fpr_things", "fpr_pets")}
        print(
            f"{name:<12} {trainer:<16} {speed:9.0f} photos/s {speed / base:6.2f}  {json.dumps(few)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("album", type=Path)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("gpu_speed.py measures a CUDA GPU, and there is none here")
    print(torch.cuda.get_device_name(), torch.__version__, f"{torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as cache:
        album = Album.open(args.album, "mila", Path(cache))
        index = usable(album.update())
        reid = settings(args.album, "model=reid").model
        images = reading(album, index, reid)
        encoding(reid, images)
        rows = with_shares(album, index)
        rows["fold"] = assign_folds(rows, 0)
        for name, overrides in TRAINED.items():
            training(album, rows, name, overrides)


if __name__ == "__main__":
    main()
