import subprocess
import sys


def test_the_package_sets_what_mlflow_reads_and_imports_nothing_slow():
    script = (
        "import os, sys; os.environ.pop('MLFLOW_DISABLE_TELEMETRY', None); import ismila.runs; "
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], "
        "'mlflow' in sys.modules, 'torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["true", "False", "False"]


def test_train_asks_whether_a_sweep_is_open_without_waiting_for_mlflow():
    script = "import sys, ismila.train; print(ismila.train.SWEEP, 'mlflow' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["ISMILA_SWEEP_RUN", "False"]
