"""Are the figures of `ismila compare` those of scikit-learn? Recomputed from predictions.parquet and
selection.parquet, nothing shared.

    .venv/bin/python benchmarks/check_compare.py [--mlruns mlruns] [--subject mila]

Reads the tracking database with sqlite3 and each run's tables, takes every mean from
scikit-learn, counts pairs of photos for the intervals by groups, and prints the largest difference. Exit
code 1 when it is above 1e-9.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    recall_score,
    roc_auc_score,
)

TOLERANCE = 1e-9


class Run(NamedTuple):
    model: str
    data: str
    seed: int
    table: pd.DataFrame
    params: dict[str, str]
    selection: pd.DataFrame


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mlruns", type=Path, default=Path("mlruns"))
    parser.add_argument("--subject", default="mila")
    args = parser.parse_args()
    command = [sys.executable, "-m", "ismila.cli", "compare", "--json", "--subject", args.subject]
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=args.mlruns.resolve().parent
    )
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    runs = read_runs(args.mlruns / "mlflow.db", args.subject)
    rows_of = {(row["model"], row["data"], row["settings"]): pick(runs, row, rows) for row in rows}
    worst, compared = 0.0, 0
    for row in rows:
        this = (row["model"], row["data"], row["settings"])
        if len(rows_of[this]) != row["seeds"]:
            print(f"{this}: {row['seeds']} seeds, found {len(rows_of[this])}")
            worst = float("inf")
            continue
        print(f"{' '.join(filter(None, this))}: {row['seeds']} seeds")
        told = expected(rows_of[this])
        base = rows_of.get(
            (row["model"], "base", row["settings"] if row["data"] != "base" else ""), []
        )
        plain = "protocol=crossval" if "protocol=crossval" in row["settings"] else ""
        base = base or rows_of.get((row["model"], "base", plain), [])
        if this != (row["model"], "base", plain) and base:
            told |= differences(rows_of[this], base)
        for name, value in told.items():
            worst, compared = max(worst, abs(row[name] - value)), compared + 1
            if abs(row[name] - value) > TOLERANCE:
                print(f"{this} {name}: {row[name]} is not {value}")
    print(f"{compared} figures of {len(rows)} rows, largest difference {worst:.1e}")
    return int(worst > TOLERANCE or not compared)


def pick(runs: list[Run], row: dict[str, str], rows: list[dict[str, str]]) -> list[Run]:
    """The runs a row stands for: of its model and variant, with its settings and no other row's;
    newest of a seed."""

    def fits(run: Run, settings: str) -> bool:
        return all(
            run.params.get(name, "unset") == value
            for name, value in (w.split("=") for w in settings.split())
        )

    alike = [
        other["settings"]
        for other in rows
        if (other["model"], other["data"]) == (row["model"], row["data"])
    ]
    found: dict[int, Run] = {}
    for run in runs:
        if (run.model, run.data) == (row["model"], row["data"]):
            best = max(
                (s for s in alike if fits(run, s)), key=lambda settings: len(settings.split())
            )
            if best == row["settings"]:
                found.setdefault(run.seed, run)
    return list(found.values())


def read_runs(database: Path, subject: str) -> list[Run]:
    """Each finished run on the newest run's album, the newest first."""
    runs: list[Run] = []
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
            params = dict(db.execute("SELECT key, value FROM params WHERE run_uuid = ?", [run]))
            folder = Path(unquote(urlparse(where).path))
            table = pd.read_parquet(folder / "predictions.parquet")
            selection = pd.read_parquet(folder / "selection.parquet")
            short = {name.split(".")[-1]: value for name, value in params.items()}
            short["protocol"] = tags["protocol"]
            seed = int(params["seed"])
            runs.append(Run(tags["model"], tags["data"], seed, table, short, selection))
    return runs


