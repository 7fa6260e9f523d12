import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import chdir
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from conftest import settings
from mlflow.store.tracking.dbmodels.models import SqlDataset, SqlExperimentTag
from recorded import NoClassifier, at_once, is_tidy, predictions_of
from sqlalchemy import event

import ismila
from ismila.photos import UserError
from ismila.runs import outbox, record
from ismila.runs.database import sqlite_file, workplaces
from ismila.runs.outbox import PendingRun
from ismila.runs.record import (
    RunDescription,
    RunResults,
    describe,
    ismila_commit,
    job_digest,
    open_run,
    record_failure,
    record_report,
)
from ismila.runs.store import connect, find_experiment
from ismila.runs.view import TAG, view_tag

PACKAGE = Path(ismila.__file__).parent
BROKEN = RunDescription(subject="broken", name="x", params={}, tags={"model": "cnn"})


def git(folder, *command):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    return subprocess.run(
        ["git", *who, *command], cwd=folder, capture_output=True, text=True, check=True, env=env
    ).stdout.strip()


@pytest.fixture
def somebodys(tmp_path):
    """A repository that has nothing to do with ismila."""
    git(tmp_path, "init", "-q")
    (tmp_path / "notes").write_text("mine")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "mine")
    return tmp_path


def test_the_commit_is_that_of_ismila_wherever_one_stands(somebodys, monkeypatch):
    here = ismila_commit()
    theirs = git(somebodys, "rev-parse", "HEAD")
    monkeypatch.chdir(somebodys)
    assert ismila_commit() == here
    assert not here or not theirs.startswith(here.rstrip("+"))
    monkeypatch.setenv("GIT_DIR", str(somebodys / ".git"))  # as in a hook of that repository
    assert ismila_commit() == here


def test_an_installed_package_has_no_commit_even_inside_a_repository(somebodys):
    installed = somebodys / "env/ismila"
    installed.mkdir(parents=True)
    shutil.copy(PACKAGE / "__init__.py", installed)
    assert ismila_commit(installed) == ""
    git(somebodys, "add", ".")
    git(somebodys, "commit", "-qm", "vendored")
    assert git(somebodys, "rev-parse", "HEAD").startswith(ismila_commit(installed))
    (installed / "__init__.py").write_text("changed = True\n")
    assert ismila_commit(installed).endswith("+")
    assert ismila_commit(somebodys / "nowhere") == ""


