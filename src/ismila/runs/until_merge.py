"""Old names and old calls, for the branches that do not know the new ones yet. The integrator deletes this file."""

from __future__ import annotations

from contextlib import contextmanager

import mlflow

from ismila.runs import record, registry, sweep
from ismila.runs.find import *  # noqa: F403
from ismila.runs.find import (  # noqa: F401  # noqa: F401
    Recorded,
    album_of,
    find_run,
    finished_runs,
    load_classifier,
    load_predictions,
    rank,
    read_epochs,
    read_run,
    upgraded,
)
from ismila.runs.record import ismila_commit as git_commit  # noqa: F401
from ismila.runs.record import record_epochs  # noqa: F401
from ismila.runs.registry import aliases  # noqa: F401
from ismila.runs.store import connect  # noqa: F401
from ismila.runs.sweep import close_sweep, finished_sweep  # noqa: F401


@contextmanager
def recorded(subject, name, params, tags, uri, multirun=False):  # type: ignore[no-untyped-def]
    parent = sweep.open_sweep(subject, uri) if multirun else ""
    description = record.RunDescription(
        subject=subject, name=name, params=params, tags=tags, parent=parent
    )
    with record.open_run(description, uri) as run_id:
        yield run_id


def record_results(run_id, figures, predictions, classifier, config_yaml, digest, plots):  # type: ignore[no-untyped-def]
    from importlib import import_module

    selection_figures = import_module("ismila.evidence.metrics").selection_figures
    table = upgraded(predictions, classifier.threshold, bool(read_run(run_id).tags.get("refit")))
    crossval = table["held_out_by"].str.startswith("crossval")
    chosen_on = table[(table["held_out_by"] == "val") | crossval]
    record.record_results(
        run_id,
        record.RunResults(
            figures={**figures, **selection_figures(chosen_on)},
            predictions=table,
            classifier=classifier,
            config_yaml=config_yaml,
            digest=digest,
            protocol="crossval" if crossval.any() else "fold",
            summary="",
            plots=plots,
        ),
    )


def crown(run_id, subject, figures, summary):  # type: ignore[no-untyped-def]
    mlflow.MlflowClient().set_tag(run_id, "mlflow.note.content", summary)
    return registry.crown(subject) == run_id
