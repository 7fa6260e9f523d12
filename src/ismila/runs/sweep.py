"""The runs of one multirun: a parent run, its children, and what they say together."""

from __future__ import annotations

import os
from collections.abc import Sequence

import mlflow
import pandas as pd
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from ismila.photos import UserError
from ismila.runs import SWEEP
from ismila.runs.find import Recorded, finished_runs
from ismila.runs.record import SOURCE
from ismila.runs.store import answering, connect, experiment_of, tracking_uri


def open_sweep(subject: str, uri: str | None = None) -> str:
    """The id of the multirun's parent run, which the first of its runs opens.

    Raises:
        UserError: the tracking server cannot be reached.
    """
    if SWEEP not in os.environ:
        with answering():
            client = connect(uri)
            tags = {"subject": subject, **SOURCE}
            parent = client.create_run(experiment_of(client, subject), run_name="sweep", tags=tags)
        os.environ[SWEEP] = parent.info.run_id
    return os.environ[SWEEP]


def finished_sweep() -> list[Recorded]:
    """The finished runs of the multirun that is open in this process; empty when there is none."""
    client = mlflow.MlflowClient()
    parent = client.get_run(os.environ[SWEEP])
    try:
        return finished_runs(parent.data.tags["subject"], tracking_uri(), parent.info.run_id)
    except UserError:  # each of them failed, and has said why
        client.set_terminated(os.environ.pop(SWEEP), "FAILED")
        return []


def close_sweep(table: pd.DataFrame, readings: Sequence[str]) -> None:
    """End the multirun's parent run with the comparison of its runs."""
    run_id = os.environ.pop(SWEEP)
    client = mlflow.MlflowClient()
    client.log_text(run_id, table.to_csv(index=False), "compare.csv")
    swept = " ".join(",".join(sorted(set(table[column]))) for column in ("model", "data"))
    client.set_tag(run_id, MLFLOW_RUN_NAME, f"sweep: {swept}, {table['seeds'].max()} seeds")
    client.set_tag(run_id, MLFLOW_RUN_NOTE, "\n\n".join(readings))
    client.set_terminated(run_id, "FINISHED")
