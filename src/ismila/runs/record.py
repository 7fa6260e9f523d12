"""Record a run: open it, its epochs, its results."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd
from mlflow.entities import Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME

from ismila.photos import UserError
from ismila.photos.addresses import place_of
from ismila.photos.names import first_line, without_password
from ismila.photos.workplace import Workplace
from ismila.runs.find import CHOSEN_ON, CLEAN, HELD_OUT, SELECTION
from ismila.runs.outbox import ARTIFACTS, PendingRun, keep, pack, send, waits
from ismila.runs.store import (
    answering,
    connect,
    end_runs_of,
    experiment_of,
    new_workplace,
    process_tags,
    tracking_uri,
    working,
)
from ismila.settings import RunSettings, flat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ismila.learning.held_out import HeldOutClassifiers
    from ismila.vision.classifier import Classifier

SOURCE = {MLFLOW_SOURCE_NAME: "ismila.train"}
PACKAGE = Path(__file__).parents[1]
JOB = "job"
"""The tag that names what a run computes, see `job_digest`."""
NOT_COMPUTED = ("sweep.", "tracking.", "data.root", "data.cache")
"""Settings that say where things lie and what belongs together, not what comes out."""
WATCHED_EVERY_S = 2.0
"""MLflow's own 10 s are longer than most runs; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL decides."""
LONGEST_PARAM = 500
PARAMS_A_CALL = 100
"""MLflow takes no more of them at once."""


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """What is known of a run before it begins.

    Attributes:
        subject: names the experiment.
        params: the resolved settings, `{"model.lr": 0.001, "album.root": ..., ...}`.
        tags: `model, data, subject, album, refit, job`; `version` and `git` are added here.
        parent: id of the sweep's run (`open_sweep`), empty for a run of its own.
    """

    subject: str
    name: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    parent: str = ""


def describe(settings: RunSettings, root: Path, digest: str, parent: str) -> RunDescription:
    """What is known of a run on the album at `root`, whose photos `digest` names."""
    model = settings.model.name
    data = settings.data.name
    params = _without(flat(settings), "sweep.")
    params["tracking.uri"] = without_password(params["tracking.uri"])
    return RunDescription(
        subject=settings.subject,
        name=f"{model} {data} {settings.seed}",
        params={**params, "album.root": place_of(root)},
        tags={
            "model": model,
            "data": data,
            "subject": settings.subject,
            "album": digest,
            "refit": settings.refit or "",
            JOB: job_digest(settings, digest),
        },
        parent=parent,
    )


def job_digest(settings: RunSettings, album: str) -> str:
    """Names what a run computes: its settings, the album's photos, and the version that does it.

    Args:
        album: digest of the album.
    """
    computed = _without(flat(settings), *NOT_COMPUTED)
    words = [f"{name}={value}" for name, value in sorted(computed.items())]
    said = "\n".join([ismila_version(), album, *words])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _without(params: Mapping[str, str], *beginnings: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if not name.startswith(beginnings)}


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """What is known of a run when it ends.

    Attributes:
        figures: `select_*`, `test_*`, `threshold` and the like; finite.
        predictions: `path, sha256, group, fold, label, kind, closeup, probability, threshold,
            held_out_by, used`.
        strangers: `kind, probability, threshold` of strangers that nothing was trained or chosen on.
        digest: of the album.
        protocol: how the figures were measured, `fold` or `crossval`; kept as a tag.
        selection: `path, group, label, kind, probability` of the answers that `select_loss` is taken on.
        selection_is_clean: nothing was chosen on the photos of `select_loss`; kept as a tag.
        held_out: the classifiers that the reported answers come from.
        summary: the run in a sentence; MLflow's UI shows it.
    """

    figures: Mapping[str, float]
    predictions: pd.DataFrame
    selection: pd.DataFrame
    classifier: Classifier
    held_out: HeldOutClassifiers
    config_yaml: str
    digest: str
    protocol: str
    selection_is_clean: bool
    summary: str
    plots: Mapping[str, Figure]
    strangers: pd.DataFrame | None = None


@contextmanager
def open_run(description: RunDescription, uri: str | None = None) -> Iterator[str]:
    """Open a run of the subject's experiment and yield its id; it ends FINISHED, KILLED by Ctrl-C,
    or FAILED on another exception. When the process is killed, the next one's `connect` ends it.

    Args:
        uri: of the tracking server; see `connect`.

    Raises:
        UserError: the tracking server cannot be reached.
    """
    with answering():
        client = connect(uri)
        workplace = new_workplace()
    try:
        with answering():
            run_id = _start(client, description, process_tags(workplace))
        yield run_id
        if not waits(run_id):
            client.set_terminated(run_id, "FINISHED")
    except KeyboardInterrupt:
        _break_off(workplace, "KILLED")
        raise
    except BaseException as error:
        _break_off(workplace, "FAILED", in_a_line(error))
        raise
    workplace.close()


def require_watching(system_metrics: bool) -> None:
    """Raise UserError where `watching` is wanted and not possible."""
    if system_metrics and find_spec("psutil") is None:
        raise UserError("tracking.system_metrics=true: needs pip install 'ismila[system]'")


