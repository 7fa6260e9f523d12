"""The runs of one sweep: a parent run for each subject, its children, and what they say together.

MLflow shows a child below its parent only where both lie in one experiment, and each subject is one.
A sweep has a name, and each child carries a digest of what it computes: so a sweep that was stopped
goes on below the same parent, with the jobs that are not done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from ismila.photos import UserError
from ismila.photos.workplace import Workplace
from ismila.runs.find import Recorded, children
from ismila.runs.record import JOB, SOURCE, ismila_version
from ismila.runs.store import (
    PROCESS,
    alone,
    answering,
    connect,
    experiment_of,
    new_workplace,
    process_tags,
    working,
)

NAME = "sweep"
"""The tag of a parent run that holds the sweep's name."""


@dataclass(frozen=True)
class Parent:
    """A sweep's run for one subject, held open by this process, which alone holds its workplace.

    Attributes:
        workplace: tells other processes that the sweep goes on.
    """

    subject: str
    name: str
    run_id: str
    workplace: Workplace


def sweep_name(stem: str, words: Sequence[str], albums: Sequence[str]) -> str:
    """What a sweep is called that nobody named: the same for the same jobs on the same photos.

    Args:
        stem: its beginning, for people.
        words: what the command line says about the jobs.
        albums: digests of the albums.
    """
    said = "\n".join([ismila_version(), *sorted(albums), *sorted(words)])
    return f"{stem}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def open_sweep(subject: str, name: str, uri: str | None = None, again: bool = False) -> Parent:
    """The sweep's parent run for a subject: the newest of this name, which goes on, or a new one.

    Args:
        again: a new one in any case.

    Raises:
        UserError: the tracking server cannot be reached, or the sweep is going on elsewhere.
    """
    with answering():
        client = connect(uri)
        workplace = new_workplace()
        with alone("sweep"):
            experiment = experiment_of(client, subject)
            found = None if again else _newest(client, experiment, name)
            if found and found.info.status == "RUNNING":
                workplace.close()
                raise _is_going_on(name, found)
            tags = {"subject": subject, NAME: name, **SOURCE, **process_tags(workplace)}
            if found:
                _reopen(client, found.info.run_id, tags)
            parent = found or client.create_run(experiment, run_name=name, tags=tags)
    return Parent(subject, name, parent.info.run_id, workplace)


def _newest(client: mlflow.MlflowClient, experiment: str, name: str) -> Run | None:
    found = client.search_runs([experiment], f"tags.{NAME} = '{name}'", max_results=1)
    return found[0] if found else None


def _is_going_on(name: str, found: Run) -> UserError:
    tags = found.data.tags
    where = f"process {tags.get(PROCESS, '').split('-')[0]} on {tags.get('host', '')}"
    return UserError(
        f"sweep {name} is going on ({where}); wait for it, or name another with sweep.name=NAME"
    )


def _reopen(client: mlflow.MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    for key, value in tags.items():  # first, so that a process answers for what goes on
        client.set_tag(run_id, key, value)
    client.update_run(run_id, status="RUNNING")


def finished_jobs(parent: Parent) -> dict[str, Recorded]:
    """Job digest -> the newest finished run of that job, the newest first.

    Raises:
        UserError: MLflow does not answer.
    """
    newest: dict[str, Recorded] = {}
    for run in children(parent.subject, parent.run_id, finished=True):
        newest.setdefault(run.tags.get(JOB, run.run_id), run)
    return newest


def begun_jobs(parent: Parent) -> set[str]:
    """Digests of the jobs that have a run, however it ended.

    Raises:
        UserError: MLflow does not answer.
    """
    return {run.tags.get(JOB, "") for run in children(parent.subject, parent.run_id)}


def close_sweep(
    parent: Parent, table: pd.DataFrame, readings: Sequence[str], all_done: bool
) -> None:
    """End a parent run with the comparison of its runs.

    Args:
        all_done: no job failed or was lost; otherwise the sweep has failed.

    Raises:
        UserError: MLflow does not answer.
    """
    client = mlflow.MlflowClient()
    with working(), answering():
        client.log_text(parent.run_id, table.to_csv(index=False), "compare.csv")
    swept = " ".join(",".join(sorted(set(table[column]))) for column in ("model", "data"))
    name = f"sweep: {swept}, {table['seeds'].max()} seeds"
    with answering():
        client.set_tag(parent.run_id, MLFLOW_RUN_NAME, name)
        client.set_tag(parent.run_id, MLFLOW_RUN_NOTE, "\n\n".join(readings))
    end_sweep(parent, "FINISHED" if all_done else "FAILED")


def end_sweep(parent: Parent, status: str) -> None:
    """End a parent run.

    Args:
        status: FINISHED, FAILED, or KILLED by Ctrl-C.

    Raises:
        UserError: MLflow does not answer; the next process to find the workplace ends the run.
    """
    with answering():
        mlflow.MlflowClient().set_terminated(parent.run_id, status)
    parent.workplace.close()
