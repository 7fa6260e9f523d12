"""`ismila ui`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ismila.cli.options import port_number

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser("ui", help="open the MLflow UI on the runs")
    parser.add_argument("--port", type=port_number, default=5000)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Run MLflow's own server on the runs until Ctrl-C."""
    from ismila.runs.database import DATABASE, is_tidy, sqlite_file

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    file = sqlite_file(uri)
    if file and not is_tidy(file):  # MLflow's own server would make the tables in place
        from ismila.runs.store import answering, connect

        with answering():
            connect(uri)
    # Without the type of workflow MLflow shows the experiments' prompts and traces, not their runs.
    address = f"http://127.0.0.1:{args.port}/#/experiments?workflowType=machine_learning"
    print(address, flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    return subprocess.run([*command, "--port", str(args.port)], check=False).returncode