@contextmanager
def watching(run_id: str, system_metrics: bool) -> Iterator[None]:
    """Let MLflow log how busy the machine is during the block, under `system/`, where that is wanted.

    It does so in a thread, beside which nothing is recorded: that sets variables.
    """
    if not system_metrics:
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    monitor = SystemMetricsMonitor(run_id, sampling_interval=WATCHED_EVERY_S)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def record_failure(description: RunDescription, why: str, uri: str | None = None) -> None:
    """Record a run that failed before it was opened.

    Args:
        why: in a line.
        uri: see `connect`.
    """
    with suppress(UserError), open_run(description, uri):
        raise UserError(why)


def in_a_line(error: BaseException) -> str:
    """Why something failed: a person's mistake in its own words, another with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _break_off(workplace: Workplace, status: str, why: str = "") -> None:
    """End the run, whose id may not be known: Ctrl-C may come while it is being made.

    Where that cannot be done now (a server is away, a second Ctrl-C) the workplace stays, for the
    next process to find.
    """
    with suppress(MlflowException):
        end_runs_of(workplace.folder, status, why)
        workplace.close()


def _start(
    client: mlflow.MlflowClient, description: RunDescription, process: Mapping[str, str]
) -> str:
    experiment = experiment_of(client, description.subject)
    # with it from the beginning: a run that no process answers for would go on for ever
    run = client.create_run(experiment, run_name=description.name, tags=dict(process))
    tags = {**SOURCE, **description.tags, "version": ismila_version(), "git": ismila_commit()}
    tags[MLFLOW_PARENT_RUN_ID] = description.parent
    client.log_batch(run.info.run_id, tags=[RunTag(k, v) for k, v in tags.items() if v])
    params = [Param(name, str(value)[:LONGEST_PARAM]) for name, value in description.params.items()]
    for start in range(0, len(params), PARAMS_A_CALL):
        client.log_batch(run.info.run_id, params=params[start : start + PARAMS_A_CALL])
    return str(run.info.run_id)


def record(run_id: str, epochs: Sequence[Mapping[str, float]], results: RunResults) -> str:
    """Log `loss, accuracy, val_loss, val_accuracy` of each epoch, the figures, predictions.parquet,
    classifier/, the plots, the config and the dataset.

    Returns:
        Empty when MLflow has it; else why not, and it waits in `outbox.UNSENT` for `ismila sync`.

    Raises:
        UserError: it could not be kept either.
    """
    with working() as folder:
        artifacts = folder / ARTIFACTS
        artifacts.mkdir()
        _write_artifacts(artifacts, results)
        pack(_parcel(run_id, epochs, results), folder)
        try:
            send(folder)
        except (MlflowException, OSError) as error:
            keep(folder, run_id)
            return first_line(error)
    return ""


def _parcel(run_id: str, epochs: Sequence[Mapping[str, float]], results: RunResults) -> PendingRun:
    now = int(time.time() * 1000)
    of_epochs = [
        (name, value, int(epoch["timestamp_ms"]), step)
        for step, epoch in enumerate(epochs)
        for name, value in epoch.items()
        if name != "timestamp_ms"
    ]
    return PendingRun(
        run_id=run_id,
        subject=results.classifier.subject,
        uri=tracking_uri(),
        figures=[*of_epochs, *((name, value, now, 0) for name, value in results.figures.items())],
        tags={
            "protocol": results.protocol,
            SELECTION: CLEAN if results.selection_is_clean else CHOSEN_ON,
            MLFLOW_RUN_NOTE: results.summary,
        },
        digest=results.digest,
    )


def _write_artifacts(folder: Path, results: RunResults) -> None:
    results.predictions.to_parquet(folder / "predictions.parquet", index=False)
    results.selection.to_parquet(folder / "selection.parquet", index=False)
    if results.strangers is not None:
        results.strangers.to_parquet(folder / "strangers.parquet", index=False)
    results.classifier.save(folder / "classifier")
    results.held_out.save(folder / HELD_OUT, results.classifier)
    config_yaml = without_password(results.config_yaml)
    (folder / "config.yaml").write_text(config_yaml, encoding="utf-8")
    (folder / "plots").mkdir()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name in another script
        for name, figure in results.plots.items():
            figure.savefig(folder / "plots" / f"{name}.png", dpi=110, bbox_inches="tight")


def record_report(run_id: str, page: str) -> None:
    """Keep the page of `ismila report` with its run, as `report.html`.

    Raises:
        UserError: MLflow does not take it.
    """
    try:
        with working():
            mlflow.MlflowClient().log_text(run_id, page, "report.html")
    except (MlflowException, OSError) as error:
        raise UserError(
            f"run {run_id}: MLflow does not take report.html ({first_line(error)}); "
            "give it room and the right to write"
        ) from error


def ismila_version() -> str:
    """The version of the ismila that runs; empty where its source was not installed."""
    try:
        return version("ismila")
    except PackageNotFoundError:
        return ""


def ismila_commit(package: Path = PACKAGE) -> str:
    """The commit of the checkout that holds ismila's source, with `+` when files differ from it.

    Empty when git does not track that source: in a wheel, also where it is installed inside
    somebody's repository.
    """
    if not _git(package, "ls-files", "--error-unmatch", "__init__.py"):
        return ""
    return _git(package, "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")


def _git(folder: Path, *command: str) -> str:
    """What git says; empty when it fails or is not installed."""
    # A hook of another repository runs with GIT_DIR set, and git would then answer for that one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *command],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
