"""Sweeps that are harmed in the middle: do they say what was not done, and does the same command do it?

    python benchmarks/sweep_faults.py --rounds 3 ray-worker ray-head submitit-worker

Each round is a sweep in a folder of its own, harmed as soon as one job is done and
another at work. Asked of it: the exit code, a line that says why, no traceback, no process that
lives on; and of the same command afterwards: exit 0, and each job finished exactly once. A line each.
`postgres` needs Debian's postgresql.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
from together import draw_album

from ismila.runs.database import is_whole

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

MODEL = ("model=mobilenet", "model.size_px=64", "data=base")
SWEPT = ("-m", "data.root=album")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
RAY = ("hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2")
SUBMITIT = ("hydra/launcher=submitit_local",)
MARK = "ISMILA_FAULTS"
"""An environment variable that tells a round's processes from all others."""
LONGEST_S = 600


@dataclass
class Round:
    """A sweep, and where it runs."""

    folder: Path
    words: tuple[str, ...]
    jobs: int
    store: str = ""
    env: dict[str, str] = field(default_factory=dict)
    session: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """The sweep as a process group of its own, as a terminal starts it."""
        known = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", MARK)}
        seeds = f"seed={','.join(map(str, range(self.jobs)))}"
        command = [sys.executable, "-m", "ismila.train", *SWEPT, *MODEL, seeds, *self.words]
        self.session = subprocess.Popen(
            command,
            cwd=self.folder,
            env=known | self.env | {MARK: self.folder.name},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def end(self) -> tuple[int, str, str]:
        """Exit code, and what it said on stdout and on stderr."""
        assert self.session
        out, err = self.session.communicate(timeout=LONGEST_S)
        return self.session.returncode, out, err

    def runs(self) -> list[mlflow.entities.Run]:
        """The sweep's jobs that have begun."""
        file = self.folder / "mlruns/mlflow.db"
        if not self.store and not is_whole(file):  # MLflow would make it, beside the sweep
            return []
        client = mlflow.MlflowClient(self.store or f"sqlite:///{file}")
        experiment = client.get_experiment_by_name("mila")
        found = client.search_runs([experiment.experiment_id]) if experiment else []
        return [run for run in found if "model" in run.data.tags]

    def wait_for_work(self) -> str:
        """The process that is at a job, as soon as another job is done."""
        end = time.monotonic() + LONGEST_S
        while time.monotonic() < end and self.session and self.session.poll() is None:
            with suppress(Exception):  # the store is being made
                runs = self.runs()
                going = [run for run in runs if run.info.status == "RUNNING"]
                if going and any(run.info.status == "FINISHED" for run in runs):
                    return str(going[0].data.tags["process"].split("-")[0])
            time.sleep(0.2)
        raise TimeoutError(f"{self.folder.name}: no job at work: {self.end()}")

    def processes(self) -> list[int]:
        """What still lives of all that the round has started."""
        marked = f"{MARK}={self.folder.name}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if marked in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found


Harm = Callable[[Round], None]


@dataclass(frozen=True)
class Fault:
    """A way to harm a sweep.

    Attributes:
        code: the exit code to expect.
        said: what stderr must hold.
    """

    words: tuple[str, ...]
    harm: Harm
    code: int
    said: str


def kill_worker(sweep: Round) -> None:
    """SIGKILL for the process that is at a job."""
    os.kill(int(sweep.wait_for_work()), signal.SIGKILL)


def kill_head(sweep: Round) -> None:
    """SIGKILL for Ray's head: its server and the node's daemon."""
    sweep.wait_for_work()
    for process in sweep.processes():
        with suppress(OSError):
            name = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0]
            if name.endswith((b"/gcs_server", b"/raylet")):
                os.kill(process, signal.SIGKILL)


def press_ctrl_c(sweep: Round) -> None:
    """SIGINT for the whole group, as a terminal sends it."""
    sweep.wait_for_work()
    assert sweep.session
    os.killpg(sweep.session.pid, signal.SIGINT)


