import subprocess
import sys

import pytest

from ismila.photos import UserError
from ismila.runs.store import answering, connect, first_line


def test_finding_a_run_needs_no_torch():
    script = (
        "import sys; import ismila.runs.find, ismila.runs.record; print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_the_server_that_is_named_comes_before_the_environments(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:8")
    assert connect("http://127.0.0.1:9").tracking_uri == "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:8")  # MLflow writes it, too
    assert connect().tracking_uri == "http://127.0.0.1:8"


def test_a_failure_of_mlflow_is_one_line_with_a_remedy():
    with pytest.raises(UserError) as said, answering():
        raise OSError("no route\nTraceback: ...")
    assert "\n" not in str(said.value)
    assert "(no route); start the server" in str(said.value)
    assert first_line(OSError()) == "OSError"