def expected(runs: list[Run]) -> dict[str, float]:
    """Means over runs of each figure, and intervals by groups of the rates."""
    told: dict[str, list[float]] = defaultdict(list)
    trials: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for *_, table, _, selection in runs:
        test = reported(table)
        truth = test["label"].eq("subject").to_numpy()
        p = test["probability"].to_numpy(np.float64)
        taken = p >= test["threshold"].to_numpy(np.float64)
        chosen = selection["label"].eq("subject")
        p_chosen = selection["probability"].astype(float).clip(1e-7, 1 - 1e-7)
        told["select_auroc"].append(roc_auc_score(chosen, selection["probability"]))
        told["select_loss"].append(log_loss(chosen, p_chosen, sample_weight=balanced(selection)))
        told["test_auroc"].append(roc_auc_score(truth, p))
        told["test_accuracy"].append(accuracy_score(truth, taken))
        told["test_balanced_accuracy"].append(balanced_accuracy_score(truth, taken))
        told["test_recall"].append(recall_score(truth, taken))
        told["test_ece"].append(calibration_error(truth, p, balanced(test)))
        parts = {"test_recall": truth, "test_fpr_things": test["label"].eq("things").to_numpy()}
        parts["test_fpr_pets"] = test["label"].eq("pets").to_numpy()
        parts |= {
            f"test_fpr_{k}": test["kind"].eq(k).to_numpy()
            for k in test.loc[parts["test_fpr_pets"], "kind"]
        }
        for name, part in parts.items():
            answers = test.loc[part, ["path", "group"]].assign(hit=taken[part].astype(float))
            trials[name].append(answers.assign(weight=1 / max(len(answers), 1)))
            if (
                name != "test_recall" and part.any()
            ):  # specificity, that is recall of "not": 1 - false positive rate
                told[name].append(1 - recall_score(~truth[part], ~taken[part]))
    means = {name: float(np.mean(values)) for name, values in told.items()}
    for name, tables in trials.items():
        if name in means:
            low, high = interval(pd.concat(tables))
            means |= {f"{name}_low": low, f"{name}_high": high}
    return means


def interval(answers: pd.DataFrame) -> tuple[float, float]:
    """95 % by Wilson, for the number of independent photos that these are worth; pair by pair."""
    photos = []  # weight, share of hits and group of each
    for _, of_one in answers.groupby("path"):
        weight = of_one["weight"].sum()
        share = (of_one["hit"] * of_one["weight"]).sum() / weight
        photos.append((weight, share, of_one["group"].iloc[0]))
    total = sum(weight for weight, *_ in photos)
    rate = sum(weight * share for weight, share, _ in photos) / total
    expected = seen = 0.0  # of all pairs of photos in a group
    with_pairs = set()
    for one, (weight, share, group) in enumerate(photos):
        for other, (weight2, share2, group2) in enumerate(photos):
            if one != other and group == group2:
                expected += weight * weight2
                seen += weight * (share - rate) * weight2 * (share2 - rate)
                with_pairs.add(group)
    alone = sum(weight**2 for weight, *_ in photos)
    alike = 0.0
    if with_pairs:
        smoothed = (rate * len(photos) + 1) / (len(photos) + 2)
        doubt = 3 * expected / len(with_pairs) * smoothed * (1 - smoothed)
        alike = (seen + doubt) / (expected * rate * (1 - rate) + doubt)
    n = total**2 / (alone + min(max(alike, 0), 1) * expected)
    square = norm.ppf(0.975) ** 2 / n  # (rate - x)^2 = square x (1 - x)
    ends = np.roots([1 + square, -2 * rate - square, rate**2]).real
    return max(float(min(ends)), 0.0), min(float(max(ends)), 1.0)


def reported(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that figures are measured on."""
    return table[table["held_out_by"].str.match(r"test$|crossval")]


def balanced(table: pd.DataFrame) -> np.ndarray:
    """Weights with which the subject's photos count a half, and things and other animals share the
    other half."""
    counts = table["label"].value_counts()
    others = len(counts) - 1
    shares = {
        label: (0.5 if label == "subject" else 0.5 / others) / n for label, n in counts.items()
    }
    return table["label"].map(shares).to_numpy(np.float64)


def calibration_error(truth: np.ndarray, p: np.ndarray, weights: np.ndarray) -> float:
    """Ten equal bins, each weighted by its share of the weights."""
    error = 0.0
    for low in range(10):
        inside = (p * 10 >= low) & ((p * 10 < low + 1) | (low == 9))
        if inside.any():
            share = weights[inside]
            means = [np.average(values[inside], weights=share) for values in (p, truth)]
            error += share.sum() / weights.sum() * abs(means[0] - means[1])
    return float(error)


def differences(runs: list[Run], base: list[Run]) -> dict[str, float]:
    """This variant's rate less base's, over the photos that both runs of a seed hold out."""
    names = {"subject": "d_test_recall", "things": "d_test_fpr_things", "pets": "d_test_fpr_pets"}
    of_seed = {run.seed: reported(run.table).set_index("path") for run in base}
    change: dict[str, list[int]] = defaultdict(list)
    for _, _, seed, table, *_ in runs:
        before = of_seed.get(seed, pd.DataFrame())
        for row in reported(table).itertuples():
            if row.path in before.index:
                then = before.loc[row.path]
                now_taken = row.probability >= row.threshold
                then_taken = then["probability"] >= then["threshold"]
                change[names[row.label]].append(int(now_taken) - int(then_taken))
    return {name: float(np.mean(values)) for name, values in change.items()}


if __name__ == "__main__":
    sys.exit(main())
