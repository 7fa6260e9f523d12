"""Where runs are kept: MLflow's client, and its failures as one line that a person can act on."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ismila.photos import UserError
from ismila.photos.names import first_line, without_password
from ismila.photos.workplace import Workplace, abandoned
from ismila.runs import SWEEP_HOST
from ismila.runs.database import DATABASE, locked, make_whole, sqlite_file, workplaces
from ismila.runs.naming import experiment_name
from ismila.runs.view import view_tag

ARTIFACTS = Path("mlruns/artifacts")
TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow's UI opens the experiment as one about prompts and traces."""
PROCESS = "process"
"""The tag that names the process which makes a run, by its workplace."""
PORTS = {"http": 80, "https": 443}
CONNECT_S = 5.0

NOISY_LOGGERS = {
    logging.WARNING: ("alembic", "mlflow.store.db.utils"),
    logging.ERROR: (
        "mlflow.models",
        "mlflow.pyfunc",
        "mlflow.store.model_registry",
        "mlflow.tracking",
        "mlflow.types",
    ),
}
for level, names in NOISY_LOGGERS.items():  # after the import of MLflow, which sets up its loggers
    for name in names:
        logging.getLogger(name).setLevel(level)


def connect(uri: str | None = None) -> mlflow.MlflowClient:
    """A client for `uri`, or MLFLOW_TRACKING_URI, or the local database, which is made when it is
    not there. Runs whose process was killed end.

    Raises:
        UserError: the local database cannot be made or mended, see `make_whole`; or it is another
            machine's.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    file = sqlite_file(chosen)
    if file:
        _require_same_host(file)
        make_whole(file)
    if without_password(chosen) != chosen:  # MLflow prints the address of each run that ends
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    _say_when_away(chosen)
    # once, since it sets a variable: a server asks in one thread while others read some
    if not chosen == tracking_uri() == os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(chosen)
    client = mlflow.MlflowClient()
    for left in abandoned(_workplaces()):
        end_runs_of(left, "KILLED")
    return client


def _say_when_away(uri: str) -> None:
    """MLflow asks a server that is away again for some minutes, and says nothing meanwhile.

    Raises:
        UserError: there is no such address.
    """
    if uri.partition(":")[0] not in PORTS:
        return
    host, port = _address(uri)
    try:
        with socket.create_connection((host, port), CONNECT_S):
            pass
    except OSError:
        print(
            f"tracking.uri: {host} takes no connection; trying for some minutes (Ctrl-C ends it)",
            file=sys.stderr,
            flush=True,
        )


def _address(uri: str) -> tuple[str, int]:
    """Host and port of a server; raises UserError."""
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            raise ValueError("no host")
        return parts.hostname, parts.port or PORTS[parts.scheme]
    except ValueError as error:
        raise UserError(f"tracking.uri={uri}: {error}; expected http://HOST:PORT") from error


def _require_same_host(file: Path) -> None:
    """SQLite's locks hold on one machine: on a shared disk two would spoil the file, and without
    one each would write its own."""
    there = os.environ.get(SWEEP_HOST)
    here = socket.gethostname()
    if there and there != here:
        raise UserError(
            f"{file}: the sweep's store is SQLite's on {there}, and this job runs on {here}; start "
            "a tracking server and give tracking=server tracking.uri=http://HOST:5000"
        )


def tracking_uri() -> str:
    """Where the client that was made last keeps its runs."""
    return str(mlflow.get_tracking_uri())


def experiment_of(client: mlflow.MlflowClient, subject: str) -> str:
    """The id of the subject's experiment, which is made when there is none."""
    found = find_experiment(client, subject)
    if found:
        return found
    local = tracking_uri().startswith("sqlite:")
    place = ARTIFACTS.resolve().as_uri() if local else None
    try:
        name = experiment_name(subject)
        return str(client.create_experiment(name, place, {**TRAINING, **view_tag()}))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        return find_experiment(client, subject)  # another process was faster


def find_experiment(client: mlflow.MlflowClient, subject: str) -> str:
    """The id of the subject's experiment, which gets the view that this version makes of it; empty
    when there is none."""
    experiment = client.get_experiment_by_name(experiment_name(subject))
    if experiment is None:
        return ""
    for tag, value in view_tag().items():
        if experiment.tags.get(tag) != value:
            at_second_try(partial(client.set_experiment_tag, experiment.experiment_id, tag, value))
    return str(experiment.experiment_id)


def new_workplace() -> Workplace:
    """A folder for what is on its way into the store, beside it, and with a server in the user's
    cache. The next `connect` clears it, and ends its runs, when this process is killed.

    Raises:
        UserError: it cannot be made.
    """
    place = _workplaces()
    try:
        return Workplace(place)
    except OSError as error:
        raise UserError(
            f"{place}: {error.strerror}; give it room and the right to write, or name another "
            "cache with XDG_CACHE_HOME, another store with tracking.uri"
        ) from error


def process_tags(workplace: Workplace) -> dict[str, str]:
    """Tags that say which process makes a run: `host`, and `process` with its id."""
    return {"host": socket.gethostname(), PROCESS: workplace.folder.name}


def end_runs_of(workplace: Path, status: str, why: str = "") -> None:
    """End the runs that carry the workplace's tag and still go on.

    Args:
        status: KILLED or FAILED.
        why: kept as the runs' description.
    """
    client = mlflow.MlflowClient()
    experiments = client.search_experiments(view_type=ViewType.ALL)
    going_on = f"attributes.status = 'RUNNING' and tags.{PROCESS} = '{workplace.name}'"
    for run in client.search_runs([one.experiment_id for one in experiments], going_on):
        if why:
            client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, why)
        client.set_terminated(run.info.run_id, status)


@contextmanager
def working() -> Iterator[Path]:
    """A workplace that is deleted at the end; MLflow's temporary files go there, too.

    Raises:
        UserError: see `new_workplace`.
    """
    before = tempfile.tempdir
    with new_workplace() as folder:
        tempfile.tempdir = str(folder.resolve())
        try:
            yield folder
        finally:
            tempfile.tempdir = before


@contextmanager
def alone(what: str) -> Iterator[bool]:
    """Hold a lock beside a local store; False for a server, which has none."""
    file = sqlite_file(tracking_uri())
    with locked(file, what) if file else nullcontext():
        yield file is not None


def _workplaces() -> Path:
    """Of the store that was connected to last."""
    file = sqlite_file(tracking_uri())
    if file:
        return workplaces(file)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "ismila" / hashlib.sha256(tracking_uri().encode()).hexdigest()[:16]


def at_second_try(write: Callable[[], None]) -> None:
    """MLflow looks whether something is there, and makes it where it is not. When another process
    makes it in between, that fails, and the next look finds it.

    Raises:
        MlflowException, OSError: the second try failed, too.
    """
    try:
        write()
    except MlflowException:
        write()


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
