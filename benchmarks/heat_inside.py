"""Does the heat lie on the dog, and does it say what counts?

    .venv/bin/python benchmarks/heat_inside.py [--work DIR] [--models reid] [--data pets]

Trains what is missing in DIR, and explains every held-out drawing of the dog as the run asked about
it: the whole picture, or the animal that was cut out. Two figures for each run: the share of the
heat inside her outline (energy), and whether the hottest point lies inside it (pointing game, Zhang
et al. 2018, https://arxiv.org/abs/1608.00507, without its tolerance of 15 pixels). Beside them what
costs no explanation: the share of the image that she fills, which is what even heat would score,
and the heat of *other* drawings on her outline, which scores what comes of dogs standing in the
middle. Then the areas under the deletion and insertion curves (`ismila.evidence.deletion`). Five
minutes on 2 cores beside the training. Intervals: bootstrap over groups, 2,000 draws.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from demo_runs import held_out, mean_of, named, parse, runs_of
from PIL import Image

from ismila.evidence.deletion import areas, deletion_curves
from ismila.evidence.explain import Explainer
from ismila.photos.images import ImageSpec
from ismila.runs.find import Recorded, load_classifier
from ismila.vision.views import Views

OTHERS = 20
"""As many other drawings' maps are laid on each outline."""
FIGURES = ("inside", "other_inside", "pointed", "other_pointed", "area", "control")
CURVES = ("deletion", "random", "insertion", "falls_faster")


def main() -> None:
    with runs_of(parse(__doc__)) as runs:
        table = pd.concat([_measured(run) for run in runs])
    for (model, data), rows in table.groupby(["model", "data"], sort=True):
        cold = int(rows["inside"].isna().sum())
        groups = rows["group"].nunique()
        print(f"{model:9s} {data:4s} n={len(rows)} ({groups} groups, {cold} without heat)")
        for names in (FIGURES, CURVES):
            print("   " + "  ".join(f"{name} {mean_of(rows, name)}" for name in names), flush=True)


def _measured(run: Recorded) -> pd.DataFrame:
    """A row for each held-out drawing of the dog: its group and figures."""
    root = Path(run.params["album.root"])
    classifier = load_classifier(run.run_id)
    masks = masks_of(root)
    explainer = Explainer.without_photos(classifier)
    rows = held_out(run)
    outlines = []
    explained = []
    curves = []
    for at, path in enumerate(rows["path"]):
        views = classifier.viewer.read(root / path)
        number = classifier.judge([views])[0].image
        image = views.images[number]
        outlines.append(in_view(Image.open(masks[path]), views, number, classifier.spec))
        explained.append(explainer.explain(image))
        rng = np.random.default_rng(at)
        added = explainer.contributions(image)
        of_photo = deletion_curves(image, added, classifier.probabilities, rng)
        curves.append(dict(areas(of_photo)))
    heat = np.stack([one.heat for one in explained])
    table = []
    for at, (group, outline) in enumerate(zip(rows["group"], outlines, strict=True)):
        others = np.random.default_rng(at).permutation(np.delete(np.arange(len(heat)), at))[:OTHERS]
        theirs = [_scores(heat[other], outline) for other in others]
        inside, pointed = _scores(heat[at], outline)
        other_inside, other_pointed = np.nanmean(theirs, axis=0)
        one = explained[at]
        figures = {"group": group, "inside": inside, "pointed": pointed, "area": outline.mean()}
        figures |= {"other_inside": other_inside, "other_pointed": other_pointed}
        figures["control"] = one.without_hottest < one.without_other if heat[at].any() else np.nan
        faster = float(curves[at]["deletion"] < curves[at]["random"])
        table.append({**figures, **curves[at], "falls_faster": faster})
    return named(table, run)


def masks_of(root: Path) -> dict[str, Path]:
    """The files of the outlines, by the drawings' paths."""
    with (root / "outlines.csv").open(newline="", encoding="utf-8") as lines:
        return {row["path"]: root / row["mask"] for row in csv.DictReader(lines)}


def in_view(mask: Image.Image, views: Views, number: int, spec: ImageSpec) -> np.ndarray:
    """A mask of the whole picture as the image shows it: `[size_px, size_px]` bool."""
    x0, y0, x1, y1 = views.place(number, spec)
    box = (x0 * mask.width, y0 * mask.height, x1 * mask.width, y1 * mask.height)
    side = (spec.size_px, spec.size_px)
    return np.asarray(mask.convert("L").resize(side, Image.Resampling.BOX, box)) > 127


def _scores(heat: np.ndarray, outline: np.ndarray) -> tuple[float, float]:
    """Share of the heat inside, and 1 when its hottest point is; NaN when there is no heat."""
    if not heat.any():
        return float("nan"), float("nan")
    return float(heat[outline].sum() / heat.sum()), float(outline.flat[heat.argmax()])


if __name__ == "__main__":
    main()
