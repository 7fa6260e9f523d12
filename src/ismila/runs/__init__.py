"""The only place that speaks MLflow: record, find, load a classifier."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "MLFLOW_DISABLE_TELEMETRY", "true"
)  # nobody hears of a person's runs; and exits 2 s earlier

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
)
from PIL import Image

from ismila.learning.classifier import Classifier
from ismila.photos import UserError

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)
for name in (
    "mlflow.models",
    "mlflow.pyfunc",
    "mlflow.tracking",
    "mlflow.store.model_registry",
    "mlflow.types",
):
    logging.getLogger(name).setLevel(logging.ERROR)

DATABASE = Path("mlruns/mlflow.db")
ARTIFACTS = Path("mlruns/artifacts")
TRAINED = "attributes.status = 'FINISHED' and tags.model != ''"
"""MLflow's filter for runs that trained something; a sweep's parent run did not."""
TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow's UI opens the experiment as one about prompts and traces."""

SERVED_WITH = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy", "pandas", "pillow", "onnxruntime",
               "safetensors", "filelock")  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """A finished run as MLflow keeps it."""

    run_id: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]


def connect(uri: str | None = None) -> mlflow.MlflowClient:
    """A client for `uri`, or MLFLOW_TRACKING_URI, or the local database."""
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not chosen:
        DATABASE.parent.mkdir(parents=True, exist_ok=True)
        chosen = f"sqlite:///{DATABASE}"
    mlflow.set_tracking_uri(chosen)
    return mlflow.MlflowClient()


SOURCE = {MLFLOW_SOURCE_NAME: "ismila.train"}
SWEEP = "ISMILA_SWEEP_RUN"
"""Environment variable that holds the parent run's id while a multirun goes on."""


@contextmanager
def recorded(
    subject: str,
    name: str,
    params: dict[str, Any],
    tags: dict[str, str],
    uri: str | None,
    sweep: bool = False,
) -> Iterator[str]:
    """Open a run of the subject's experiment and yield its id; it ends FINISHED, or FAILED on an exception.

    Args:
        sweep: the run is one of a multirun: a child of the run that the first of them opens.

    Raises:
        UserError: the tracking server cannot be reached.
    """
    try:
        client = connect(uri)
        experiment = client.get_experiment_by_name(subject)
        if experiment is None:
            local = str(mlflow.get_tracking_uri()).startswith("sqlite:")
            place = ARTIFACTS.resolve().as_uri() if local else None
            experiment_id = client.create_experiment(subject, place, TRAINING)
        else:
            experiment_id = experiment.experiment_id
        if sweep and SWEEP not in os.environ:
            parent = client.create_run(
                experiment_id, run_name="sweep", tags={"subject": subject, **SOURCE}
            )
            os.environ[SWEEP] = parent.info.run_id
        if sweep:
            tags = {**tags, MLFLOW_PARENT_RUN_ID: os.environ[SWEEP]}
        run = client.create_run(experiment_id, run_name=name)
        logged = [Param(key, str(value)[:500]) for key, value in params.items()]
        client.log_batch(
            run.info.run_id,
            params=logged,
            tags=[RunTag(k, v) for k, v in {**SOURCE, **tags}.items() if v],
        )
    except (MlflowException, OSError) as error:
        raise UserError(
            f"tracking.uri={mlflow.get_tracking_uri()}: MLflow does not answer ({str(error).splitlines()[0][:160]}); "
            "start the server, or leave tracking.uri out to record into mlruns/"
        ) from error
    try:
        yield run.info.run_id
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")


def record_epochs(run_id: str, epochs: list[dict[str, float]]) -> None:
    """Log `loss, accuracy, val_loss, val_accuracy` of each epoch, one call for all of them."""
    now = [
        Metric(name, value, int(epoch["timestamp_ms"]), step)
        for step, epoch in enumerate(epochs)
        for name, value in epoch.items()
        if name != "timestamp_ms"
    ]
    client = mlflow.MlflowClient()
    for start in range(0, len(now), 1000):
        client.log_batch(run_id, metrics=now[start : start + 1000])


