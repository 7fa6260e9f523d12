"""The only place that speaks MLflow: record a run, find it again, the registry, sweeps.

MLflow reads these variables while it is imported, so they are set here: every module of this room
comes after its package. MLflow itself is imported by the modules, since it takes seconds.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody hears of a person's runs
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

SWEEP = "ISMILA_SWEEP_RUN"
"""Environment variable that holds the id of the sweep's parent run while one of its jobs runs, be
it here or in another process. It stands here so that asking for it imports no MLflow."""
SWEEP_HOST = "ISMILA_SWEEP_HOST"
"""Likewise, the machine that the sweep was started on."""
