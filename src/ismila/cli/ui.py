"""`ismila ui`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ismila.cli.options import SUBJECT, port_number

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""MLflow's server starts eight processes more for jobs that judge language models: nobody here has any."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser("ui", parents=[SUBJECT], help="open the MLflow UI on the runs")
    parser.add_argument("--port", type=port_number, default=5000)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Run MLflow's own server on the runs until Ctrl-C; the address shows the subject's figures."""
    from ismila.runs.store import answering, connect, find_experiment, tracking_uri
    from ismila.runs.view import NO_PROMPTS, view_address

    with answering():
        experiment = find_experiment(connect(), args.subject)
    uri = tracking_uri()
    if uri.startswith("http"):  # MLflow's server runs already
        print(view_address(uri.rstrip("/"), experiment) if experiment else uri)
        return 0
    server = f"http://127.0.0.1:{args.port}"
    address = f"{server}/#/experiments?{NO_PROMPTS}"
    print(view_address(server, experiment) if experiment else address, flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--port", str(args.port)]
    return subprocess.run(command, check=False, env={**NO_JOBS, **os.environ}).returncode
