"""All runs of a subject side by side: model x variant, means and intervals over seeds, differences
from `base`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.evidence.metrics import (
    auroc_interval,
    parts_of,
    reported,
    reported_figures,
    taken_for_subject,
    wilson,
)
from ismila.evidence.summary import FEW
from ismila.runs.find import Recorded, load_predictions

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
"""Parameters that do not make a run another kind of run: what it drew, where things lie, what
already names the row."""
CROSSVAL = "protocol=crossval"
"""Named as a setting wherever it holds: figures that were measured otherwise stand in a row of
their own."""


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """What `compare` needs of a run.

    Attributes:
        predictions: `path, group, label, kind, closeup, probability, threshold, held_out_by`.
        selection: `select_*`, as they were recorded.
        settings: what else sets it apart from most runs of its model and variant, `hidden=128
            refit=all`.
    """

    run_id: str
    model: str
    data: str
    seed: int
    predictions: pd.DataFrame
    selection: Mapping[str, float] = field(default_factory=dict)
    settings: str = ""


Kind = tuple[str, str, str]
"""Model, data and settings: a row of the table."""


def figures_of(runs: Sequence[Recorded]) -> tuple[list[RunFigures], int]:
    """Runs on the newest run's album with their predictions, and how many were left out for another
    album."""
    same = [run for run in runs if run.album == runs[0].album]
    settings = _settings(same)
    figures = [
        RunFigures(
            run_id=run.run_id,
            model=run.tags["model"],
            data=run.tags["data"],
            seed=int(run.seed),
            predictions=load_predictions(run.run_id),
            selection=run.selection,
            settings=settings[run.run_id],
        )
        for run in same
    ]
    return figures, len(runs) - len(same)


def _settings(runs: Sequence[Recorded]) -> dict[str, str]:
    """Run id -> the settings in which it differs from most runs of its model and variant (in doubt
    the oldest)."""
    alike: dict[tuple[str, str], list[Recorded]] = {}
    for run in reversed(runs):
        alike.setdefault((run.tags["model"], run.tags["data"]), []).append(run)
    settings: dict[str, str] = {}
    for same in alike.values():
        usual = _usual(same)
        for run in same:
            words = [
                f"{name.split('.')[-1]}={run.params.get(name, 'unset')}"
                for name, value in usual.items()
                if run.params.get(name, "unset") != value
            ]
            words += [CROSSVAL] if run.protocol == "crossval" else []
            settings[run.run_id] = " ".join(words)
    return settings


def _usual(runs: Sequence[Recorded]) -> dict[str, str]:
    """Parameter -> what most of the runs have."""
    names = {name for run in runs for name in run.params if not name.startswith(NO_SETTING)}
    return {
        name: Counter(run.params.get(name, "unset") for run in runs).most_common(1)[0][0]
        for name in sorted(names)
    }


def compare_runs(runs: Sequence[RunFigures]) -> pd.DataFrame:
    """One row a model x variant x other settings: `model, data, settings, seeds`, each figure's
    mean, `_low`, `_high`.

    Intervals: of rates Wilson's, with as many photos as were held out in any of the runs (a photo
    that two seeds hold out counts once); of AUROCs a bootstrap over groups; of other figures
    Student's t over seeds. Differences from `base` (`d_<figure>`, `_low`, `_high`) are paired: the
    same photos of the same seeds, bootstrapped over groups. A last column says it in words. Of runs
    that differ in nothing the newest counts.
    """
    grouped = _grouped(runs)
    table = pd.DataFrame([_row(kind, grouped) for kind in grouped])
    return (
        table.sort_values(["model", "data", "settings"]).reset_index(drop=True)
        if len(table)
        else table
    )


def _row(kind: Kind, grouped: dict[Kind, list[RunFigures]]) -> dict[str, object]:
    model, data, settings = kind
    same = grouped[kind]
    row: dict[str, object] = {
        "model": model,
        "data": data,
        "settings": settings,
        "seeds": len(same),
    }
    figures = pd.DataFrame([{**run.selection, **reported_figures(run.predictions)} for run in same])
    for name in figures:
        row |= _interval(str(name), figures[name].dropna().to_numpy(), same)
    reference = _reference(kind, grouped)
    base = {run.seed: run for run in grouped.get(reference, [])} if reference != kind else {}
    pairs = [(run, base[run.seed]) for run in same if run.seed in base]
    changes = {name: paired_change(name, pairs) for name in READ}
    for name, change in changes.items():
        if change:
            row |= {
                f"d_{name}": change.change,
                f"d_{name}_low": change.change_low,
                f"d_{name}_high": change.change_high,
            }
    words = "; ".join(_words(READ[name], change) for name, change in changes.items())
    this = " ".join(part for part in kind[1:] if part)
    that = " ".join(part for part in reference[1:] if part)
    return {**row, "reading": f"{this} against {that}: {words}" if pairs else ""}


def _reference(kind: Kind, grouped: dict[Kind, list[RunFigures]]) -> Kind:
    """What a row is compared with: `base` with the same settings, or else plain, but measured in
    the same way."""
    model, data, settings = kind
    with_settings = (model, "base", settings)
    if data != "base" and with_settings in grouped:
        return with_settings
    return (model, "base", CROSSVAL if CROSSVAL in settings else "")


def _grouped(runs: Sequence[RunFigures]) -> dict[Kind, list[RunFigures]]:
    """The first run given of each model, variant, settings and seed."""
    kept: dict[Kind, dict[int, RunFigures]] = {}
    for run in runs:
        kept.setdefault((run.model, run.data, run.settings), {}).setdefault(run.seed, run)
    return {kind: list(of_seed.values()) for kind, of_seed in kept.items()}


def _interval(
    name: str, values: npt.NDArray[np.float64], runs: Sequence[RunFigures]
) -> dict[str, float]:
    """The mean of a figure with the ends of its 95 % interval; empty without a value."""
    if not len(values):
        return {}
    mean = float(values.mean())
    parts = [_parts(run.predictions) for run in runs]
    if name == "test_auroc":
        low, high = auroc_interval([reported(run.predictions) for run in runs])
    elif any(name in part for part in parts):
        photos: set[str] = set().union(*(part[name]["path"] for part in parts if name in part))
        low, high = wilson(mean * len(photos), len(photos))
    else:
        low, high = _over_seeds(values, largest=np.inf if name == "select_loss" else 1.0)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _over_seeds(values: npt.NDArray[np.float64], largest: float) -> tuple[float, float]:
    """Student's t; NaN for one value."""
    from scipy.stats import t

    if len(values) < 2:
        return float("nan"), float("nan")
    mean = float(values.mean())
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = float(t.ppf(0.975, len(values) - 1) * error)
    return max(mean - half, 0.0), min(mean + half, largest)