def test_a_run_carries_what_it_was_made_with(ledger):
    run_id = ledger.run("recorder", params={f"model.p{at}": at for at in range(120)})
    client = mlflow.MlflowClient(ledger.uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["version"] == version("ismila")
    assert run.data.tags.get("git", "") == ismila_commit()
    assert run.data.tags["protocol"] == "fold"
    assert run.data.tags["mlflow.note.content"] == "loss 0.1"
    assert run.data.params["model.p119"] == "119"  # MLflow takes a hundred at once
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["album"]
    assert {"predictions.parquet", "classifier", "config.yaml"} <= {
        artifact.path for artifact in client.list_artifacts(run_id)
    }


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_a_run_that_breaks_off_has_failed_or_was_killed(ledger, error, status):
    with pytest.raises(error), open_run(BROKEN, ledger.uri) as run_id:
        raise error
    assert mlflow.MlflowClient(ledger.uri).get_run(run_id).info.status == status
    assert is_tidy(sqlite_file(ledger.uri))


def test_ctrl_c_while_a_run_is_being_made_ends_it_too(ledger, monkeypatch):
    monkeypatch.setattr(record, "ismila_commit", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), open_run(BROKEN, ledger.uri):
        pass
    client = mlflow.MlflowClient(ledger.uri)
    experiment = client.get_experiment_by_name("broken").experiment_id
    assert client.search_runs([experiment])[0].info.status == "KILLED"
    assert is_tidy(sqlite_file(ledger.uri))


def test_a_killed_run_is_ended_by_the_next_process_and_leaves_nothing(ledger):
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def killed():
        ledger.run("killed", classifier=SimpleNamespace(save=die))

    assert at_once(1, killed) == [-signal.SIGKILL]
    assert list(workplaces(sqlite_file(ledger.uri)).glob("*/artifacts/predictions.parquet"))
    with open_run(BROKEN, ledger.uri) as going_on:  # by this process, which lives
        client = connect(ledger.uri)
        experiment = client.get_experiment_by_name("killed").experiment_id
        [run] = client.search_runs([experiment])
        assert run.info.status == "KILLED"
        assert run.info.end_time
        assert run.data.tags["host"] == socket.gethostname()
        assert client.get_run(going_on).info.status == "RUNNING"
    assert client.get_run(going_on).info.status == "FINISHED"
    assert is_tidy(sqlite_file(ledger.uri))


def test_a_server_that_is_away_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # what waits for the server waits there
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    description = RunDescription(subject="x", name="x", params={}, tags={})
    away = open_run(description, "http://127.0.0.1:9")
    with pytest.raises(UserError, match="MLflow does not answer") as said, away:
        pass
    assert "\n" not in str(said.value)


def test_a_report_stays_with_its_run(ledger):
    run_id = ledger.run("reporter")
    record_report(run_id, "<html>")
    artifacts = mlflow.MlflowClient(ledger.uri).list_artifacts(run_id)
    assert "report.html" in [artifact.path for artifact in artifacts]
    with pytest.raises(UserError, match=r"does not take report\.html"):
        record_report("f" * 32, "<html>")


def test_results_are_named_not_counted():
    with pytest.raises(TypeError):
        RunResults({}, predictions_of(1, 1, 1), NoClassifier(), "", "", "fold", "", {})


def test_why_a_run_failed_stands_with_it(ledger):
    with pytest.raises(ZeroDivisionError), open_run(BROKEN, ledger.uri):
        1 / 0  # noqa: B018
    record_failure(BROKEN, "no photo", ledger.uri)
    client = connect(ledger.uri)
    experiment = client.get_experiment_by_name("broken").experiment_id
    runs = client.search_runs([experiment], max_results=2)
    why = [(run.info.status, run.data.tags["mlflow.note.content"]) for run in runs]
    assert why == [("FAILED", "no photo"), ("FAILED", "ZeroDivisionError: division by zero")]


def test_a_job_is_what_it_computes_not_where_it_lies_or_what_it_belongs_to():
    job = job_digest(settings("model=cnn", "seed=1"), "a")
    elsewhere = [
        "data.root=x",
        "data.cache=y",
        "tracking.uri=http://z",
        "sweep.name=n",
        "sweep.again=true",
    ]
    assert job == job_digest(settings("model=cnn", "seed=1", *elsewhere), "a")
    others = [
        job_digest(settings("model=cnn", "seed=2"), "a"),
        job_digest(settings("model=cnn", "seed=1", "model.lr=0.1"), "a"),
        job_digest(settings("model=cnn", "seed=1"), "b"),
        job_digest(settings("model=cnn", "seed=1", "trainer=smoke"), "a"),
        job_digest(settings("model=cnn", "seed=1", "trainer.precision=bf16-mixed"), "a"),
    ]
    assert len({job, *others}) == 6
    described = describe(settings("model=cnn", "sweep.name=n"), PACKAGE, "a", "")
    assert not [name for name in described.params if name.startswith("sweep.")]


def test_figures_belong_to_the_runs_model_and_to_its_album(ledger):
    run_id = ledger.run("linked", loss=0.25, epochs=[{"loss": 0.5, "timestamp_ms": 1000.0}])
    client = mlflow.MlflowClient(ledger.uri)
    [output] = client.get_run(run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.status == "READY"
    assert model.params["seed"] == "0"
    linked = {metric.key: metric for metric in model.metrics}
    assert linked["select_loss"].value == 0.25
    assert linked["select_loss"].dataset_name == "album"
    assert linked["select_loss"].dataset_digest == "a" * 16
    assert "loss" not in linked


def test_a_run_says_how_busy_its_machine_was_where_that_is_asked_for(ledger, monkeypatch):
    pytest.importorskip("psutil")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    description = RunDescription(subject="busy", name="x", params={}, tags={})
    opened = open_run(description, ledger.uri)
    with chdir(ledger.folder), opened as run_id, record.watching(run_id, True):
        time.sleep(0.2)
    measured = mlflow.MlflowClient(ledger.uri).get_run(run_id).data.metrics
    assert measured["system/cpu_utilization_percentage"] >= 0


def test_without_psutil_that_is_said_before_a_run_is_opened(monkeypatch):
    monkeypatch.setattr(record, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"ismila\[system\]"):
        record.require_watching(True)


def between_look_and_write(what, meanwhile):
    """Let something happen once after MLflow looked for a `what` and before it makes one."""
    event.listen(what, "before_insert", lambda *_: meanwhile(), once=True)


def test_runs_that_record_their_albums_dataset_at_once_are_both_recorded(ledger, tmp_path):
    client = mlflow.MlflowClient(ledger.uri)
    other = ledger.run("together", album="a" * 16)
    predictions_of(4, 4, 4).to_parquet(tmp_path / "predictions.parquet")
    parcel = PendingRun(run_id=other, subject="together", uri=ledger.uri, tags={}, digest="b" * 16)

    def meanwhile():
        outbox._record_dataset(client, parcel, tmp_path / "predictions.parquet")

    between_look_and_write(SqlDataset, meanwhile)
    run = client.get_run(ledger.run("together", album="b" * 16))
    assert run.info.status == "FINISHED"
    assert [one.dataset.digest for one in run.inputs.dataset_inputs] == ["b" * 16]


def test_a_view_that_others_give_an_experiment_at_once_is_no_error(ledger):
    client = mlflow.MlflowClient(ledger.uri)
    ledger.run("viewed")
    experiment = client.get_experiment_by_name("viewed").experiment_id
    client.delete_experiment_tag(experiment, TAG)  # as an earlier version made it

    def meanwhile():
        client.set_experiment_tag(experiment, TAG, "theirs")

    between_look_and_write(SqlExperimentTag, meanwhile)
    assert find_experiment(client, "viewed") == experiment
    assert client.get_experiment(experiment).tags[TAG] == view_tag()[TAG]