NOT_DONE = "not done: seed="
STOPPED = "stopped; the same command goes on"
FAULTS = {
    "joblib-worker": Fault(JOBLIB, kill_worker, 1, NOT_DONE),
    "ray-worker": Fault(
        (*RAY, "hydra.launcher.ray.remote.max_retries=0"), kill_worker, 1, NOT_DONE
    ),
    "ray-worker-again": Fault(RAY, kill_worker, 0, ""),
    "ray-head": Fault(RAY, kill_head, 1, NOT_DONE),
    "submitit-worker": Fault(SUBMITIT, kill_worker, 1, NOT_DONE),
    "ctrl-c-joblib": Fault(JOBLIB, press_ctrl_c, 130, STOPPED),
    "ctrl-c-ray": Fault(RAY, press_ctrl_c, 130, STOPPED),
    "ctrl-c-submitit": Fault(SUBMITIT, press_ctrl_c, 130, STOPPED),
    "postgres": Fault(JOBLIB, lambda sweep: None, 0, ""),
}


@contextmanager
def served(sweep: Round, away_s: float) -> Iterator[Harm]:
    """A tracking server on PostgreSQL for the sweep; yields what stops its database for a while."""
    from runs.test_outbox import Database, Server

    database = Database()
    server = Server(database, sweep.folder)

    def stop(harmed: Round) -> None:
        harmed.wait_for_work()
        database.stop()
        time.sleep(away_s)
        database.start()

    sweep.store = server.uri
    sweep.words = (*sweep.words, "tracking=server", f"tracking.uri={server.uri}")
    try:
        yield stop
    finally:
        server.stop()
        database.delete()


def faults_of(sweep: Round, fault: Fault, away_s: float) -> list[str]:
    """Harm the sweep, run the same command again; what was not as it should be."""
    with ExitStack() as stack:
        harm = fault.harm
        if fault is FAULTS["postgres"]:
            harm = stack.enter_context(served(sweep, away_s))
        sweep.start()
        harm(sweep)
        code, out, err = sweep.end()
        end = time.monotonic() + 15  # a head that was killed leaves Ray's own daemons to notice
        while (left := sweep.processes()) and time.monotonic() < end:
            time.sleep(0.5)
        for process in left:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        sweep.start()
        again, _, err_again = sweep.end()
        done = [run for run in sweep.runs() if run.info.status == "FINISHED"]
        seeds = Counter(run.data.params["seed"] for run in done)
    tail = " | ".join(err.splitlines()[-4:])
    right = {
        f"exit {code} where {fault.code} was expected: {tail}": code == fault.code,
        f"stderr lacks '{fault.said}': {tail}": fault.said in err,
        f"a traceback: {err[-1500:]}": "Traceback" not in err + out,
        f"{len(left)} processes live on": not left,
        f"the same command ends with {again}: {err_again[-300:]}": again == 0,
        f"finished jobs {dict(seeds)}": seeds == {str(n): 1 for n in range(sweep.jobs)},
    }
    return [what for what, is_right in right.items() if not is_right]


def main() -> None:
    """Run the rounds; exits with 1 when one went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(FAULTS)}; all where none is named")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--away", type=float, default=20, help="seconds without PostgreSQL")
    args = parser.parse_args()
    # a shell starts what it runs in the background with SIGINT ignored, and processes inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        album = draw_album(Path(folder) / "album")
        for kind in args.kinds or FAULTS:
            for number in range(args.rounds):
                place = Path(folder) / f"{kind}-{number}"
                shutil.copytree(album, place / "album")
                started = time.monotonic()
                found = faults_of(
                    Round(place, FAULTS[kind].words, args.jobs), FAULTS[kind], args.away
                )
                seconds = time.monotonic() - started
                line = "; ".join(found) or "fine"
                print(f"{kind} {number}: {line} ({seconds:.0f} s)", flush=True)
                wrong += bool(found)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
