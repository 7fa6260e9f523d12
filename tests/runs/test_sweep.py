import os
from contextlib import chdir

import mlflow
import pandas as pd
import pytest

from ismila.runs.sweep import SWEEP, close_sweep, finished_sweep, open_sweep


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
    assert [run.run_id for run in finished_sweep()] == inside[::-1]
    table = pd.DataFrame({"model": ["cnn"], "data": ["base"], "seeds": [2]})
    close_sweep(table, ["base is base"])
    run = mlflow.MlflowClient(ledger.uri).get_run(parent)
    assert run.info.run_name == "sweep: cnn base, 2 seeds"
    assert run.data.tags["mlflow.note.content"] == "base is base"
    assert run.info.status == "FINISHED"
    assert SWEEP not in os.environ


def test_a_sweep_of_which_every_run_failed_has_failed(ledger, parent):
    assert finished_sweep() == []
    assert mlflow.MlflowClient(ledger.uri).get_run(parent).info.status == "FAILED"
    assert SWEEP not in os.environ
