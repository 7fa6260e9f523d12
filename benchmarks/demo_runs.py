"""What the benchmarks on the demo album share: its runs, trained where missing, an interval."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ismila.demo.drawn import read_marker
from ismila.demo.shots import Shot, plan_album
from ismila.evidence.metrics import is_subject, reported
from ismila.runs.find import Recorded, finished_runs, load_predictions

MODELS = ("cnn", "mobilenet", "pair", "reid")
DRAWS = 2000


def parse(text: str) -> argparse.Namespace:
    """The arguments of a benchmark that `text`, its docstring, describes."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, help="where album and runs are kept (default: a scratch folder)"
    )
    parser.add_argument("--root", type=Path, help="another album than the demo album, of mila")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--data", default="base,pets")
    parser.add_argument("--seeds", default="0,1,2")
    return parser.parse_args()


@contextmanager
def runs_of(args: argparse.Namespace) -> Iterator[list[Recorded]]:
    """Stand in the folder and have its runs, the networks that have none there trained first."""
    root = str(args.root.resolve()) if args.root else "null"
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        os.chdir(work)
        models = args.models.split(",")
        there = finished_runs("mila") if Path("mlruns").exists() else []
        for model in set(models) - {run.tags["model"] for run in there}:
            sweep = [f"model={model}", f"data={args.data}", f"seed={args.seeds}"]
            command = [sys.executable, "-m", "ismila.train", "-m", *sweep, f"data.root={root}"]
            subprocess.run(command, check=True, capture_output=True)
        runs = [run for run in finished_runs("mila") if run.tags["model"] in models]
        yield [run for run in runs if run.tags["data"] in args.data.split(",")]


def held_out(run: Recorded) -> pd.DataFrame:
    """The run's reported photos of the subject."""
    rows = reported(load_predictions(run.run_id))
    return rows[is_subject(rows)].reset_index(drop=True)


def named(table: list[dict[str, object]], run: Recorded) -> pd.DataFrame:
    """Rows that say which run they are of."""
    tags = {name: run.tags[name] for name in ("model", "data")}
    return pd.DataFrame(table).assign(**tags, seed=run.params["seed"])


def shots_of(root: Path) -> dict[str, Shot]:
    """The demo album's drawings by path; none when it is no demo album."""
    marker = read_marker(root)
    if marker is None:
        return {}
    return {shot.path: shot for shot in plan_album(marker.subject, marker.seed, 1.0)}


def mean_of(rows: pd.DataFrame, name: str) -> str:
    """A column's mean with its 95 % interval: bootstrap over groups, NaN left out."""
    known = rows[rows[name].notna()]
    if not len(known):
        return "-"
    sums = known.groupby("group")[name].agg(["sum", "count"]).to_numpy(dtype=float)
    draw = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    low, high = np.quantile(sums[draw, 0].sum(1) / sums[draw, 1].sum(1), [0.025, 0.975])
    return f"{known[name].mean():.3f} ({low:.2f} to {high:.2f})"
