"""`ismila watch`, in a process of its own, on a folder in which photos arrive."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import call, draw_photo

from ismila.cli.main import main

pytestmark = pytest.mark.slow


def rows(table):
    """Path -> verdict, as soon as there is a table."""
    if not table.exists():
        return {}
    with table.open(newline="") as file:
        return {row["path"]: row["verdict"] for row in csv.DictReader(file)}


def wait_for(condition, process, timeout_s=90):
    end = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.1)


def test_photos_that_arrive_are_judged_and_those_that_go_are_forgotten(trained, tmp_path):
    library = tmp_path / "library"
    draw_photo(library / "first.jpg", 1, True)
    table = library / "found.csv"  # our own table must not call us again
    command = [sys.executable, "-m", "ismila.cli", "watch", str(library), "--run", "latest"]
    command += ["--csv", str(table), "--state", str(tmp_path / "state.sqlite")]
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{trained}/mlruns/mlflow.db"}
    watching = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, **store},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: set(rows(table)) == {"first.jpg"}, watching)
    draw_photo(library / "2026/new.jpg", 2, True)
    wait_for(lambda: set(rows(table)) == {"first.jpg", "2026/new.jpg"}, watching)
    assert set(rows(table).values()) == {"mila"}
    time.sleep(2.5)  # longer than it takes to look again
    (library / "first.jpg").unlink()
    wait_for(lambda: set(rows(table)) == {"2026/new.jpg"}, watching)
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=30)
    assert watching.returncode == 0
    assert "goes on from here" in err
    # a new folder may be seen before what is in it; nothing for its own table, nothing for nothing
    assert 3 <= out.count(" judged now") <= 5
    scanned = call(
        trained, "ismila.cli", "scan", library, "--run", "latest",
        "--state", tmp_path / "state.sqlite",
    )  # fmt: skip
    assert "0 photos judged now, 1 before" in scanned.stdout


@pytest.mark.parametrize("every", ["0", "soon", "-1", "86401"])
def test_a_time_that_is_none_is_wrong_usage(every, capsys):
    with pytest.raises(SystemExit) as left:
        main(["watch", "library", "--every", every])
    assert left.value.code == 2
    assert "expected 1 to 86400 seconds" in capsys.readouterr().err
