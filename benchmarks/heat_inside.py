"""Does the heat lie on the dog? The demo album's drawings know where she is.

    .venv/bin/python benchmarks/heat_inside.py [--work DIR] [--seeds 0,1,2]

Trains cnn and pair on base and on pets with each seed on the demo album (in DIR, which is kept and not trained in
again), and explains every held-out drawing of the dog. Two figures for each run: the share of the heat inside her
outline (energy), and whether the hottest point lies inside it (pointing game, Zhang et al. 2018,
https://arxiv.org/abs/1608.00507, without its tolerance of 15 pixels). Beside them what costs no explanation: the share
of the picture that she fills, which is what even heat would score, and the heat of *other* drawings on her outline,
which scores what comes of dogs standing in the middle. Intervals: bootstrap over groups, 2,000 draws.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ismila.evidence.explain import Explainer
from ismila.evidence.metrics import reported
from ismila.photos.images import read_image
from ismila.runs.find import finished_runs, load_classifier, load_predictions

OTHERS = 20
"""As many other drawings' maps are laid on each outline."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, help="where album and runs are kept (default: a scratch folder)"
    )
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        os.chdir(work)
        if not Path("mlruns").exists():
            for model in ("pair", "cnn"):
                _train(model, args.seeds)
        table = pd.concat([_measured(run) for run in finished_runs("mila")])
    for (model, data), rows in table.groupby(["model", "data"], sort=True):
        _say(model, data, rows)


def _train(model: str, seeds: str) -> None:
    command = [
        sys.executable,
        "-m",
        "ismila.train",
        "-m",
        f"model={model}",
        "data=base,pets",
        f"seed={seeds}",
    ]
    subprocess.run(
        [*command, "data.root=null"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _measured(run) -> pd.DataFrame:
    """A row for each held-out drawing of the dog: `group, inside, pointed, area, other_inside, other_pointed`."""
    root, classifier = Path(run.params["album.root"]), load_classifier(run.run_id)
    with (root / "outlines.csv").open(newline="", encoding="utf-8") as lines:
        masks = {row["path"]: root / row["mask"] for row in csv.DictReader(lines)}
    explainer = Explainer(
        classifier, pd.DataFrame({"path": [], "kind": []}), np.zeros((0, 1), np.float32)
    )
    rows = load_predictions(run.run_id)
    rows = reported(rows)
    rows = rows[rows["label"] == "subject"]
    side = (classifier.spec.size_px, classifier.spec.size_px)
    outlines, explained = [], []
    for path in rows["path"]:
        mask = Image.open(masks[path]).convert("L").resize(side, Image.Resampling.BOX)
        outlines.append(np.asarray(mask) > 127)
        explained.append(explainer.explain(read_image(root / path, classifier.spec)))
    heat = np.stack([one.heat for one in explained])
    out = []
    for at, (group, outline) in enumerate(zip(rows["group"], outlines, strict=True)):
        others = np.random.default_rng(at).permutation(np.delete(np.arange(len(heat)), at))[:OTHERS]
        theirs = np.array([_scores(heat[other], outline) for other in others])
        inside, pointed = _scores(heat[at], outline)
        out.append([group, inside, pointed, outline.mean(), *np.nanmean(theirs, axis=0)])
    told = pd.DataFrame(
        out, columns=["group", "inside", "pointed", "area", "other_inside", "other_pointed"]
    )
    told["control"] = [
        one.without_hottest < one.without_other if one.heat.any() else np.nan for one in explained
    ]
    return told.assign(model=run.tags["model"], data=run.tags["data"], seed=run.params["seed"])


def _scores(heat: np.ndarray, outline: np.ndarray) -> tuple[float, float]:
    """Share of the heat inside, and 1 when its hottest point is; NaN when there is no heat."""
    if not heat.any():
        return float("nan"), float("nan")
    return float(heat[outline].sum() / heat.sum()), float(outline.flat[heat.argmax()])


def _say(model: str, data: str, rows: pd.DataFrame) -> None:
    cold = rows["inside"].isna()
    shown = []
    for name in ("inside", "other_inside", "pointed", "other_pointed", "area", "control"):
        sums = rows[~cold].groupby("group")[name].agg(["sum", "count"]).to_numpy(dtype=float)
        draw = np.random.default_rng(0).integers(0, len(sums), (2000, len(sums)))
        low, high = np.quantile(sums[draw, 0].sum(1) / sums[draw, 1].sum(1), [0.025, 0.975])
        shown.append(f"{name} {rows.loc[~cold, name].mean():.3f} ({low:.2f} to {high:.2f})")
    print(
        f"{model:9s} {data:4s} n={len(rows)} ({rows['group'].nunique()} groups, {int(cold.sum())} without heat)"
    )
    print("   " + "  ".join(shown), flush=True)


if __name__ == "__main__":
    main()
