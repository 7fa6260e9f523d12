"""Trainings that start together on an empty store, and first runs that are killed: what is left?

    python benchmarks/together.py --rounds 20 --at-once 8 --kills 50

A round starts so many trainings at once in a new folder. Each must end well; the store must then
hold all runs FINISHED in one experiment, the best of them as champion, and no run registered twice.
A kill starts a first run in a new folder, and sends SIGKILL or SIGINT, in turn, at a random moment
of its first seconds (`--within`). The same command must then end well, and leave no run RUNNING.
Neither may leave a file in the system's folder for temporary files. A line each, and a sum.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CACHES = {"torchinductor_root", ".ses"}
"""What torch and its like keep in the system's folder for the next process, killed or not."""
MODEL = ("model=mobilenet", "model.size_px=64", "data=pets")


def main() -> None:
    """Run the rounds and the kills; exits with how many of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--within", type=float, default=5.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        album = draw_album(Path(folder) / "album")
        for number in range(args.rounds):
            faults = start_together(Path(folder) / f"round{number}", album, args.at_once)
            wrong += report(f"round {number}", faults)
        moments = random.Random(args.seed)
        for number in range(args.kills):
            sent = (signal.SIGKILL, signal.SIGINT)[number % 2]
            after_s = moments.uniform(0, args.within)
            faults = kill_first(Path(folder) / f"kill{number}", album, sent, after_s)
            wrong += report(f"{sent.name} after {after_s:.2f} s", faults)
    print(f"{wrong} of {args.rounds} rounds and {args.kills} kills went wrong")
    sys.exit(wrong > 0)


def report(what: str, faults: list[str]) -> bool:
    """Print a line; True when something went wrong."""
    print(f"{what}: {'; '.join(faults) or 'fine'}", flush=True)
    return bool(faults)


def draw_album(root: Path) -> Path:
    """24 photos with an orange blob, 40 without one, of noise else."""
    rng = np.random.default_rng(0)
    for number in range(64):
        photo = Image.fromarray(rng.integers(0, 200, (12, 16, 3), dtype=np.uint8))
        photo = photo.resize((160, 120))
        if number < 24:
            x, y = rng.integers(20, 80), rng.integers(10, 50)
            ImageDraw.Draw(photo).ellipse((x, y, x + 70, y + 60), (250, 140, 20))
        file = root / ("mila" if number < 24 else "not_mila") / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        photo.save(file)
    return root


def start(folder: Path, album: Path, *more: str) -> subprocess.Popen[str]:
    """A training in the folder, as a person starts it, and with a TMPDIR of the folder's own."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    known = {name: v for name, v in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        [sys.executable, "-m", "ismila.train", *MODEL, f"data.root={album}", *more],
        cwd=folder,
        env={**known, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_together(folder: Path, album: Path, n: int) -> list[str]:
    """What is wrong after `n` trainings at once, of different strengths, on an empty store."""
    processes = [start(folder, album, f"model.C={10.0 ** (at - n // 2)}") for at in range(n)]
    faults = [fault for process in processes for fault in faults_of(process, (0,))]
    return faults + faults_in(folder, Counter(FINISHED=n))


def kill_first(folder: Path, album: Path, sent: signal.Signals, after_s: float) -> list[str]:
    """What is wrong after a first run that was stopped at a moment, and a second one."""
    first = start(folder, album)
    time.sleep(after_s)
    first.send_signal(sent)
    stopped = (-signal.SIGKILL,) if sent == signal.SIGKILL else (130,)
    faults = faults_of(first, (*stopped, 0))
    faults += faults_of(start(folder, album), (0,))
    return faults + faults_in(folder)


def faults_of(process: subprocess.Popen[str], expected: tuple[int, ...]) -> list[str]:
    """Of a training that ends; the code, and a traceback if it shows one."""
    errors = process.communicate()[1]
    last = (errors.splitlines() or [""])[-1]
    faults = [] if process.returncode in expected else [f"exit {process.returncode}: {last}"]
    return faults + ([f"traceback: {last}"] if "Traceback" in errors else [])


def faults_in(folder: Path, expected: Counter[str] | None = None) -> list[str]:
    """Of the store in the folder, and of what lies about there."""
    with closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as db:
        statuses = Counter(status for (status,) in db.execute("SELECT status FROM runs"))
        subjects = db.execute("SELECT count(*) FROM experiments WHERE name = 'mila'").fetchone()[0]
        versions = [run for (run,) in db.execute("SELECT run_id FROM model_versions")]
        champion = db.execute(
            "SELECT run_id FROM model_versions JOIN registered_model_aliases USING (name, version)"
        ).fetchall()
        best = db.execute(
            "SELECT run_uuid FROM latest_metrics JOIN runs USING (run_uuid) "
            "WHERE key = 'select_loss' AND status = 'FINISHED' ORDER BY value, start_time"
        ).fetchone()
    lying = [path.name for path in (folder / "mlruns/.mlflow.db.working").iterdir()]
    lying += [path.name for path in (folder / "tmp").iterdir() if path.name not in CACHES]
    right = {
        f"runs {dict(statuses)}": statuses == expected if expected else not statuses["RUNNING"],
        f"{subjects} experiments": subjects == 1,
        f"registered {len(versions)} times, {len(set(versions))} runs": len(versions)
        == len(set(versions)),
        f"champion {champion}, best {best}": champion == [best],
        f"left {lying}": not lying,
    }
    return [what for what, is_right in right.items() if not is_right]


if __name__ == "__main__":
    main()
