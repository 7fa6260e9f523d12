"""Where runs are kept: MLflow's client, and its failures as one line that a person can act on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from ismila.photos import UserError

DATABASE = Path("mlruns/mlflow.db")
ARTIFACTS = Path("mlruns/artifacts")
TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow's UI opens the experiment as one about prompts and traces."""

CHATTY = {
    logging.WARNING: ("alembic", "mlflow.store.db.utils"),
    logging.ERROR: (
        "mlflow.models",
        "mlflow.pyfunc",
        "mlflow.store.model_registry",
        "mlflow.tracking",
        "mlflow.types",
    ),
}
for level, names in CHATTY.items():  # after the import of MLflow, which sets up its loggers
    for name in names:
        logging.getLogger(name).setLevel(level)


def connect(uri: str | None = None) -> mlflow.MlflowClient:
    """A client for `uri`, or MLFLOW_TRACKING_URI, or the local database."""
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not chosen:
        DATABASE.parent.mkdir(parents=True, exist_ok=True)
        chosen = f"sqlite:///{DATABASE}"
    mlflow.set_tracking_uri(chosen)
    return mlflow.MlflowClient()


def tracking_uri() -> str:
    """Where the client that was made last keeps its runs."""
    return str(mlflow.get_tracking_uri())


def experiment_of(client: mlflow.MlflowClient, subject: str) -> str:
    """The id of the subject's experiment, which is made when there is none."""
    experiment = client.get_experiment_by_name(subject)
    if experiment is not None:
        return str(experiment.experiment_id)
    local = tracking_uri().startswith("sqlite:")
    place = ARTIFACTS.resolve().as_uri() if local else None
    return str(client.create_experiment(subject, place, TRAINING))


@contextmanager
def answering() -> Iterator[None]:
    """Say it in one line when the tracking server does not answer.

    Raises:
        UserError: instead of what MLflow raises.
    """
    try:
        yield
    except (MlflowException, OSError) as error:
        raise UserError(
            f"tracking.uri={tracking_uri()}: MLflow does not answer ({first_line(error)}); "
            "start the server, or leave tracking.uri out to record into mlruns/"
        ) from error


def first_line(error: Exception) -> str:
    """The beginning of what MLflow says, without the traceback that it sometimes adds."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:160]
