"""All runs of a subject side by side: model x variant, means and intervals over seeds, differences from `base`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.evidence.metrics import auroc_interval, held_out_figures, parts_of, wilson
from ismila.evidence.summary import FEW
from ismila.runs import Recorded, load_predictions

RESAMPLES = 2000
READ = {
    "test_fpr_pets": "false positives on animals",
    "test_recall": "recall",
    "test_fpr_things": "false positives on things",
}
NO_SETTING = (
    "seed",
    "subject",
    "album.root",
    "data.root",
    "data.cache",
    "data.name",
    "model.name",
    "tracking.",
    "trainer.",
)
"""Parameters that do not make a run another kind of run: what it drew, where things lie, what already names the row."""


@dataclass(frozen=True)
class RunFigures:
    """What `compare` needs of a run.

    Attributes:
        predictions: `path, group, label, kind, closeup, probability, held_out, fold`.
        settings: what else sets it apart from most runs of its model and variant, `hidden=128 refit=all`.
    """

    run_id: str
    model: str
    data: str
    seed: int
    threshold: float
    predictions: pd.DataFrame
    settings: str = ""


Kind = tuple[str, str, str]
"""Model, data and settings: a row of the table."""


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
            settings,
        )
        for run, settings in zip(same, _settings(same), strict=True)
    ], len(runs) - len(same)


def _settings(runs: Sequence[Recorded]) -> list[str]:
    """For each run the settings in which it differs from most runs of its model and variant (in doubt the oldest)."""
    alike: dict[tuple[str, str], list[Recorded]] = {}
    for run in reversed(runs):
        alike.setdefault((run.tags["model"], run.tags["data"]), []).append(run)
    usual: dict[tuple[str, str], dict[str, str]] = {}
    for key, same in alike.items():
        names = sorted(
            {name for run in same for name in run.params if not name.startswith(NO_SETTING)}
        )
        usual[key] = {
            n: Counter(run.params.get(n, "unset") for run in same).most_common(1)[0][0]
            for n in names
        }
    return [
        " ".join(
            f"{name.split('.')[-1]}={run.params.get(name, 'unset')}"
            for name, value in usual[run.tags["model"], run.tags["data"]].items()
            if run.params.get(name, "unset") != value
        )
        for run in runs
    ]


def compare_runs(runs: Sequence[RunFigures]) -> pd.DataFrame:
    """One row a model x variant x other settings: `model, data, settings, seeds`, each figure's mean, `_low`, `_high`.

    Intervals: of rates Wilson's, with as many photos as were held out in any of the runs (a photo that two seeds hold
    out counts once); of AUROCs a bootstrap over groups; of other figures Student's t over seeds. Differences from
    `base` (`d_<figure>`, `_low`, `_high`) are paired: the same photos of the same seeds, bootstrapped over groups. A
    last column says it in words. Of runs that differ in nothing the newest counts.
    """
    grouped = _grouped(runs)
    table = pd.DataFrame([_row(kind, grouped) for kind in grouped])
    return (
        table.sort_values(["model", "data", "settings"]).reset_index(drop=True)
        if len(table)
        else table
    )


def _row(kind: Kind, grouped: dict[Kind, list[RunFigures]]) -> dict[str, Any]:
    model, data, settings = kind
    same = grouped[kind]
    row: dict[str, Any] = {"model": model, "data": data, "settings": settings, "seeds": len(same)}
    figures = pd.DataFrame([held_out_figures(run.predictions, run.threshold) for run in same])
    for name in figures:
        row |= _interval(str(name), figures[name].dropna().to_numpy(), same)
    reference = (model, "base", settings)
    if data == "base" or reference not in grouped:
        reference = (model, "base", "")
    base = {run.seed: run for run in grouped.get(reference, [])} if reference != kind else {}
    pairs = [(run, base[run.seed]) for run in same if run.seed in base]
    told = {name: paired_difference(name, pairs) for name in READ}
    for name, difference in told.items():
        row |= {
            f"d_{name}{end}": difference[f"change{end}"]
            for end in ("", "_low", "_high")
            if difference
        }
    words = "; ".join(
        _words(READ[name], difference) for name, difference in told.items() if difference
    )
    this, that = (" ".join(part for part in named[1:] if part) for named in (kind, reference))
    return {**row, "reading": f"{this} against {that}: {words}" if words else ""}


def _grouped(runs: Sequence[RunFigures]) -> dict[Kind, list[RunFigures]]:
    """The first run given of each model, variant, settings and seed."""
    kept: dict[Kind, dict[int, RunFigures]] = {}
    for run in runs:
        kept.setdefault((run.model, run.data, run.settings), {}).setdefault(run.seed, run)
    return {key: list(of_seed.values()) for key, of_seed in kept.items()}


def _interval(
    name: str, values: npt.NDArray[np.float64], runs: Sequence[RunFigures]
) -> dict[str, float]:
    if not len(values):
        return {}
    mean = float(values.mean())
    low = high = float("nan")
    if name.endswith("_auroc"):
        asked = [run.predictions for run in runs]
        low, high = auroc_interval(
            [p[p["fold"] == "val"] if name == "select_auroc" else p[p["held_out"]] for p in asked]
        )
    elif name in _parts(runs[0].predictions):
        n = len(
            set().union(
                *(run.predictions.loc[_parts(run.predictions)[name], "path"] for run in runs)
            )
        )
        low, high = wilson(mean * n, n)
    elif len(values) > 1:
        from scipy.stats import t  # type: ignore[attr-defined]

        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        low, high = (
            max(mean - half, 0.0),
            mean + half if name == "select_loss" else min(mean + half, 1.0),
        )
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _parts(predictions: pd.DataFrame) -> dict[str, pd.Series[bool]]:
    """The held-out photos that each rate is measured on."""
    held_out = predictions["held_out"]
    return {
        "test_accuracy": held_out,
        **{f"test_{part}": held_out & rows for part, rows in parts_of(predictions).items()},
    }


def paired_difference(
    name: str, pairs: Sequence[tuple[RunFigures, RunFigures]]
) -> dict[str, float]:
    """`before, after` (rates), `change, change_low, change_high`, `n` (photos) of runs against others; empty without.

    Both are asked about the photos that both held out.
    """
    changes = []
    for run, base in pairs:
        columns = ["path", "probability"]
        both = run.predictions.loc[_parts(run.predictions)[name], [*columns, "group"]].merge(
            base.predictions.loc[_parts(base.predictions)[name], columns],
            on="path",
            suffixes=("", "_base"),
        )
        after = (both["probability"] >= run.threshold).astype(int)
        changes.append(
            both.assign(
                after=after, before=(both["probability_base"] >= base.threshold).astype(int)
            )
        )
    table = pd.concat(changes) if changes else pd.DataFrame()
    if not len(table):
        return {}
    sums = table.groupby("group")[["before", "after"]].sum().to_numpy(dtype=float)
    n = table.groupby("group").size().to_numpy(dtype=float)
    draw = np.random.default_rng(0).integers(0, len(n), (RESAMPLES, len(n)))
    low, high = np.quantile((sums[draw, 1] - sums[draw, 0]).sum(1) / n[draw].sum(1), [0.025, 0.975])
    before, after = sums.sum(0) / n.sum()
    interval = {"change_low": float(low), "change_high": float(high)}
    photos = float(table["path"].nunique())
    return {
        "before": float(before),
        "after": float(after),
        "change": float(after - before),
        **interval,
        "n": photos,
    }


def _words(name: str, told: dict[str, float]) -> str:
    change, low, high = told["change"], told["change_low"], told["change_high"]
    interval = f"{100 * low:+.1f} to {100 * high:+.1f} points"
    if told["n"] < FEW:
        return f"{name}: too few photos to say ({told['n']:.0f})"
    if low == change == high == 0:
        return f"{name} unchanged"
    if low <= 0 <= high:
        return f"no clear change of {name}, {100 * told['before']:.1f} % and {100 * told['after']:.1f} % ({interval})"
    verb = "lowers" if change < 0 else "raises"
    return f"{verb} {name} from {100 * told['before']:.1f} % to {100 * told['after']:.1f} % ({interval})"
