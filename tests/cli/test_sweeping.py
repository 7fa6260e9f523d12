"""Sweeps as a person starts them: what is left out, fails, is stopped, killed, and goes on."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import mlflow
import pytest
from conftest import SMALL, call
from hydra.core.override_parser.overrides_parser import OverridesParser

from ismila.cli.sweeping import combinations, names_of
from ismila.learning import training
from ismila.settings import SettingError


def parsed(*words):
    return OverridesParser.create().parse_overrides(list(words))


def sweep(folder, *words):
    return call(folder, "ismila.train", "-m", *SMALL, *words)


def runs_of(folder):
    """The sweep's run and the runs below it, the oldest first."""
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mila").experiment_id])[::-1]
    [parent] = [run for run in runs if "sweep" in run.data.tags]
    return parent, [run for run in runs if run is not parent]


def test_jobs_are_all_combinations_and_named_by_what_tells_them_apart():
    jobs = combinations(parsed("seed=5", "model=cnn,reid"))
    assert jobs == [("seed=5", "model=cnn"), ("seed=5", "model=reid")]
    assert names_of(jobs) == {jobs[0]: "model=cnn", jobs[1]: "model=reid"}


def test_an_interval_has_no_combinations():
    with pytest.raises(SettingError, match=r"hydra\.sweeper\.trials"):
        combinations(parsed("model.C=interval(0.1, 1)"))


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["data.root=nowhere", "seed=0,1"], "no such folder"),
        (["seed=0,-1"], "seed=-1"),
        (["model=cnn", "data=strangers"], "take model=reid"),
        (["trainer=ddp", "seed=0,1"], "expected auto in a sweep"),
    ],
)
def test_what_can_be_known_before_is_said_before_any_job(words, remedy, enough, tmp_path):
    said = call(tmp_path, "ismila.train", "-m", f"data.root={enough}", *words)
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("error: ")
    assert remedy in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "mlruns/artifacts").exists()


@pytest.mark.slow
def test_a_job_that_fails_is_recorded_the_others_go_on_and_it_alone_is_tried_again(
    enough, tmp_path
):
    words = ["data=base,strangers", "model.hidden=0,16", f"data.root={enough}", "trainer=smoke"]
    said = sweep(tmp_path, *words)
    assert said.returncode == 1
    left_out, failed = "model.hidden=16: data=strangers: strangers are known", "has no strangers"
    assert [line for line in said.stderr.splitlines() if line.startswith("left out: ")] != []
    assert left_out in said.stderr
    assert said.stderr.splitlines()[-2].startswith("failed: data=strangers model.hidden=0: ")
    assert failed in said.stderr.splitlines()[-2]
    assert said.stderr.splitlines()[-1].startswith("error: 1 of 3 jobs failed")
    parent, children = runs_of(tmp_path)
    assert parent.info.status == "FAILED"
    assert sorted(run.info.status for run in children) == ["FAILED", "FINISHED", "FINISHED"]
    [broken] = [run for run in children if run.info.status == "FAILED"]
    assert failed in broken.data.tags["mlflow.note.content"]
    again = sweep(tmp_path, *words[::-1])
    assert again.returncode == 1
    assert "2 of 3 jobs are done" in again.stderr
    parent_after, children_after = runs_of(tmp_path)
    assert parent_after.info.run_id == parent.info.run_id
    assert len(children_after) == 4


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_with_what_is_not_done(enough, tmp_path, monkeypatch):
    words = ["seed=0,1", f"data.root={enough}"]
    train = training.train

    def stopped(photos, settings):
        if settings.seed == 1:
            raise KeyboardInterrupt
        return train(photos, settings)

    monkeypatch.setattr(training, "train", stopped)
    said = sweep(tmp_path, *words)
    assert said.returncode == 130
    assert "1 of 2 jobs of the sweep are done" in said.stderr
    assert runs_of(tmp_path)[0].info.status == "KILLED"
    monkeypatch.setattr(training, "train", train)
    assert sweep(tmp_path, *words).returncode == 0
    parent, children = runs_of(tmp_path)
    assert parent.info.status == "FINISHED"
    assert [run.info.status for run in children] == ["FINISHED", "KILLED", "FINISHED"]
    assert [run.data.params["seed"] for run in children] == ["0", "1", "1"]


def kill_a_worker(folder, seen):
    """That is at a job, as soon as a job is done."""
    asked = (
        "SELECT process.value, status FROM runs JOIN tags process USING (run_uuid) "
        "JOIN tags model USING (run_uuid) WHERE process.key = 'process' AND model.key = 'model'"
    )
    file = folder / "mlruns/mlflow.db"
    while not seen:
        time.sleep(0.02)
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db,
        ):
            rows = db.execute(asked).fetchall()
            if "FINISHED" in [status for _, status in rows]:
                seen += [name.split("-")[0] for name, status in rows if status == "RUNNING"]
    seen.append(Path(f"/proc/{seen[0]}/environ").read_text())  # what a worker was started with
    os.kill(int(seen[0]), signal.SIGKILL)


@pytest.mark.slow
def test_workers_share_a_sweep_and_what_a_killed_one_left_is_completed(
    enough, tmp_path, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    words = ["seed=0,1,2,3,4,5", f"data.root={enough}", "sweep.name=night"]
    seen = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path, seen), daemon=True)
    killer.start()
    said = sweep(tmp_path, *words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    killer.join()
    assert said.returncode == 1
    *_, not_done, error = said.stderr.splitlines()
    assert not_done == "not done: seed=5: a worker process was killed"
    assert error.startswith("error: ")
    assert "Traceback" not in said.stderr
    assert f"OMP_NUM_THREADS={max(1, len(os.sched_getaffinity(0)) // 2)}\0" in seen[-1]
    said = sweep(tmp_path, *words)  # in this process: what is done is no matter of the launcher
    assert said.returncode == 0, said.stderr
    assert " of 6 jobs are done; " in said.stderr
    parent, children = runs_of(tmp_path)
    assert parent.info.status == "FINISHED"
    below = [run.data.tags["mlflow.parentRunId"] for run in children]
    assert set(below) == {parent.info.run_id}
    done = [run.data.params["seed"] for run in children if run.info.status == "FINISHED"]
    assert sorted(done) == list("012345")
