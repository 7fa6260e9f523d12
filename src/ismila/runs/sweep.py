"""The runs of one multirun: a parent run for each subject, its children, and what they say together.

MLflow shows a child below its parent only where both lie in one experiment, and each subject is one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import mlflow
import pandas as pd
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from ismila.photos import UserError
from ismila.photos.workplace import Workplace
from ismila.runs import SWEEP
from ismila.runs.find import Recorded, finished_runs
from ismila.runs.record import SOURCE
from ismila.runs.store import (
    answering,
    connect,
    experiment_of,
    new_workplace,
    process_tags,
    tracking_uri,
    working,
)

_workplaces: dict[str, Workplace] = {}
"""Parent run -> what tells other processes that the multirun goes on; of this process."""


def open_sweep(subject: str, uri: str | None = None) -> str:
    """The id of the multirun's parent run for a subject, which the first of the subject's runs opens.

    Raises:
        UserError: the tracking server cannot be reached.
    """
    parents = _parents()
    if subject not in parents:
        with answering():
            client = connect(uri)
            workplace = new_workplace()
            tags = {"subject": subject, **SOURCE, **process_tags(workplace)}
            parent = client.create_run(experiment_of(client, subject), run_name="sweep", tags=tags)
        parents[subject] = parent.info.run_id
        _workplaces[parent.info.run_id] = workplace
        os.environ[SWEEP] = json.dumps(parents)
    return parents[subject]


def swept_subjects() -> list[str]:
    """Whose runs the multirun that is open in this process has made, in the order of their first."""
    return list(_parents())


def finished_sweep(subject: str) -> list[Recorded]:
    """The subject's finished runs of the multirun that is open in this process; empty when there is
    none."""
    try:
        return finished_runs(subject, tracking_uri(), _parents()[subject])
    except UserError:  # each of them failed, and has said why
        _end(_taken_out(subject), "FAILED")
        return []


def close_sweep(subject: str, table: pd.DataFrame, readings: Sequence[str]) -> None:
    """End the subject's parent run with the comparison of its runs."""
    run_id = _taken_out(subject)
    client = mlflow.MlflowClient()
    with working():
        client.log_text(run_id, table.to_csv(index=False), "compare.csv")
    swept = " ".join(",".join(sorted(set(table[column]))) for column in ("model", "data"))
    client.set_tag(run_id, MLFLOW_RUN_NAME, f"sweep: {swept}, {table['seeds'].max()} seeds")
    client.set_tag(run_id, MLFLOW_RUN_NOTE, "\n\n".join(readings))
    _end(run_id, "FINISHED")


def _end(run_id: str, status: str) -> None:
    mlflow.MlflowClient().set_terminated(run_id, status)
    workplace = _workplaces.pop(run_id, None)
    if workplace:  # else the process that opened it, a worker, has one
        workplace.close()


def _parents() -> dict[str, str]:
    """Subject -> the id of its parent run."""
    parents: dict[str, str] = json.loads(os.environ.get(SWEEP, "{}"))
    return parents


def _taken_out(subject: str) -> str:
    """The id of the subject's parent run, which is open no longer."""
    parents = _parents()
    run_id = parents.pop(subject)
    if parents:
        os.environ[SWEEP] = json.dumps(parents)
    else:
        del os.environ[SWEEP]
    return run_id
