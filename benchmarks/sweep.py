"""Sweeps: do workers that start together trip over each other, and what does a job cost?

    python benchmarks/sweep.py --rounds 10 --workers 8 --jobs 1,4,8,16

A round is a sweep of as many jobs as workers in an empty folder, without store and caches: it must
end well, with one experiment, all jobs FINISHED, each photo in the features once, and all of them
written before the first job began. Then the wall time of a
serial sweep against its number of jobs, with cached features, in the same folder and order, and of a
run of its own. A line each; the slope is least squares.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from together import draw_album

MODEL = ("model=mobilenet", "model.size_px=64", "data=base")


def main() -> None:
    """Run the rounds, then the jobs; exits with 1 when a round went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--jobs", default="1,4,8,16")
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        album = draw_album(Path(folder) / "album")
        for number in range(args.rounds):
            place = Path(folder) / f"round{number}"
            shutil.copytree(album, place / "album")
            faults, seconds = together(place, args.workers)
            print(f"round {number}: {'; '.join(faults) or 'fine'}, {seconds:.1f} s", flush=True)
            wrong += bool(faults)
        print(f"{wrong} of {args.rounds} rounds of {args.workers} workers went wrong", flush=True)
        line(Path(folder), [int(n) for n in args.jobs.split(",")])
    sys.exit(wrong > 0)


def train(folder: Path, *words: str) -> tuple[float, str]:
    """Wall time of a training or a sweep in the folder, and what it said."""
    folder.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-m", "ismila.train", *words, *MODEL]
    started = time.perf_counter()
    said = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    errors = said.stderr.splitlines()
    is_fine = said.returncode == 0 and "Traceback" not in said.stderr
    return seconds, "" if is_fine else f"exit {said.returncode}: {' | '.join(errors[-5:])}"


def strengths(n: int) -> str:
    """`n` values of the head's C: as many jobs."""
    return "model.C=" + ",".join(f"{0.01 * 1.3**at:.4g}" for at in range(n))


def together(folder: Path, workers: int) -> tuple[list[str], float]:
    """What is wrong after a sweep by workers that start on nothing, and its wall time."""
    joblib = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}")
    seconds, fault = train(folder, "-m", strengths(workers), "data.root=album", *joblib)
    with closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as db:
        statuses = Counter(status for (status,) in db.execute("SELECT status FROM runs"))
        subjects = db.execute("SELECT count(*) FROM experiments WHERE name = 'mila'").fetchone()[0]
        first_ms = db.execute(
            "SELECT min(start_time) FROM runs JOIN tags USING (run_uuid) WHERE key = 'model'"
        ).fetchone()[0]
    photos = len(list((folder / "album").glob("*/*.jpg")))
    shards = list((folder / "album/.ismila/features").rglob("*.npy"))
    rows: Counter[str] = Counter()
    for shard in shards:
        rows[shard.parent.name] += len(np.load(shard))
    late = [shard.name for shard in shards if shard.stat().st_mtime * 1000 > first_ms]
    right = {
        fault: not fault,
        f"runs {dict(statuses)}": statuses == {"FINISHED": workers + 1},
        f"{subjects} experiments": subjects == 1,
        f"rows {dict(rows)} of {photos} photos": set(rows.values()) == {photos},
        f"written after the first job began: {late}": not late,
    }
    return [what for what, is_right in right.items() if not is_right], seconds


def line(folder: Path, counts: list[int]) -> None:
    """Print the wall time of sweeps of so many jobs, and of a run of its own, features cached."""
    root = f"data.root={folder / 'album'}"
    train(folder / "warm", root)
    alone = [train(folder / "warm", root, f"model.C={c}")[0] for c in (0.1, 0.2, 0.3)]
    print(f"a run of its own: {np.median(alone):.1f} s (median of {len(alone)})", flush=True)
    walls = []
    for n in counts:
        seconds, fault = train(folder / f"jobs{n}", "-m", strengths(n), root)
        walls.append(seconds)
        print(f"{n} jobs: {seconds:.1f} s {fault}", flush=True)
    slope, start = np.polyfit(counts, walls, 1)
    far = np.abs(np.polyval((slope, start), counts) - walls).max()
    print(f"{start:.1f} s + {slope:.2f} s a job, at most {far:.1f} s off the line", flush=True)


if __name__ == "__main__":
    main()