def record_results(
    run_id: str,
    figures: dict[str, float],
    predictions: pd.DataFrame,
    classifier: Classifier,
    config_yaml: str,
    digest: str,
    plots: dict[str, Any],
) -> None:
    """Log the final figures, predictions.parquet, classifier/, the plots, the config and the dataset."""
    client = mlflow.MlflowClient()
    now = int(time.time() * 1000)
    client.log_batch(run_id, metrics=[Metric(k, v, now, 0) for k, v in figures.items()])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        predictions.to_parquet(out / "predictions.parquet", index=False)
        classifier.save(out / "classifier")
        (out / "config.yaml").write_text(config_yaml)
        (out / "plots").mkdir()
        for name, figure in plots.items():
            figure.savefig(out / "plots" / f"{name}.png", dpi=110, bbox_inches="tight")
        client.log_artifacts(run_id, str(out))
    _record_dataset(client, run_id, predictions, digest)


def _record_dataset(
    client: mlflow.MlflowClient, run_id: str, predictions: pd.DataFrame, digest: str
) -> None:
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import DatasetInput, InputTag

    table = predictions[["path", "fold", "label", "kind"]]
    dataset = from_pandas(table, name="album", digest=digest)  # type: ignore[no-untyped-call]
    entity = dataset._to_mlflow_entity()
    client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def rank(figures: dict[str, float]) -> tuple[float, float]:
    """What makes a run `best`: `select_auroc`, and among equals (many reach 1) the lower `select_loss`."""
    return figures.get("select_auroc", float("-inf")), -figures.get("select_loss", float("inf"))


def crown(run_id: str, subject: str, figures: dict[str, float], verdict: str) -> bool:
    """Describe the run, and when it is the subject's best, register it under the subject's name as `champion`.

    Only a champion is logged as an MLflow model: with the package's code and weights that is 20 MB and some seconds.
    """
    client = mlflow.MlflowClient()
    client.set_tag(run_id, MLFLOW_RUN_NOTE, verdict)
    if any(rank(run.metrics) >= rank(figures) for run in _others(subject, run_id)):
        return False
    import base64

    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    folder = Path(__file__).parents[1]
    signature = ModelSignature(
        Schema([ColSpec("string", "image")]),
        Schema([ColSpec("double", "probability"), ColSpec("string", "verdict")]),
    )
    example = pd.DataFrame({"image": [base64.b64encode(_example()).decode()]})
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(folder / "runs" / "served.py"),
            artifacts={
                "classifier": mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path="classifier"
                )
            },
            code_paths=[str(folder)],
            signature=signature,
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH],
        )
    with redirect_stderr(io.StringIO()):  # MLflow announces what `say_run` says
        made = mlflow.register_model(logged.model_uri, subject)
    client.update_model_version(subject, made.version, verdict)
    client.set_registered_model_alias(subject, "champion", made.version)
    return True


def _others(subject: str, run_id: str) -> list[Recorded]:
    try:
        return [
            run
            for run in finished_runs(subject, str(mlflow.get_tracking_uri()))
            if run.run_id != run_id
        ]
    except UserError:
        return []


def _example() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "#a86").save(out, "PNG")
    return out.getvalue()


def git_commit() -> str:
    """The commit of the working folder, with `+` when files differ from it; empty outside a checkout."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return said.stdout.strip()


def find_run(which: str, subject: str, uri: str | None = None) -> str:
    """Run id of `best` (see `rank`), `latest`, a run id or a unique prefix of one.

    Raises:
        UserError: there is none, or more than one.
    """
    runs = finished_runs(subject, uri)
    ids = [run.run_id for run in runs]
    if which == "latest":
        return ids[0]
    if which == "best":
        return max(
            reversed(runs), key=lambda run: rank(run.metrics)
        ).run_id  # of equals the oldest, the champion
    if which in (aliased := aliases(subject)):
        return aliased[which]
    matching = [run_id for run_id in ids if run_id.startswith(which)]
    if not re.fullmatch("[0-9a-f]+", which) or not matching:
        raise UserError(
            f"--run {which}: no such run; give best, latest, a run id or an alias from `ismila ui`"
        )
    if len(matching) > 1:
        raise UserError(f"--run {which}: {len(matching)} runs begin like this; give more of the id")
    return matching[0]


def aliases(subject: str) -> dict[str, str]:
    """Alias -> run id of the subject's registered model: `champion`, and those that a person gave."""
    client = mlflow.MlflowClient()
    try:
        named = client.get_registered_model(subject).aliases
        return {
            alias: str(client.get_model_version(subject, version).run_id)
            for alias, version in named.items()
        }
    except MlflowException:  # nothing is registered
        return {}


