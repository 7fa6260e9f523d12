"""How fast is `ismila scan --ray` beside the plain scan, from one worker to two, and does a killed one lose anything?

    .venv/bin/python benchmarks/scan_ray.py ALBUM [--photos 2000] [--distinct 300] [--killed 500] [--rounds 2]
        [--model reid]

Trains on ALBUM, makes JPEGs of 12 megapixels and hard-links them into a library (`scan_speed.py`). Both scans run one
after the other, in rounds, since other work on the machine comes and goes; what a scan of a single photo takes
(starting Python, MLflow and Ray) is taken off, and said. Then a smaller library is scanned whole, and again with
SIGKILL after random times until it is through: both tables must be the same, to the sixth digit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from scan_speed import link_library, make_photos, scan

WAYS = ["plain, 2", "ray, 2", "ray, 1"]
"""The scan, and how many cores it may use."""


def ray_scan(work: Path, library: Path, state: str, *more: str) -> list[str]:
    return scan(work, library, state, "--ray", *more)


def seconds(command: list[str], work: Path, threads: int) -> float:
    """Of a command that may use so many threads: for Ray so many workers of one."""
    started = time.perf_counter()
    # Ray lets its workers give way to all else (nice 15): nothing on a machine of their own, much beside other work
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "RAY_worker_niceness": "0"}
    subprocess.run(
        command,
        cwd=work,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def measure(
    work: Path, library: Path, one: Path, photos: int, rounds: int, ways: list[str]
) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    starts: dict[str, list[float]] = {name: [] for name in speeds}
    for turn in range(rounds):
        for name, speed in speeds.items():
            command, threads = (scan, 2) if name.startswith("plain") else (ray_scan, 2)
            if name.endswith("1"):
                threads = 1
            start = seconds(command(work, one, f"one{turn}{name}"), work, threads)
            taken = seconds(command(work, library, f"all{turn}{name}"), work, threads) - start
            starts[name].append(start)
            speed.append(photos / taken)
            print(
                f"{name}: {speed[-1]:.1f} photos/s, start {start:.1f} s, load {os.getloadavg()[0]:.1f}"
            )
    for name, far, near in (
        ("ray / plain, two threads each", "ray, 2", "plain, 2"),
        ("two workers / one", "ray, 2", "ray, 1"),
    ):
        if far in speeds and near in speeds:
            ratios = [fast / slow for fast, slow in zip(speeds[far], speeds[near], strict=True)]
            print(f"{name}: {statistics.median(ratios):.2f}")


def killed_and_resumed(work: Path, library: Path) -> None:
    """Kill it again and again until it is through; compare with a scan that nobody killed."""
    options = ("--shard", "50", "--csv")
    subprocess.run(ray_scan(work, library, "whole", *options, "whole.csv"), cwd=work, check=True)
    kills = 0
    while True:
        process = subprocess.Popen(ray_scan(work, library, "killed", *options, "k.csv"), cwd=work)
        try:
            process.wait(random.uniform(8, 20) + 4 * kills)  # Ray alone takes some seconds
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        break
    whole, again = (pd.read_csv(work / name) for name in ("whole.csv", "k.csv"))
    pd.testing.assert_frame_equal(whole, again, rtol=0, atol=2e-6)
    print(f"killed {kills} times: the same table of {len(whole)} photos")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("album", type=Path)
    for name, default in (("photos", 2000), ("distinct", 300), ("killed", 500), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--model", default="reid")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        train = [sys.executable, "-m", "ismila.train", f"data.root={args.album.resolve()}"]
        train += [f"data.cache={work}/cache", f"model={args.model}"]
        subprocess.run(train, cwd=work, check=True)
        drawn = make_photos(work / "drawn", args.distinct)
        for name, count in (("one", 1), ("all", args.photos), ("some", args.killed)):
            link_library(work / name, drawn, count)
        if args.photos:
            measure(work, work / "all", work / "one", args.photos, args.rounds, args.ways)
        if args.killed:
            killed_and_resumed(work, work / "some")


if __name__ == "__main__":
    main()
