import os
import signal
from contextlib import chdir

import mlflow
import pandas as pd
import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from recorded import at_once

from ismila.photos import UserError
from ismila.runs.record import JOB
from ismila.runs.store import connect
from ismila.runs.sweep import (
    begun_jobs,
    close_sweep,
    end_sweep,
    finished_jobs,
    open_sweep,
    sweep_name,
)

TABLE = pd.DataFrame({"model": ["cnn"], "data": ["base"], "seeds": [2]})


@pytest.fixture
def opened(ledger, request):
    """Opens sweeps that bear the test's name, and ends them."""
    parents = []

    def open_one(subject="sweeper", **how):
        with chdir(ledger.folder):
            parents.append(open_sweep(subject, request.node.name, ledger.uri, **how))
        return parents[-1]

    yield open_one
    for parent in parents:
        if status_of(ledger, parent) == "RUNNING":
            end_sweep(parent, "KILLED")


def status_of(ledger, parent):
    return mlflow.MlflowClient(ledger.uri).get_run(parent.run_id).info.status


def test_a_sweep_holds_its_own_runs_and_their_comparison(ledger, opened):
    parent = opened()
    ledger.run("sweeper")
    inside = [ledger.run("sweeper", parent=parent.run_id, seed=seed) for seed in (0, 1)]
    assert [run.run_id for run in finished_jobs(parent).values()] == inside[::-1]
    close_sweep(parent, TABLE, ["base is base"], all_done=True)
    run = mlflow.MlflowClient(ledger.uri).get_run(parent.run_id)
    assert run.info.run_name == "sweep: cnn base, 2 seeds"
    assert run.data.tags["mlflow.note.content"] == "base is base"
    assert run.info.status == "FINISHED"


def test_a_sweep_with_jobs_that_are_not_done_has_failed(ledger, opened):
    parent = opened()
    close_sweep(parent, TABLE, [], all_done=False)
    assert status_of(ledger, parent) == "FAILED"


def test_a_sweep_of_the_same_name_goes_on_unless_it_shall_begin_again(ledger, opened):
    first = opened()
    end_sweep(first, "KILLED")
    second = opened()
    assert second.run_id == first.run_id
    assert status_of(ledger, second) == "RUNNING"
    end_sweep(second, "FINISHED")
    assert opened(again=True).run_id != first.run_id


def test_a_sweep_that_is_going_on_is_not_opened_twice(opened):
    opened()
    with pytest.raises(UserError, match=rf"is going on \(process {os.getpid()} on"):
        opened()


def test_a_job_that_was_done_twice_counts_once(ledger, opened):
    parent = opened()
    _old, new = (ledger.run("sweeper", parent=parent.run_id, tags={JOB: "x"}) for _ in range(2))
    other = ledger.run("sweeper", parent=parent.run_id, tags={JOB: "y"})
    done = finished_jobs(parent)
    assert {job: run.run_id for job, run in done.items()} == {"x": new, "y": other}
    assert begun_jobs(parent) == {"x", "y"}


def test_a_sweep_is_named_by_what_is_swept_and_by_the_album():
    name = sweep_name("seeds", ["seed=0,1", "model=cnn"], ["a"])
    assert name.startswith("seeds-")
    assert name == sweep_name("seeds", ["model=cnn", "seed=0,1"], ["a"])
    assert name != sweep_name("seeds", ["model=cnn", "seed=0,1"], ["b"])
    assert name != sweep_name("seeds", ["model=cnn", "seed=0"], ["a"])


def test_a_sweep_whose_process_was_killed_is_ended_by_the_next(ledger):
    def killed():
        open_sweep("killed sweeper", "night", ledger.uri)
        os.kill(os.getpid(), signal.SIGKILL)

    assert at_once(1, killed) == [-signal.SIGKILL]
    client = connect(ledger.uri)
    experiment = client.get_experiment_by_name("killed sweeper").experiment_id
    assert client.search_runs([experiment])[0].info.status == "KILLED"


def test_each_subject_of_a_sweep_has_a_parent_in_its_own_experiment(ledger, opened):
    parents = [opened(), opened("other sweeper")]
    inside = ledger.run("other sweeper", parent=parents[1].run_id)
    assert [run.run_id for run in finished_jobs(parents[1]).values()] == [inside]
    assert finished_jobs(parents[0]) == {}
    client = mlflow.MlflowClient(ledger.uri)
    runs = [parents[0].run_id, parents[1].run_id, inside]
    experiments = [client.get_run(run).info.experiment_id for run in runs]
    assert experiments[0] != experiments[1] == experiments[2]


@pytest.mark.slow
def test_a_sweep_over_subjects_makes_a_run_below_a_parent_in_each_experiment(both_trained):
    client = mlflow.MlflowClient(f"sqlite:///{both_trained}/mlruns/mlflow.db")
    for subject in ("mila", "rex"):
        experiment = client.get_experiment_by_name(subject)
        child, parent = client.search_runs([experiment.experiment_id])
        assert child.data.tags[MLFLOW_PARENT_RUN_ID] == parent.info.run_id
        assert child.data.tags["subject"] == parent.data.tags["subject"] == subject
        assert child.info.status == parent.info.status == "FINISHED"
        assert parent.info.run_name == "sweep: mobilenet pets, 1 seeds"
        assert client.get_model_version_by_alias(subject, "champion").run_id == child.info.run_id


@pytest.mark.slow
def test_what_subjects_share_is_computed_once(both_trained):
    photos = len(list((both_trained / "album").rglob("*.jpg")))
    encoded = int((both_trained / "encoded.txt").read_text())
    assert photos <= encoded < photos + 20  # a few more when a classifier is tried out
