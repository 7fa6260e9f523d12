"""MLflow's own server on a PostgreSQL that the test starts, and what happens when either goes away."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import chdir, contextmanager
from pathlib import Path

import mlflow
import pytest
from conftest import SMALL, call, draw_album
from loopback import free_port
from recorded import NoClassifier, predictions_of

from ismila.cli.main import main
from ismila.cli.ui import NO_JOBS
from ismila.learning.held_out import HeldOutClassifiers
from ismila.photos import UserError
from ismila.runs import outbox
from ismila.runs.outbox import UNSENT, waits
from ismila.runs.record import RunDescription, RunResults, open_run, record

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
pytestmark = pytest.mark.slow


class Database:
    """A PostgreSQL cluster in a folder; it refuses to run as root, and is given to `postgres` then."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = (
            Path(tempfile.mkdtemp()) / "cluster"
        )  # pytest's own folders are closed to others
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.user:
            shutil.chown(self.folder.parent, "postgres")
        self._call("initdb", "-U", "mlflow", "-A", "trust", "--no-sync", "-D")
        self.start()
        self.uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{self.port}/postgres"

    def _call(self, program: str, *args: str) -> None:
        command = [*self.user, str(POSTGRES[0] / program), *args, str(self.folder)]
        said = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        assert said.returncode == 0, said.stderr

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder.parent} -c fsync=off"
        log = str(self.folder.parent / "log")
        self._call("pg_ctl", "start", "-w", "-l", log, "-o", options, "-D")

    def stop(self) -> None:
        self._call("pg_ctl", "stop", "-m", "immediate", "-D")

    def delete(self) -> None:
        self.stop()
        shutil.rmtree(self.folder.parent)


class Server:
    """`mlflow server`, as README starts it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", self.database.uri, "--port", str(port)]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, process_group=0, env={**NO_JOBS, **os.environ}
            )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text()[-2000:])

    def signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        self._process.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not POSTGRES:
        pytest.skip("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
    database = Database()
    running = Server(database, tmp_path_factory.mktemp("server"))
    yield running
    running.stop()
    database.delete()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What waits for a server waits in a folder of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


RESULTS = RunResults(
    figures={"select_loss": 0.1, "threshold": 0.5, "test_recall": 0.75},
    predictions=predictions_of(4, 4, 4),
    selection=predictions_of(4, 4, 4),
    classifier=NoClassifier("away"),
    config_yaml="seed: 0\n",
    digest="a" * 16,
    protocol="fold",
    held_out=HeldOutClassifiers({}),
    selection_is_clean=True,
    summary="in a sentence",
    plots={},
)
EPOCHS = [{"loss": 0.5, "accuracy": 0.9, "timestamp_ms": 1000.0}]
TAGS = {"model": "mobilenet", "data": "pets", "subject": "away", "album": "a" * 16}


@contextmanager
def opened(server):
    tags = RunDescription(subject="away", name="x", params={"seed": 0}, tags=TAGS)
    with open_run(tags, server.uri) as run_id:
        yield run_id


def has_all(server, run_id):
    """The run has what it said, and is over."""
    client = mlflow.MlflowClient(server.uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == RESULTS.figures | {"loss": 0.5, "accuracy": 0.9}
    assert run.data.tags["protocol"] == "fold"
    assert run.inputs.dataset_inputs[0].dataset.digest == RESULTS.digest
    kept = {artifact.path for artifact in client.list_artifacts(run_id)}
    return {"predictions.parquet", "classifier", "config.yaml"} <= kept


def test_a_training_is_recorded_on_a_server_with_postgresql(server, tmp_path):
    draw_album(tmp_path / "album")
    named = server.uri.replace("http://", "http://me:secret@")
    asked = [*SMALL, "data.root=album", "tracking=server", f"tracking.uri={named}"]
    said = call(tmp_path, "ismila.train", *asked)
    assert said.returncode == 0, said.stderr
    client = mlflow.MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("mila")
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["select_loss"] < 1
    assert client.get_model_version_by_alias("mila", "champion").run_id == run.info.run_id
    assert not UNSENT.exists()
    assert run.data.params["tracking.uri"] == server.uri.replace("http://", "http://me:***@")
    config = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/config.yaml")
    assert "me:***@" in config and "secret" not in config + said.stdout + said.stderr


def test_a_database_that_is_away_for_a_while_is_waited_for(server):
    with opened(server) as run_id:
        server.database.stop()
        back = threading.Timer(1.5, server.database.start)
        back.start()
        assert record(run_id, EPOCHS, RESULTS) == ""
        back.join()
    assert has_all(server, run_id)


def test_a_server_that_goes_away_loses_nothing(server, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with opened(server) as run_id:
        server.signal(signal.SIGSTOP)  # it takes connections, and answers nobody
        assert record(run_id, EPOCHS, RESULTS)
    assert waits(run_id)
    assert main(["sync"]) == 1
    assert "MLflow does not answer" in capsys.readouterr().err
    assert waits(run_id)
    server.signal(signal.SIGCONT)
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    assert main(["sync"]) == 0
    assert f"sent run {run_id} (away)" in capsys.readouterr().out
    assert has_all(server, run_id)
    assert not waits(run_id)
    assert main(["sync"]) == 0
    assert "nothing waits" in capsys.readouterr().out


def test_what_cannot_be_kept_is_said(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(outbox, "UNSENT", tmp_path / "file/unsent")
    with chdir(tmp_path), pytest.raises(UserError, match="the results of run 0000 are lost"):
        outbox.keep(tmp_path / "folder", "0000")
