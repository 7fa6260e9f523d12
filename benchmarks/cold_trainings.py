"""Many cold trainings beside each other and beside other work: how does each of them end?

    python benchmarks/cold_trainings.py --trainings 200 --at-once 4 --load 2
    python benchmarks/cold_trainings.py --trainings 4 --at-once 1 --watched

Each takes a small drawn album of its own, nothing cached, in a folder of its own. A line for each that did not end
well, with the signal that killed it or the last line that it said; then a count of each end. `--load` keeps so many
other processes busy meanwhile. `--watched` preloads `tests/cli/environ_race.c`, which makes it certain that threads
meet in the environment where they can, and counts who met whom. PYTHONPATH chooses the code: before the photos were
read by a process of their own, one of some 200 trainings crashed, and of those that are watched about half.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from together import draw_album

RACE = Path(__file__).parents[1] / "tests/cli/environ_race.c"
PAIR = re.compile(r"\d+ (\w+ \w+) in \d+ \[.*\] while (\w+ \w+) in \d+ \[(?:[^\]]*? < )?([\w.-]+)")
BUSY = "while True: sum(range(1_000_000))"
LONGEST_S = 900


def main() -> None:
    """Run the trainings; exits with 1 when one of them did not end well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trainings", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--load", type=int, default=0, help="other processes that are busy")
    parser.add_argument("--watched", action="store_true", help="also who meets in the environment")
    parser.add_argument("overrides", nargs="*", default=["data=strangers"])
    args = parser.parse_args()
    ends: Counter[str] = Counter()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, busy(args.load):
        scratch = Path(folder)
        album = draw_album(scratch / "album")
        watching = watched_by(scratch) if args.watched else {}
        with ThreadPoolExecutor(args.at_once) as pool:
            trainings = [
                pool.submit(train, scratch / str(number), album, args.overrides, watching)
                for number in range(args.trainings)
            ]
            for number, training in enumerate(trainings):
                end = training.result()
                ends[end] += 1
                if end != "well":
                    print(f"training {number} ended: {end}", flush=True)
        for pair, count in Counter(met(scratch)).most_common():
            print(f"met {count} times: {pair}")
    counts = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    seconds = (time.perf_counter() - started) / args.trainings
    print(f"{args.trainings} cold trainings ended: {counts} ({seconds:.1f} s each)")
    sys.exit(ends["well"] < args.trainings)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other work, which ends with the block."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def watched_by(scratch: Path) -> dict[str, str]:
    """The variables with which a process is watched."""
    library = scratch / "environ_race.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, RACE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "ENVIRON_RACE_LOG": str(scratch / "race.log")}


def train(folder: Path, album: Path, overrides: list[str], watching: dict[str, str]) -> str:
    """One training on a copy of the album; how it ended."""
    shutil.copytree(album, folder / "album")
    command = [sys.executable, "-m", "ismila.train", "data.root=album", *overrides]
    known = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    said = subprocess.run(
        command,
        cwd=folder,
        env=known | watching,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    shutil.rmtree(folder)
    if said.returncode == 0:
        return "well"
    if said.returncode < 0:
        return signal.Signals(-said.returncode).name
    return f"exit {said.returncode}, {said.stderr.strip().splitlines()[-1]}"


def met(scratch: Path) -> list[str]:
    """Who changed the environment while who read it, and in which library."""
    log = scratch / "race.log"
    lines = log.read_text().splitlines() if log.exists() else []
    pairs = [PAIR.match(line) for line in lines]
    return [f"{pair[1]} while {pair[2]} ({pair[3]})" for pair in pairs if pair]


if __name__ == "__main__":
    main()
