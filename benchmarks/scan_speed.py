"""How fast is `ismila scan` on a large library, how much memory does it take, and does a killed scan lose anything?

    .venv/bin/python benchmarks/scan_speed.py ALBUM [--photos 20000] [--distinct 300] [--killed 2000]

Trains on ALBUM, makes JPEGs of 12 megapixels and hard-links them into a library. `floor`: decoding alone (Pillow at
the scale libjpeg offers, on all cores) plus the backbone alone (onnxruntime, all cores), measured on the same files
before and after the scan. Then a smaller library is scanned whole, and again with SIGKILL after random times until it
is through: both tables must be the same.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from ismila.vision.classifier import Classifier
from ismila.vision.encoders import BATCH

SIZE = (4000, 3000)
IN_FOLDER = 500


def make_photos(folder: Path, count: int) -> list[Path]:
    """Smooth colours with fine grain: about 2.5 MB each, as a phone's photos."""
    folder.mkdir(parents=True)

    def make(number: int) -> Path:
        rng = np.random.default_rng(number)
        smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
            SIZE, Image.Resampling.BICUBIC
        )
        grain = Image.effect_noise(SIZE, 24).convert("RGB")
        path = folder / f"{number}.jpg"
        Image.blend(smooth, grain, 0.3).save(path, quality=88)
        return path

    with ThreadPoolExecutor() as pool:
        return list(pool.map(make, range(count)))


def link_library(root: Path, photos: list[Path], count: int) -> None:
    """`count` hard links to the photos in folders of some hundred."""
    for number in range(count):
        path = root / f"{number // IN_FOLDER:03}" / f"IMG_{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(photos[number % len(photos)], path)


def floor_s(photos: list[Path], classifier: Classifier) -> tuple[float, float]:
    """Seconds a photo of decoding and detecting alone, and of the backbone alone."""
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        views = list(pool.map(classifier.viewer.read, photos))
    decoded = time.perf_counter()
    for at in range(0, len(views), BATCH):
        classifier.judge(views[at : at + BATCH])
    return (decoded - started) / len(photos), (time.perf_counter() - decoded) / len(photos)


def scan(work: Path, library: Path, state: str, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "ismila.cli",
        "scan",
        str(library),
        "--state",
        str(work / state),
        *more,
    ]


def peak_mib(process: int) -> float:
    """The most memory that a process has held; 0 when it is gone."""
    with suppress(OSError, IndexError):
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    return 0.0


def timed(command: list[str], work: Path) -> tuple[float, float]:
    """Wall seconds and peak MiB of a command (VmHWM: what `wait4` says would hold this process's own peak, too)."""
    started, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, peak_mib(process.pid))
        time.sleep(0.2)
    assert process.returncode == 0, process.returncode
    return time.perf_counter() - started, peak


def killed(work: Path, library: Path) -> int:
    """Scan with a kill after 7 to 14 s, again and again; how many kills it took."""
    draw, kills = random.Random(0), 0
    while True:
        process = subprocess.Popen(scan(work, library, "killed.sqlite", "--csv", "killed.csv"), cwd=work,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            process.wait(draw.uniform(7, 14))
            return kills
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("album", type=Path)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--distinct", type=int, default=300)
    parser.add_argument("--killed", type=int, default=2_000)
    parser.add_argument("--scratch", type=Path, help="a folder with room for 1 GB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        work = Path(folder)
        train = [
            sys.executable,
            "-m",
            "ismila.train",
            "data=pets",
            f"data.root={args.album.resolve()}",
        ]
        subprocess.run(
            [*train, f"data.cache={work / 'cache'}"],
            cwd=work,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        [classifier_folder] = [
            path.parent for path in work.rglob("classifier.json") if "models" not in path.parts
        ]
        classifier = Classifier.load(classifier_folder)
        photos = make_photos(work / "photos", args.distinct)
        size_mb = sum(path.stat().st_size for path in photos) / len(photos) / 1e6
        print(
            f"{args.photos} links to {len(photos)} photos of {SIZE[0]} x {SIZE[1]} px, {size_mb:.1f} MB each",
            flush=True,
        )
        link_library(work / "library", photos, args.photos)
        before = floor_s(photos, classifier)
        seconds, peak_mib = timed(
            scan(work, work / "library", "whole.sqlite", "--csv", "whole.csv"), work
        )
        after = floor_s(photos, classifier)
        decode, backbone = ((a + b) / 2 for a, b in zip(before, after, strict=True))
        for name, (d, b) in (("before", before), ("after", after)):
            print(
                f"floor {name}: decode {1 / d:.0f}/s, backbone {1 / b:.0f}/s, one after the other {1 / (d + b):.1f}/s"
            )
        rate = args.photos / seconds
        print(f"scan: {seconds:.0f} s, {rate:.1f} photos/s, peak {peak_mib:.0f} MiB")
        print(f"scan / floor: {rate * (decode + backbone):.2f}   (aim: at least 0.85)")
        again, _ = timed(scan(work, work / "library", "whole.sqlite", "--csv", "whole.csv"), work)
        print(f"the same again, all judged: {again:.1f} s")
        link_library(work / "small", photos, args.killed)
        timed(scan(work, work / "small", "small.sqlite", "--csv", "small.csv"), work)
        kills = killed(work, work / "small")
        same = (work / "small.csv").read_text() == (work / "killed.csv").read_text()
        print(f"killed {kills} times: {'the same table' if same else 'ANOTHER TABLE'}")


if __name__ == "__main__":
    main()
