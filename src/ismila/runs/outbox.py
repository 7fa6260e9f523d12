"""A run's results on their way to MLflow: packed on disk, sent, and kept when a server has gone.

Whatever a run says is written down first, so that a server that goes away in the middle costs
nothing: the folder waits in `mlruns/unsent`, and `ismila sync` sends it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Run, RunTag
from mlflow.exceptions import MlflowException

from ismila.photos import UserError
from ismila.photos.names import first_line
from ismila.runs.naming import metric_key
from ismila.runs.store import answering, at_second_try, connect

UNSENT = Path("mlruns/unsent")
RECORD = "record.json"
ARTIFACTS = "artifacts"
DATASET = "album"
"""What the dataset of each run is called; its digest tells one from another."""
MODEL = "model"
OF_EPOCHS = ("loss", "accuracy", "val_loss", "val_accuracy")
REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")
"""MLflow's answers to what it will not take however often it is sent."""
METRICS_A_CALL = 1000
"""MLflow takes no more of them at once."""

Figure = tuple[str, float, int, int]
"""Name, value, time in milliseconds, step."""


class RefusedError(UserError):
    """MLflow answers, and does not take a run; all others were sent."""


@dataclass(frozen=True, kw_only=True)
class PendingRun:
    """What a run has to say besides its artifacts.

    Attributes:
        uri: of the tracking server that has the run.
        figures: those of the epochs, and at step 0 those of the end.
        digest: of the album; names the dataset. Empty: there is none to record.
    """

    run_id: str
    subject: str
    uri: str
    figures: Sequence[Figure] = ()
    tags: dict[str, str]
    digest: str = ""


def pack(parcel: PendingRun, folder: Path) -> None:
    """Write it into the folder, beside the `artifacts` that lie there."""
    (folder / RECORD).write_text(json.dumps(asdict(parcel)), encoding="utf-8")


def send(folder: Path) -> None:
    """Log what lies there and end the run; twice is the same as once.

    Raises:
        MlflowException, OSError: the server does not take it.
    """
    parcel = _parcel_of(folder)
    client = mlflow.MlflowClient()
    tags = [RunTag(name, value) for name, value in parcel.tags.items()]
    client.log_batch(parcel.run_id, tags=tags)
    artifacts = folder / ARTIFACTS
    if parcel.digest:  # before the figures, which are linked to it
        _record_dataset(client, parcel, artifacts / "predictions.parquet")
    metrics = _metrics(parcel, logged_model(client, client.get_run(parcel.run_id)))
    for start in range(0, len(metrics), METRICS_A_CALL):
        client.log_batch(parcel.run_id, metrics=metrics[start : start + METRICS_A_CALL])
    if artifacts.is_dir():
        client.log_artifacts(parcel.run_id, str(artifacts))


def _metrics(parcel: PendingRun, model_id: str) -> list[Metric]:
    """Figures of the end belong to the model that is kept, and to the album they were taken on."""
    dataset = DATASET if parcel.digest else None
    linked = (model_id, dataset, parcel.digest or None)
    return [
        Metric(metric_key(name), *rest, *(() if name in OF_EPOCHS else linked))
        for name, *rest in parcel.figures
    ]


def logged_model(client: mlflow.MlflowClient, run: Run) -> str:
    """The id of what MLflow calls the run's model, which is made where there is none: a page with
    its parameters and figures. The classifier itself lies with the run, and in the model once that
    is registered."""
    experiment = run.info.experiment_id
    run_id = run.info.run_id
    known = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=1)
    if known:
        return str(known[0].model_id)
    params = dict(run.data.params)
    model = client.create_logged_model(experiment, MODEL, run_id, params=params)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def _parcel_of(folder: Path) -> PendingRun:
    return PendingRun(**json.loads((folder / RECORD).read_text(encoding="utf-8")))


def _record_dataset(client: mlflow.MlflowClient, parcel: PendingRun, predictions: Path) -> None:
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import DatasetInput, InputTag

    table = pd.read_parquet(predictions, columns=["path", "fold", "label", "kind"])
    dataset = from_pandas(table, name=DATASET, digest=parcel.digest)
    context = [InputTag("mlflow.data.context", "training")]
    of_run = [DatasetInput(dataset._to_mlflow_entity(), context)]
    # the runs of an album share it, and those of a sweep end together
    at_second_try(partial(client.log_inputs, parcel.run_id, of_run))


def keep(folder: Path, run_id: str) -> Path:
    """Put what could not be sent where `sync` finds it.

    Raises:
        UserError: it cannot be written.
    """
    place = UNSENT / run_id
    aside = UNSENT / f".{run_id}.part"
    try:
        UNSENT.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, aside, dirs_exist_ok=True)
        aside.rename(place)
    except OSError as error:
        raise UserError(
            f"{UNSENT}: {error.strerror}; the results of run {run_id[:8]} are lost. Give it room "
            "and the right to write, and train again"
        ) from error
    return place


def waits(run_id: str) -> bool:
    """Results of the run wait to be sent."""
    return (UNSENT / run_id).is_dir()


def sync(uri: str | None = None) -> Iterator[PendingRun]:
    """Send what waits, the oldest first; each is deleted once the server has it.

    Args:
        uri: of the server, where it has another address than when the runs began.

    Raises:
        UserError: a server does not answer; what was not sent goes on waiting.
        RefusedError: at the end, when a server did not take a run.
    """
    if not UNSENT.is_dir():
        return
    refused: list[str] = []
    with FileLock(UNSENT / "sync.lock"):
        folders = [path.parent for path in UNSENT.glob(f"[!.]*/{RECORD}")]
        for folder in sorted(folders, key=lambda path: path.stat().st_mtime):
            parcel = _parcel_of(folder)
            with answering():
                try:
                    client = connect(uri or parcel.uri)
                    send(folder)
                    client.set_terminated(parcel.run_id, "FINISHED")
                except MlflowException as error:
                    if error.error_code not in REFUSED:
                        raise
                    refused.append(f"{folder}: {first_line(error)}")
                    continue  # the next one may be fine
            shutil.rmtree(folder)
            yield parcel
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise RefusedError(
            f"MLflow does not take {refused[0]}{more}; it goes on waiting: delete the folder to give it up"
        )
