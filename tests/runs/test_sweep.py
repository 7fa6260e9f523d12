import os
import signal
from contextlib import chdir

import mlflow
import pandas as pd
import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from recorded import at_once

from ismila.runs.store import connect
from ismila.runs.sweep import SWEEP, close_sweep, finished_sweep, open_sweep, swept_subjects


@pytest.fixture
def parent(ledger):
    """The id of a sweep's run that is open in this process."""
    with chdir(ledger.folder):
        yield open_sweep("sweeper", ledger.uri)
    os.environ.pop(SWEEP, None)


def test_a_sweep_is_opened_once_and_holds_its_own_runs(ledger, parent):
    ledger.run("sweeper")
    inside = [ledger.run("sweeper", parent=parent, seed=seed) for seed in (0, 1)]
    assert open_sweep("sweeper", ledger.uri) == parent
    assert [run.run_id for run in finished_sweep("sweeper")] == inside[::-1]
    table = pd.DataFrame({"model": ["cnn"], "data": ["base"], "seeds": [2]})
    close_sweep("sweeper", table, ["base is base"])
    run = mlflow.MlflowClient(ledger.uri).get_run(parent)
    assert run.info.run_name == "sweep: cnn base, 2 seeds"
    assert run.data.tags["mlflow.note.content"] == "base is base"
    assert run.info.status == "FINISHED"
    assert SWEEP not in os.environ


def test_a_sweep_of_which_every_run_failed_has_failed(ledger, parent):
    assert finished_sweep("sweeper") == []
    assert mlflow.MlflowClient(ledger.uri).get_run(parent).info.status == "FAILED"
    assert SWEEP not in os.environ


def test_a_sweep_whose_process_was_killed_is_ended_by_the_next(ledger):
    def killed():
        open_sweep("killed sweeper", ledger.uri)
        os.kill(os.getpid(), signal.SIGKILL)

    assert at_once(1, killed) == [-signal.SIGKILL]
    client = connect(ledger.uri)
    experiment = client.get_experiment_by_name("killed sweeper").experiment_id
    assert client.search_runs([experiment])[0].info.status == "KILLED"


def test_each_subject_of_a_sweep_has_a_parent_in_its_own_experiment(ledger, parent):
    other = open_sweep("other sweeper", ledger.uri)
    inside = ledger.run("other sweeper", parent=other)
    assert swept_subjects() == ["sweeper", "other sweeper"]
    assert [run.run_id for run in finished_sweep("other sweeper")] == [inside]
    client = mlflow.MlflowClient(ledger.uri)
    experiments = [client.get_run(run).info.experiment_id for run in (parent, other, inside)]
    assert experiments[0] != experiments[1] == experiments[2]
    assert finished_sweep("sweeper") == []
    assert client.get_run(parent).info.status == "FAILED"
    assert swept_subjects() == ["other sweeper"]
    table = pd.DataFrame({"model": ["cnn"], "data": ["base"], "seeds": [1]})
    close_sweep("other sweeper", table, [])
    assert client.get_run(other).info.status == "FINISHED"
    assert SWEEP not in os.environ


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
