"""Pictures of a run for MLflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def run_plots(
    epochs: list[dict[str, float]], predictions: pd.DataFrame, threshold: float
) -> dict[str, Any]:
    """`curves` (loss and accuracy by epoch) and `probabilities` (test fold, by kind, with the threshold)."""
    return {"curves": _curves(epochs), "probabilities": _probabilities(predictions, threshold)}


def _curves(epochs: list[dict[str, float]]) -> Figure:
    figure = Figure(figsize=(9, 3.4))
    for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in epochs[0]:
                axis.plot(
                    np.arange(1, len(epochs) + 1), [epoch[key] for epoch in epochs], label=label
                )
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _probabilities(predictions: pd.DataFrame, threshold: float) -> Figure:
    test = predictions[predictions["held_out"]]
    kinds = sorted(
        test["kind"].unique(),
        key=lambda k: (test.loc[test["kind"] == k, "label"].iloc[0] != "subject", k),
    )
    figure = Figure(figsize=(8, 0.5 * len(kinds) + 1.2))
    axis = figure.subplots()
    for row, kind in enumerate(kinds):
        p = test.loc[test["kind"] == kind, "probability"].to_numpy()
        offsets = np.random.default_rng(0).uniform(-0.25, 0.25, len(p))
        axis.scatter(p, row + offsets, s=14, alpha=0.6)
    axis.axvline(threshold, color="black", linewidth=1)
    axis.text(threshold, -0.8, f"threshold {threshold:.2f}", ha="center", fontsize=8)
    axis.set_yticks(range(len(kinds)), [f"{k} ({(test['kind'] == k).sum()})" for k in kinds])
    axis.invert_yaxis()
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("probability, test fold")
    axis.spines[["top", "right"]].set_visible(False)
    return figure
