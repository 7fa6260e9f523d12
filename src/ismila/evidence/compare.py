"""All runs of a subject side by side: model x variant, means and intervals over seeds, differences
from `base`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.evidence.intervals import change_interval, mean_interval
from ismila.evidence.metrics import (
    auroc_interval,
    groups_of,
    is_subject,
    parts_of,
    reported,
    reported_figures,
    taken_for_subject,
)
from ismila.evidence.summary import FEW
from ismila.runs.find import LIMITS, Recorded, load_predictions

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
    "trainer.accelerator",
    *LIMITS,
)
"""Parameters that do not make a run another kind of run: what it drew, where things lie, what it ran
on, what already names the row; and `LIMITS`, which are named wherever they hold. All others do, also
those that a later version will add."""
IN_BATCHES = ("trainer.devices", "trainer.strategy")
"""Nor do these where a head is solved exactly; elsewhere a batch is as many times larger as there are devices."""
CROSSVAL = "protocol=crossval"
"""Named as a setting wherever it holds, as `LIMITS` are: figures that were measured otherwise, and
runs that were cut short, stand in a row of their own."""


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


_LIMIT_WORDS = tuple(f"{name.split('.')[-1]}=" for name in LIMITS)

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
                and not (run.is_solved and name in IN_BATCHES)
            ]
            words += [f"{name.split('.')[-1]}={value}" for name, value in run.limits.items()]
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

    Intervals: of rates those of `intervals`, by the groups of all photos that were held out in any
    of the runs (a photo that two seeds hold out counts once); of AUROCs a bootstrap over groups; of
    other figures Student's t over seeds. Differences from `base` (`d_<figure>`, `_low`, `_high`) are
    paired: the same photos of the same seeds, by groups. A last column says it in words. Of runs that
    differ in nothing the newest counts.
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
    the same way and as short."""
    model, data, settings = kind
    with_settings = (model, "base", settings)
    if data != "base" and with_settings in grouped:
        return with_settings
    words = settings.split()
    measured = [word for word in words if word == CROSSVAL or word.startswith(_LIMIT_WORDS)]
    return (model, "base", " ".join(measured))


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
    answers = [_answers(name, run) for run in runs]
    if name == "test_auroc":
        low, high = auroc_interval([reported(run.predictions) for run in runs])
    elif any(len(table) for table in answers):
        low, high = _by_groups(answers)
    else:
        low, high = _over_seeds(values, largest=np.inf if name == "select_loss" else 1.0)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _by_groups(answers: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Of the mean over runs of a rate; each photo counts once, whatever number of runs held it out."""
    counted = [table.assign(weight=1 / len(table)) for table in answers if len(table)]
    rows = pd.concat(counted)
    photos = rows.assign(hit=rows["hit"] * rows["weight"]).groupby("path")
    table = photos.agg(hit=("hit", "sum"), weight=("weight", "sum"), group=("group", "first"))
    weight = table["weight"].to_numpy(np.float64)
    return mean_interval(table["hit"].to_numpy(np.float64) / weight, weight, groups_of(table))


def _over_seeds(values: npt.NDArray[np.float64], largest: float) -> tuple[float, float]:
    """Student's t; NaN for one value."""
    from scipy.stats import t

    if len(values) < 2:
        return float("nan"), float("nan")
    mean = float(values.mean())
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = float(t.ppf(0.975, len(values) - 1) * error)
    return max(mean - half, 0.0), min(mean + half, largest)


def _answers(name: str, run: RunFigures) -> pd.DataFrame:
    """`path, group, hit` of the reported photos that a rate is measured on, none where the figure is
    no rate; a hit is 0 or 1: taken for the subject, of `test_accuracy` judged rightly."""
    rows = reported(run.predictions)
    hit = taken_for_subject(rows)
    if name == "test_accuracy":
        here = np.ones(len(rows), np.bool_)
        hit = hit == is_subject(rows)
    else:
        parts = parts_of(rows)
        part = parts.get(name.removeprefix("test_"))
        here = np.zeros(len(rows), np.bool_) if part is None else part.to_numpy(dtype=np.bool_)
    table = pd.DataFrame({"path": rows["path"], "group": groups_of(rows), "hit": hit.astype(float)})
    return table[here]


@dataclass(frozen=True)
class Change:
    """A rate of some runs against that of others, on the photos that both held out.

    Attributes:
        before, after: the rate of the others, and of these runs.
        change: after less before; `change_low` and `change_high` are the ends of its 95 % interval.
        n: photos.
        groups: occasions that they are of.
        differs: some photo was judged otherwise.
    """

    before: float
    after: float
    change: float
    change_low: float
    change_high: float
    n: int
    groups: int
    differs: bool


def paired_change(name: str, pairs: Sequence[tuple[RunFigures, RunFigures]]) -> Change | None:
    """Runs against others; None when there is no photo that both held out."""
    table = pd.concat(
        [_both_held_out(name, run, other) for run, other in pairs] or [pd.DataFrame()]
    )
    if not len(table):
        return None
    before = table["before"]
    after = table["after"]
    rows = table.assign(lost=before * (1 - after), won=after * (1 - before))
    photos = rows.groupby("path").agg(
        lost=("lost", "mean"), won=("won", "mean"), pairs=("lost", "size"), group=("group", "first")
    )
    weight = photos["pairs"].to_numpy(np.float64)
    lost, won = (photos[side].to_numpy(np.float64) for side in ("lost", "won"))
    low, high = change_interval(lost, won, weight, groups_of(photos))
    return Change(
        before=float(before.mean()),
        after=float(after.mean()),
        change=float(after.mean() - before.mean()),
        change_low=low,
        change_high=high,
        n=len(photos),
        groups=int(photos["group"].nunique()),
        differs=bool((before != after).any()),
    )


def _both_held_out(name: str, run: RunFigures, other: RunFigures) -> pd.DataFrame:
    """`path, group, before, after` (0 or 1: taken for the subject) of the photos that both runs
    held out."""
    this = _answers(name, run).rename(columns={"hit": "after"})
    that = _answers(name, other)[["path", "hit"]].rename(columns={"hit": "before"})
    return this.merge(that, on="path")


def _words(name: str, change: Change | None) -> str:
    if change is None:
        return f"{name}: no photo that both held out"
    if change.n < FEW:
        return f"{name}: too few photos to say ({change.n})"
    if change.groups < FEW:
        return f"{name}: too few occasions to say ({change.groups}, of {change.n} photos)"
    interval = f"({100 * change.change_low:+.1f} to {100 * change.change_high:+.1f} points)"
    before = f"{100 * change.before:.1f} %"
    after = f"{100 * change.after:.1f} %"
    if not change.differs:
        return f"{name} unchanged, {after} {interval}"
    if change.change_low <= 0 <= change.change_high:
        return f"no clear change of {name}, {before} and {after} {interval}"
    verb = "lowers" if change.change < 0 else "raises"
    return f"{verb} {name} from {before} to {after} {interval}"
