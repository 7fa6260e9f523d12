"""Pictures of a run for MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ismila.evidence.metrics import reported

JITTER = 0.25
"""Dots of one kind are strewn so far up and down, in rows, to lie beside each other."""


def run_plots(
    epochs: Sequence[Mapping[str, float]],
    predictions: pd.DataFrame,
) -> dict[str, Figure]:
    """`curves` (loss and accuracy by epoch) and `probabilities` (held-out photos by kind, with the
    thresholds).

    One that would show nothing is left out: no epoch, or no photo that was held out.
    """
    plots = {}
    if epochs:
        plots["curves"] = _curves(epochs)
    held_out = reported(predictions)
    if len(held_out):
        plots["probabilities"] = _probabilities(held_out)
    return plots


def _curves(epochs: Sequence[Mapping[str, float]]) -> Figure:
    figure = Figure(figsize=(9, 3.4))
    numbers = np.arange(1, len(epochs) + 1)
    for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in epochs[0]:
                values = [epoch.get(key, np.nan) for epoch in epochs]
                axis.plot(numbers, values, label=label, marker="o" if len(epochs) == 1 else None)
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.legend(frameon=False) if axis.lines else None
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _probabilities(held_out: pd.DataFrame) -> Figure:
    kinds = _kinds(held_out)
    figure = Figure(figsize=(8, 0.5 * len(kinds) + 1.2))
    axis = figure.subplots()
    for row, kind in enumerate(kinds):
        p = held_out.loc[held_out["kind"] == kind, "probability"].to_numpy()
        offsets = np.random.default_rng(0).uniform(-JITTER, JITTER, len(p))
        axis.scatter(p, row + offsets, s=14, alpha=0.6)
    _draw_thresholds(axis, held_out)
    counts = held_out["kind"].value_counts()
    names = [f"{kind} ({counts[kind]})" for kind in kinds]
    axis.set_yticks(range(len(kinds)), names, parse_math=False)  # a name may hold a dollar sign
    axis.invert_yaxis()
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("probability of photos that were held out")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _kinds(held_out: pd.DataFrame) -> list[str]:
    """The subject first, then the others by name."""
    label_of = dict(zip(held_out["kind"], held_out["label"], strict=True))
    return sorted(label_of, key=lambda kind: (label_of[kind] != "subject", kind))


def _draw_thresholds(axis: Axes, held_out: pd.DataFrame) -> None:
    """A line for each: cross-validation chooses one in each of its folds."""
    thresholds = sorted(set(held_out["threshold"]))
    for threshold in thresholds:
        axis.axvline(threshold, color="black", linewidth=1)
    ends = sorted({f"{thresholds[0]:.2f}", f"{thresholds[-1]:.2f}"})
    axis.text(
        float(np.mean(thresholds)), -0.8, f"threshold {' to '.join(ends)}", ha="center", fontsize=8
    )
