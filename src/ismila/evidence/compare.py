"""All runs of a subject side by side: model x variant, means and intervals over seeds, differences from `base`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.evidence.metrics import held_out_figures, wilson
from ismila.runs import Recorded, load_predictions

RESAMPLES = 2000
READ = {"test_recall": "recall", "test_fpr_pets": "false positives on animals", "test_fpr_things": "on things"}


@dataclass(frozen=True)
class RunFigures:
    """What `compare` needs of a run.

    Attributes:
        predictions: `path, group, label, kind, closeup, probability, held_out, fold`.
    """

    run_id: str
    model: str
    data: str
    seed: int
    threshold: float
    predictions: pd.DataFrame


def figures_of(runs: Sequence[Recorded]) -> tuple[list[RunFigures], int]:
    """Runs on the newest run's album with their predictions, and how many were left out for another album."""
    album = runs[0].tags["album"]
    same = [run for run in runs if run.tags["album"] == album]
    return [
        RunFigures(
            run.run_id,
            run.tags["model"],
            run.tags["data"],
            int(run.params["seed"]),
            run.metrics["threshold"],
            load_predictions(run.run_id),
        )
        for run in same
    ], len(runs) - len(same)


def compare_runs(runs: Sequence[RunFigures]) -> pd.DataFrame:
    """One row a model x variant: `model, data, seeds, n_<figure>`, each figure's mean, `_low` and `_high`.

    Intervals: of rates Wilson's, with as many photos as were held out in any of the runs (a photo that two seeds hold
    out counts once); of other figures Student's t over seeds. Differences from `base` (`d_<figure>`, `_low`, `_high`)
    are paired: the same photos of the same seeds, bootstrapped over groups. A last column says it in words.
    """
    rows = []
    for (model, data), same in _grouped(runs).items():
        row: dict[str, Any] = {"model": model, "data": data, "seeds": len(same)}
        figures = pd.DataFrame([held_out_figures(run.predictions, run.threshold) for run in same])
        for name in figures:
            row |= _interval(str(name), figures[name].dropna().to_numpy(), same)
        base = {run.seed: run for run in _grouped(runs).get((model, "base"), [])}
        pairs = [(run, base[run.seed]) for run in same if run.seed in base] if data != "base" else []
        for name in READ if pairs else []:
            row |= _difference(name, pairs)
        rows.append({**row, "reading": _reading(row, data)})
    table = pd.DataFrame(rows)
    return table.sort_values(["model", "data"]).reset_index(drop=True) if len(table) else table


def _grouped(runs: Sequence[RunFigures]) -> dict[tuple[str, str], list[RunFigures]]:
    """The first run given of each model, variant and seed."""
    kept: dict[tuple[str, str], dict[int, RunFigures]] = {}
    for run in runs:
        kept.setdefault((run.model, run.data), {}).setdefault(run.seed, run)
    return {key: list(of_seed.values()) for key, of_seed in kept.items()}


def _interval(name: str, values: npt.NDArray[np.float64], runs: Sequence[RunFigures]) -> dict[str, float]:
    if not len(values):
        return {}
    mean = float(values.mean())
    low = high = float("nan")
    if name in READ:
        n = len(set().union(*(run.predictions.loc[_part(run.predictions, name), "path"] for run in runs)))
        low, high = wilson(mean * n, n)
    elif len(values) > 1:
        from scipy.stats import t  # type: ignore[attr-defined]

        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        low, high = max(mean - half, 0.0), min(mean + half, 1.0)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _part(predictions: pd.DataFrame, name: str) -> pd.Series[bool]:
    label = {"test_recall": "subject", "test_fpr_pets": "pets", "test_fpr_things": "things"}[name]
    return predictions["held_out"] & (predictions["label"] == label)


def _difference(name: str, pairs: Sequence[tuple[RunFigures, RunFigures]]) -> dict[str, float]:
    changes = []
    for run, base in pairs:
        both = run.predictions[_part(run.predictions, name)].merge(
            base.predictions.loc[_part(base.predictions, name), ["path", "probability"]],
            on="path",
            suffixes=("", "_base"),
        )
        taken = (both["probability"] >= run.threshold).astype(int)
        changes.append(both.assign(change=taken - (both["probability_base"] >= base.threshold).astype(int)))
    table = pd.concat(changes)
    if not len(table):
        return {}
    sums = table.groupby("group")["change"].agg(["sum", "count"]).to_numpy(dtype=float)
    draw = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[draw, 0].sum(1) / sums[draw, 1].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {f"d_{name}": float(table["change"].mean()), f"d_{name}_low": float(low), f"d_{name}_high": float(high)}


def _reading(row: dict[str, Any], data: str) -> str:
    said = []
    for name, words in READ.items():
        if f"d_{name}" not in row:
            continue
        change, low, high = (row[f"d_{name}{end}"] for end in ("", "_low", "_high"))
        if low <= 0 <= high:
            words = f"{words} unchanged" if change == 0 else f"no clear change of {words}"
            said.append(f"{words} ({change:+.1%}, {low:+.1%} to {high:+.1%})")
            continue
        verb = "lowers" if change < 0 else "raises"
        said.append(f"{verb} {words} from {row[name] - change:.1%} to {row[name]:.1%} ({low:+.1%} to {high:+.1%})")
    return f"{data} against base: {'; '.join(said)}" if said else ""