def _parts(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The reported photos that each rate is measured on."""
    rows = reported(predictions)
    parts = {f"test_{name}": rows[part] for name, part in parts_of(rows).items()}
    return {"test_accuracy": rows, **parts}


@dataclass(frozen=True)
class Change:
    """A rate of some runs against that of others, on the photos that both held out.

    Attributes:
        before, after: the rate of the others, and of these runs.
        change: after less before; `change_low` and `change_high` are the ends of its 95 % interval.
        n: photos.
    """

    before: float
    after: float
    change: float
    change_low: float
    change_high: float
    n: int


def paired_change(name: str, pairs: Sequence[tuple[RunFigures, RunFigures]]) -> Change | None:
    """Runs against others; None when there is no photo that both held out."""
    table = pd.concat(
        [_both_held_out(name, run, other) for run, other in pairs] or [pd.DataFrame()]
    )
    if not len(table):
        return None
    by_group = table.groupby("group")
    sums = by_group[["before", "after"]].sum().to_numpy(dtype=float)
    n = by_group.size().to_numpy(dtype=float)
    draw = np.random.default_rng(0).integers(0, len(n), (RESAMPLES, len(n)))
    changes = (sums[draw, 1] - sums[draw, 0]).sum(1) / n[draw].sum(1)
    low, high = np.quantile(changes, [0.025, 0.975])
    before, after = (float(rate) for rate in sums.sum(0) / n.sum())
    photos = int(table["path"].nunique())
    return Change(before, after, after - before, float(low), float(high), photos)


def _both_held_out(name: str, run: RunFigures, other: RunFigures) -> pd.DataFrame:
    """`path, group, before, after` (0 or 1: taken for the subject) of the photos that both runs
    held out."""
    this = _parts(run.predictions)[name]
    that = _parts(other.predictions)[name]
    this = this[["path", "group"]].assign(after=taken_for_subject(this).astype(int))
    that = that[["path"]].assign(before=taken_for_subject(that).astype(int))
    return this.merge(that, on="path")


def _words(name: str, change: Change | None) -> str:
    if change is None:
        return f"{name}: no photo that both held out"
    if change.n < FEW:
        return f"{name}: too few photos to say ({change.n})"
    if change.change_low == change.change == change.change_high == 0:
        return f"{name} unchanged"
    interval = f"({100 * change.change_low:+.1f} to {100 * change.change_high:+.1f} points)"
    before = f"{100 * change.before:.1f} %"
    after = f"{100 * change.after:.1f} %"
    if change.change_low <= 0 <= change.change_high:
        return f"no clear change of {name}, {before} and {after} {interval}"
    verb = "lowers" if change.change < 0 else "raises"
    return f"{verb} {name} from {before} to {after} {interval}"
