"""Does the heat say what a part of her is worth? Each part taken away, and the map's opinion of it.

    .venv/bin/python benchmarks/heat_parts.py [--work DIR] [--models reid] [--data pets]

FunnyBirds' idea (Hesse et al. 2023, https://arxiv.org/abs/2308.06248): every held-out drawing of
the dog is drawn again without her ears, tail, eye patch, blaze, saddle, white muzzle, chest and
socks, one at a time, all else the same. What the logit loses is the true effect of the part. Beside
it the share of the heat inside the part's outline. Two figures a photo with three or more parts in
sight: the rank correlation of the two over its parts (Spearman), whose mean r makes FunnyBirds'
score of single deletion, (1 + r) / 2; and whether the part with the most heat is the one with the
largest effect. The same two for even heat, which ranks parts by size, and for order by chance. The
animal that was cut out of the whole drawing is cut out of the others at the same place. Ten minutes
on 2 cores beside the training. Intervals: bootstrap over groups, 2,000 draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from demo_runs import held_out, mean_of, named, parse, runs_of, shots_of
from heat_inside import in_view
from scipy.stats import spearmanr

from ismila.demo.breeds import PARTS
from ismila.demo.drawn import read_marker
from ismila.demo.shots import Drawing, Retake, Shot, draw_shot
from ismila.evidence.explain import Explainer
from ismila.photos.images import open_photo
from ismila.runs.find import Recorded, load_classifier
from ismila.vision.decision import logits_of

SEEN = 0.001
"""A part counts from this share of the image on."""
LEAST = 3
"""Parts of a photo; with fewer there is no order."""


def main() -> None:
    with runs_of(parse(__doc__)) as runs:
        table = pd.concat([named(list(_parts(run)), run) for run in runs])
    for (model, data), rows in table.groupby(["model", "data"]):
        photos = pd.DataFrame(_photo(one) for _, one in rows.groupby(["seed", "path"]))
        ranked = photos["rank"].notna()
        print(
            f"{model:9s} {data:4s} {int(ranked.sum())} of {len(photos)} photos, {len(rows)} parts"
        )
        for name in photos.columns.drop("group"):
            print(f"   {name:12s} {mean_of(photos[ranked], name)}")
        every = spearmanr(rows["effect"], rows["share"]).statistic
        size = spearmanr(rows["effect"], rows["area"]).statistic
        print(f"   over all parts and photos: heat {every:.3f}, size {size:.3f}")
        for part in PARTS:
            of_part = rows[rows["part"] == part]
            words = [f"{name} {mean_of(of_part, name)}" for name in ("effect", "share", "area")]
            print(f"      {part:7s} n={len(of_part)}  " + "  ".join(words), flush=True)


def _parts(run: Recorded) -> Iterator[dict[str, object]]:
    """Each part in sight of each drawing: effect on the logit, share of heat and of the image."""
    root = Path(run.params["album.root"])
    classifier = load_classifier(run.run_id)
    explainer = Explainer.without_photos(classifier)
    shots = shots_of(root)
    for row in held_out(run).itertuples():
        views = classifier.viewer.read(root / row.path)
        number = classifier.judge([views])[0].image
        heat = explainer.explain(views.images[number]).heat
        if not heat.any():
            continue
        images = [views.images[number]]
        shown = []
        for part in PARTS:
            drawing = _without(shots[row.path], root, part)
            outline = in_view(drawing.outline, views, number, classifier.spec)
            if outline.mean() < SEEN:
                continue
            picture = open_photo(drawing.jpeg, classifier.viewer.decoded_px)
            images.append(classifier.viewer.views(picture, list(views.animals)).images[number])
            shown.append((part, outline))
        logits = logits_of(classifier.probabilities(np.stack(images)))
        for (part, outline), logit in zip(shown, logits[1:], strict=True):
            share = float(heat[outline].sum() / heat.sum())
            what = {"path": row.path, "group": row.group, "part": part}
            figures = {"effect": logits[0] - logit, "share": share, "area": outline.mean()}
            yield {**what, **figures}


_drawings: dict[tuple[str, str], Drawing] = {}


def _without(shot: Shot, root: Path, part: str) -> Drawing:
    """Drawn once for all runs."""
    marker = read_marker(root)
    assert marker is not None
    key = (shot.path, part)
    if key not in _drawings:
        _drawings[key] = draw_shot(shot, marker.seed, Retake(without=part))
    return _drawings[key]


def _photo(parts: pd.DataFrame) -> dict[str, object]:
    """How well heat, and size, order the parts of one photo; NaN with fewer than three."""
    figures: dict[str, object] = {"group": parts["group"].iloc[0]}
    for name, column in (("", "share"), ("size ", "area")):
        known = len(parts) >= LEAST
        rank = spearmanr(parts["effect"], parts[column]).statistic if known else np.nan
        figures[f"{name}rank"] = rank
        figures[f"{name}score"] = (1 + rank) / 2
        figures[f"{name}first"] = float(parts["effect"].argmax() == parts[column].argmax())
    figures["chance first"] = 1 / len(parts)
    return figures


if __name__ == "__main__":
    main()
