"""Are the figures of `ismila compare` those of scikit-learn? Recomputed from predictions.parquet, nothing shared.

    .venv/bin/python benchmarks/check_compare.py [--mlruns mlruns] [--subject mila]

Reads the tracking database with sqlite3 and each run's predictions.parquet, takes every mean from scikit-learn and the
Wilson intervals from scipy, and prints the largest difference. Exit code 1 when it is above 1e-9.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, roc_auc_score

TOLERANCE = 1e-9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mlruns", type=Path, default=Path("mlruns"))
    parser.add_argument("--subject", default="mila")
    args = parser.parse_args()
    command = [sys.executable, "-m", "ismila.cli", "compare", "--json", "--subject", args.subject]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=args.mlruns.resolve().parent)
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    runs = read_runs(args.mlruns / "mlflow.db", args.subject)
    worst, compared = 0.0, 0
    for row in rows:
        same = runs[row["model"], row["data"]]
        if row["settings"] or len(same) != row["seeds"]:
            print(f"{row['model']} {row['data']} {row['settings']}: left out, {len(same)} runs, {row['seeds']} seeds")
            continue
        for name, value in expected(same).items():
            worst, compared = max(worst, abs(row[name] - value)), compared + 1
            if abs(row[name] - value) > TOLERANCE:
                print(f"{row['model']} {row['data']} {name}: {row[name]} is not {value}")
        if row["data"] != "base" and len(runs[row["model"], "base"]) == row["seeds"]:
            for name, value in differences(same, runs[row["model"], "base"]).items():
                worst, compared = max(worst, abs(row[name] - value)), compared + 1
                if abs(row[name] - value) > TOLERANCE:
                    print(f"{row['model']} {row['data']} {name}: {row[name]} is not {value}")
    print(f"{compared} figures of {len(rows)} rows, largest difference {worst:.1e}")
    return int(worst > TOLERANCE or not compared)


def read_runs(database: Path, subject: str) -> dict[tuple[str, str], list[tuple[int, float, pd.DataFrame]]]:
    """(model, data) -> seed, threshold and predictions of each finished run on the newest run's album."""
    runs: dict[tuple[str, str], list[tuple[int, float, pd.DataFrame]]] = defaultdict(list)
    with sqlite3.connect(database) as db:
        found = db.execute(
            "SELECT run_uuid, artifact_uri FROM runs JOIN experiments USING (experiment_id) "
            "WHERE status = 'FINISHED' AND experiments.name = ? ORDER BY start_time DESC",
            [subject],
        ).fetchall()
        album = None
        for run, where in found:
            tags = dict(db.execute("SELECT key, value FROM tags WHERE run_uuid = ?", [run]))
            if "model" not in tags or (album := album or tags["album"]) != tags["album"]:
                continue
            [[seed]] = db.execute("SELECT value FROM params WHERE run_uuid = ? AND key = 'seed'", [run])
            [[threshold]] = db.execute(
                "SELECT value FROM latest_metrics WHERE run_uuid = ? AND key = 'threshold'", [run]
            )
            table = pd.read_parquet(Path(unquote(urlparse(where).path)) / "predictions.parquet")
            runs[tags["model"], tags["data"]].append((int(seed), float(threshold), table))
    return runs


def expected(runs: list[tuple[int, float, pd.DataFrame]]) -> dict[str, float]:
    """Means over runs of each figure, and Wilson's intervals by scipy where one photo is one trial."""
    told: dict[str, list[float]] = defaultdict(list)
    trials: dict[str, set[str]] = defaultdict(set)
    for _, threshold, table in runs:
        val, test = table[table["fold"] == "val"], table[table["held_out"]]
        truth, p = test["label"].eq("subject").to_numpy(), test["probability"].to_numpy(np.float64)
        taken = p >= threshold
        told["select_auroc"].append(roc_auc_score(val["label"].eq("subject"), val["probability"]))
        told["test_auroc"].append(roc_auc_score(truth, p))
        told["test_accuracy"].append(accuracy_score(truth, taken))
        told["test_balanced_accuracy"].append(balanced_accuracy_score(truth, taken))
        told["test_recall"].append(recall_score(truth, taken))
        told["test_ece"].append(calibration_error(truth, p))
        parts = {"test_recall": truth, "test_fpr_things": test["label"].eq("things").to_numpy()}
        parts["test_fpr_pets"] = test["label"].eq("pets").to_numpy()
        parts |= {f"test_fpr_{k}": test["kind"].eq(k).to_numpy() for k in test.loc[parts["test_fpr_pets"], "kind"]}
        for name, part in parts.items():
            trials[name] |= set(test.loc[part, "path"])
            if name != "test_recall" and part.any():  # specificity, that is recall of "not": 1 - false positive rate
                told[name].append(1 - recall_score(~truth[part], ~taken[part]))
    means = {name: float(np.mean(values)) for name, values in told.items()}
    for name, photos in trials.items():
        hits = means[name] * len(photos)
        if abs(hits - round(hits)) < 1e-6:  # scipy takes whole counts
            interval = binomtest(round(hits), len(photos)).proportion_ci(method="wilson")
            means |= {f"{name}_low": float(interval.low), f"{name}_high": float(interval.high)}
    return means


def calibration_error(truth: np.ndarray, p: np.ndarray) -> float:
    """Ten equal bins, each weighted by its share of the photos."""
    error = 0.0
    for low in range(10):
        inside = (p * 10 >= low) & ((p * 10 < low + 1) | (low == 9))
        if inside.any():
            error += inside.mean() * abs(p[inside].mean() - truth[inside].mean())
    return error


def differences(
    runs: list[tuple[int, float, pd.DataFrame]], base: list[tuple[int, float, pd.DataFrame]]
) -> dict[str, float]:
    """This variant's rate less base's, over the photos that both runs of a seed hold out."""
    of_seed = {seed: (threshold, table.set_index("path")) for seed, threshold, table in base}
    change: dict[str, list[int]] = defaultdict(list)
    for seed, threshold, table in runs:
        base_threshold, before = of_seed[seed]
        for row in table[table["held_out"]].itertuples():
            if row.path in before.index and before.at[row.path, "held_out"]:
                name = {"subject": "d_test_recall", "things": "d_test_fpr_things", "pets": "d_test_fpr_pets"}[row.label]
                now, then = row.probability >= threshold, before.at[row.path, "probability"] >= base_threshold
                change[name].append(int(now) - int(then))
    return {name: float(np.mean(values)) for name, values in change.items()}


if __name__ == "__main__":
    sys.exit(main())