def finished_runs(
    subject: str, uri: str | None = None, parent: str | None = None
) -> list[Recorded]:
    """The subject's finished runs that have predictions, the newest first.

    Args:
        parent: only the children of this run.

    Raises:
        UserError: there is none.
    """
    client = connect(uri)
    experiment = client.get_experiment_by_name(subject)
    wanted = TRAINED + (f" and tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'" if parent else "")
    found = (
        client.search_runs([experiment.experiment_id], wanted, max_results=5000)
        if experiment
        else []
    )
    if not found:
        raise UserError(
            f"no finished run of {subject} yet; make one with: python -m ismila.train subject={subject}"
        )
    return [_recorded(run) for run in found]


def finished_sweep() -> list[Recorded]:
    """The finished runs of the multirun that is open in this process; empty when there is none."""
    client = mlflow.MlflowClient()
    parent = client.get_run(os.environ[SWEEP])
    try:
        return finished_runs(
            parent.data.tags["subject"], str(mlflow.get_tracking_uri()), parent.info.run_id
        )
    except UserError:  # each of them failed, and has said why
        client.set_terminated(os.environ.pop(SWEEP), "FAILED")
        return []


def read_run(run_id: str) -> Recorded:
    """A run's tags, params and figures."""
    return _recorded(mlflow.MlflowClient().get_run(run_id))


def _recorded(run: Run) -> Recorded:
    return Recorded(
        run.info.run_id, dict(run.data.tags), dict(run.data.params), dict(run.data.metrics)
    )


def read_epochs(run_id: str) -> dict[str, list[float]]:
    """`loss, accuracy, val_loss, val_accuracy` by epoch, as far as the run has them."""
    client = mlflow.MlflowClient()
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    told = {
        name: sorted(client.get_metric_history(run_id, name), key=lambda m: m.step)
        for name in names
    }
    return {
        name: [float(metric.value) for metric in history]
        for name, history in told.items()
        if history
    }


def load_predictions(run_id: str) -> pd.DataFrame:
    """A run's predictions.parquet."""
    table = pd.read_parquet(
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="predictions.parquet")
    )
    return table if "held_out" in table else table.assign(held_out=table["fold"] == "test")


def close_sweep(table: pd.DataFrame, readings: list[str]) -> None:
    """End the multirun's parent run with the comparison of its runs."""
    run_id = os.environ.pop(SWEEP)
    client = mlflow.MlflowClient()
    client.log_text(run_id, table.to_csv(index=False), "compare.csv")
    swept = " ".join(",".join(sorted(set(table[column]))) for column in ("model", "data"))
    client.set_tag(run_id, MLFLOW_RUN_NAME, f"sweep: {swept}, {table['seeds'].max()} seeds")
    client.set_tag(run_id, MLFLOW_RUN_NOTE, "\n\n".join(readings))
    client.set_terminated(run_id, "FINISHED")


def log_report(run_id: str, page: str) -> None:
    """Keep the page of `ismila report` with its run, as `report.html`.

    Raises:
        UserError: MLflow does not take it.
    """
    try:
        mlflow.MlflowClient().log_text(run_id, page, "report.html")
    except (MlflowException, OSError) as error:
        raise UserError(
            f"run {run_id}: MLflow does not take report.html ({str(error).splitlines()[0][:160]})"
        ) from error


def load_classifier(run_id: str) -> Classifier:
    """The classifier that a run recorded."""
    folder = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="classifier")
    return Classifier.load(Path(folder))
