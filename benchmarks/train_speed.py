"""How far is a run from the least it could take? Prints ratios measured in one go on this machine.

    .venv/bin/python benchmarks/train_speed.py ALBUM [--repeats 3]

`floor`: bare imports of torch, Lightning and MLflow, plus one plain pass of decode + detect + cut out + backbone over
the same photos in onnxruntime. `cold`: `model=reid` from process start to recorded run, nothing cached. `warm`: the
same command again, features cached, against the imports alone. Rounds alternate so that a drifting machine drifts for
all.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = "import torch, pytorch_lightning, mlflow"
PLAIN_PASS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
import numpy as np, onnxruntime
from ismila.vision.animals import bundled_detector
from ismila.vision.encoders import CHUNK
from ismila.vision.views import Viewer
from ismila.vision.weights import BOTH
from ismila.photos.images import ImageSpec
viewer = Viewer(ImageSpec(256), bundled_detector())
session = onnxruntime.InferenceSession(str(BOTH), providers=["CPUExecutionProvider"])
paths = sorted(p for p in Path(sys.argv[1]).rglob("*.jpg") if p.is_file() and ".ismila" not in p.parts)
with ThreadPoolExecutor(2) as pool:
    images = (image for views in pool.map(viewer.read, paths) for image in views.images)
    while some := list(islice(images, CHUNK)):
        batch = np.stack(some) / np.float32(127.5) - np.float32(1)
        session.run(["features"], {"images": batch.transpose(0, 3, 1, 2)})
"""


def seconds(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("album", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rows: dict[str, list[float]] = {"imports": [], "pass": [], "cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as scratch:
        album, work = Path(scratch, "album"), Path(scratch, "work")
        shutil.copytree(args.album, album, ignore=shutil.ignore_patterns(".ismila"))
        train = [
            sys.executable,
            "-m",
            "ismila.train",
            "model=reid",
            "data=pets",
            f"data.root={album}",
        ]
        for _ in range(args.repeats):
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(album / ".ismila", ignore_errors=True)
            work.mkdir()
            rows["imports"].append(seconds([sys.executable, "-c", IMPORTS], work))
            rows["pass"].append(seconds([sys.executable, "-c", PLAIN_PASS, str(album)], work))
            rows["cold"].append(seconds(train, work))
            rows["warm"].append(seconds(train, work))
    for name, values in rows.items():
        print(
            f"{name:8} median {statistics.median(values):6.2f} s   ({min(values):.2f} to {max(values):.2f})"
        )
    cold = [
        c / (i + p) for c, i, p in zip(rows["cold"], rows["imports"], rows["pass"], strict=True)
    ]
    warm = [w / i for w, i in zip(rows["warm"], rows["imports"], strict=True)]
    print(f"cold run / (imports + pass): median {statistics.median(cold):.2f}   (aim: at most 1.3)")
    print(
        f"warm run / imports:          median {statistics.median(warm):.2f}   (aim: at most 1.15)"
    )
    print(
        f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    main()
