"""Is she found when she is far away, at a half, a third and a quarter of her size?

    .venv/bin/python benchmarks/far.py [--work DIR] [--root ALBUM] [--models reid] [--data pets]

Recall at the threshold that the run chose. "drawn", on the demo album only: the same drawing from
two, three and four times as far away, in a picture of so many times more pixels a side, so that she
keeps hers. "pasted": the whole photo at that share of the height somewhere in a random photo of
things, which is made large enough that nothing of it is lost, up to 1,024 px. Trains what is
missing in DIR. Ten minutes on 2 cores, half of it drawing. Intervals: bootstrap over groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from demo_runs import held_out, mean_of, named, parse, runs_of, shots_of
from detector_recall import of_height, pasted
from PIL import Image

from ismila.demo.drawn import read_marker
from ismila.demo.shots import Retake, Shot, draw_shot
from ismila.evidence.metrics import reported
from ismila.photos.images import open_photo
from ismila.runs.find import Recorded, load_classifier, load_predictions

AWAY = (2, 3, 4)
LARGEST_PX = 1024


def main() -> None:
    with runs_of(parse(__doc__)) as runs:
        table = pd.concat([named(list(_asked(run)), run) for run in runs])
    for (model, data), rows in table.groupby(["model", "data"]):
        print(f"{model:9s} {data:10s} n={len(rows)} ({rows['group'].nunique()} groups)")
        for name in rows.columns[rows.columns.str.contains("as it is|drawn|pasted")]:
            print(f"   {name:10s} {mean_of(rows, name)}")


def _asked(run: Recorded) -> Iterator[dict[str, object]]:
    """For each held-out photo its group, and whether it is recognised: as it is, and from afar."""
    root = Path(run.params["album.root"])
    classifier = load_classifier(run.run_id)
    shots = shots_of(root)
    rows = reported(load_predictions(run.run_id))
    things = rows.loc[rows["label"] == "things", "path"].tolist()
    for at, row in held_out(run).iterrows():
        photo = open_photo(root / row["path"], classifier.viewer.decoded_px)
        pictures = {"as it is": photo}
        for away in AWAY:
            if row["path"] in shots:
                pictures[f"drawn 1/{away}"] = _drawn(shots[row["path"]], root, away)
            rng = np.random.default_rng([int(at), away])
            onto = open_photo(root / things[rng.integers(len(things))], LARGEST_PX)
            pictures[f"pasted 1/{away}"] = _laid_into(onto, photo, away, rng)
        views = [classifier.viewer.views(picture) for picture in pictures.values()]
        answers = [one.probability >= row["threshold"] for one in classifier.judge(views)]
        yield {"group": row["group"], **dict(zip(pictures, map(float, answers), strict=True))}


def _drawn(shot: Shot, root: Path, away: int) -> Image.Image:
    marker = read_marker(root)
    assert marker is not None
    kept = root.parent / "far" / f"{Path(shot.path).stem} {away}.jpg"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(draw_shot(shot, marker.seed, Retake(away=away)).jpeg)
    return open_photo(kept, LARGEST_PX)


def _laid_into(
    onto: Image.Image, photo: Image.Image, away: int, rng: np.random.Generator
) -> Image.Image:
    height_px = max(onto.height, min(away * photo.height, LARGEST_PX))
    return pasted(photo, of_height(onto, height_px), away, tuple(rng.random(2)))[0]


if __name__ == "__main__":
    main()
