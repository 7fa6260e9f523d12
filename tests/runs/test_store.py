import socket
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace

import pytest

from ismila.photos import UserError
from ismila.photos.names import first_line
from ismila.runs import SWEEP_HOST
from ismila.runs.database import sqlite_file, workplaces
from ismila.runs.store import alone, answering, connect, experiment_of, working


def test_finding_a_run_needs_no_torch():
    script = (
        "import sys; import ismila.runs.find, ismila.runs.record; print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_the_server_that_is_named_comes_before_the_environments(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:8")
    assert connect("http://127.0.0.1:9").tracking_uri == "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:8")  # MLflow writes it, too
    assert connect().tracking_uri == "http://127.0.0.1:8"


def test_a_server_that_takes_no_connection_is_said_before_it_is_waited_for(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    connect("http://somebody:secret@127.0.0.1:9")
    [line] = capsys.readouterr().err.splitlines()
    assert "127.0.0.1 takes no connection; trying for some minutes (Ctrl-C ends it)" in line
    assert "secret" not in line


@pytest.mark.parametrize("uri", ["http://[::1", "http://h:99999", "http://h:x", "http:///x"])
def test_what_is_no_address_is_not_waited_for(uri):
    with pytest.raises(UserError, match=r"expected http://HOST:PORT") as said:
        connect(uri)
    assert str(said.value).startswith(f"tracking.uri={uri}: ")


def test_nothing_is_said_of_a_server_that_is_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert capsys.readouterr().err == ""


def test_who_makes_an_experiment_second_takes_the_first(ledger):
    client = connect(ledger.uri)
    slow = SimpleNamespace(create_experiment=client.create_experiment)
    answers = iter([None])  # it was not there when it was looked for
    slow.get_experiment_by_name = lambda name: next(answers, client.get_experiment_by_name(name))
    with chdir(ledger.folder):
        first = experiment_of(client, "made twice")
        assert experiment_of(slow, "made twice") == first


def test_mlflows_temporary_files_go_beside_the_store_for_a_while(ledger):
    connect(ledger.uri)
    before = tempfile.gettempdir()
    with working() as folder:
        assert Path(tempfile.gettempdir()) == folder.resolve()
        assert folder.parent == workplaces(sqlite_file(ledger.uri))
    assert tempfile.gettempdir() == before
    assert not folder.exists()


def test_with_a_server_they_go_into_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    connect("http://127.0.0.1:9")
    with working() as folder, alone("champion") as is_alone:
        assert folder.is_relative_to(tmp_path / "ismila")
        assert not is_alone
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="XDG_CACHE_HOME"), working():
        pass


def test_a_failure_of_mlflow_is_one_line_with_a_remedy():
    with pytest.raises(UserError) as said, answering():
        raise OSError("no route\nTraceback: ...")
    assert "\n" not in str(said.value)
    assert "(no route); start the server" in str(said.value)
    assert first_line(OSError()) == "OSError"


def test_a_job_on_another_machine_than_its_sqlite_store_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(SWEEP_HOST, "elsewhere")
    with pytest.raises(UserError, match=r"SQLite's on elsewhere.*tracking=server"):
        connect(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(SWEEP_HOST, socket.gethostname())
    connect(f"sqlite:///{tmp_path}/mlflow.db")
