"""What do the networks go by? Colour, edges and light against their answers, on held-out photos without the subject.

    .venv/bin/python benchmarks/what_the_cnn_sees.py FOLDER... [--seeds 0,1] [--worst 12]

Each FOLDER holds an mlruns of `ismila.train -m model=cnn,pair data=base,pets seed=0,1 data.root=ALBUM`. Prints for
each model and variant, over the held-out photos of all seeds:

- the worst false positives, with what occlusion says of their heat;
- how often hiding the hottest fifth lowers the probability no more than hiding as much elsewhere;
- R2 of the logit by a ridge regression on a dozen statistics of colour, edges and light, cross-validated over groups,
  and the rank correlation with each statistic;
- the rank correlation of the probability with that of the same photo without colour, and as 6 x 6 blocks of colour.

Intervals: 95 %, bootstrap over groups, 2,000 draws.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ismila.evidence.explain import Explainer
from ismila.evidence.metrics import reported
from ismila.photos.images import ImageSpec, read_image
from ismila.runs.find import Recorded, finished_runs, load_classifier, load_predictions

SMALL = ImageSpec(96)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--worst", type=int, default=12)
    args = parser.parse_args()
    tables: dict[tuple[str, str], list[pd.DataFrame]] = defaultdict(list)
    for folder in [path.resolve() for path in args.folders]:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlruns/mlflow.db"
        for run in finished_runs("mila"):
            if run.params["seed"] in args.seeds.split(","):
                tables[run.tags["model"], run.tags["data"]].append(_measured(run))
    for (model, data), found in sorted(tables.items()):
        table = pd.concat(found, ignore_index=True)
        print(f"\n{model} {data}: seeds {', '.join(sorted(table['seed'].unique()))}")
        _say_occlusion(table)
        _say_statistics(table[table["label"] != "subject"].reset_index(drop=True))
        _say_worst(table, args.worst)


def _measured(run: Recorded) -> pd.DataFrame:
    """The run's held-out photos: probability, what occlusion says, statistics, answers to changed photos."""
    root, classifier = Path(run.params["album.root"]), load_classifier(run.run_id)
    explainer = Explainer.without_photos(classifier)
    rows = reported(load_predictions(run.run_id))
    images = np.stack([read_image(root / path, classifier.spec) for path in rows["path"]])
    grey = np.stack([np.asarray(Image.fromarray(i).convert("L").convert("RGB")) for i in images])
    side = images.shape[1:3]
    blocks = np.stack(
        [
            np.asarray(
                Image.fromarray(i)
                .resize((6, 6), Image.Resampling.BOX)
                .resize(side, Image.Resampling.NEAREST)
            )
            for i in images
        ]
    )
    rows["p"], rows["threshold"] = classifier.probabilities(images), run.metrics["threshold"]
    rows["p_grey"], rows["p_blocks"] = (
        classifier.probabilities(grey),
        classifier.probabilities(blocks),
    )
    taken = rows.index[rows["p"] >= rows["threshold"]]
    for at in taken:
        explained = explainer.explain(images[at])
        rows.loc[at, ["hidden", "only", "other"]] = (
            explained.without_hottest,
            explained.only_hottest,
            explained.without_other,
        )
    small = pd.DataFrame([statistics(read_image(root / path, SMALL)) for path in rows["path"]])
    return pd.concat([rows.assign(seed=run.params["seed"]), small.add_prefix("s_")], axis=1)


def statistics(image: np.ndarray) -> dict[str, float]:
    """Colour, edges and light of an image `[S, S, 3]`, nothing that knows a shape."""
    rgb = image / 255.0
    hue, saturation, value = np.moveaxis(
        np.asarray(Image.fromarray(image).convert("HSV")) / 255.0, -1, 0
    )
    light = rgb.mean(2)
    edges = np.hypot(*np.gradient(light))
    coloured = saturation > 0.25
    middle = np.zeros(light.shape, bool)
    quarter = len(light) // 4
    middle[quarter:-quarter, quarter:-quarter] = True
    half = len(light) // 2
    return {
        "red": rgb[..., 0].mean(),
        "green": rgb[..., 1].mean(),
        "blue": rgb[..., 2].mean(),
        "saturation": saturation.mean(),
        "contrast": light.std(),
        "edges": edges.mean(),
        "strong edges": (edges > 0.1).mean(),
        "brown share": (
            coloured & (hue > 0.02) & (hue < 0.13) & (value > 0.15) & (value < 0.85)
        ).mean(),
        "green share": (coloured & (hue > 0.17) & (hue < 0.45)).mean(),
        "blue share": (coloured & (hue > 0.5) & (hue < 0.72)).mean(),
        "dark share": (value < 0.2).mean(),
        "middle less border": light[middle].mean() - light[~middle].mean(),
        "middle less border, edges": edges[middle].mean() - edges[~middle].mean(),
        "top less bottom": light[:half].mean() - light[half:].mean(),
    }


def _say_occlusion(table: pd.DataFrame) -> None:
    for name, rows in (
        ("taken for her, wrongly", table[(table["label"] != "subject") & table["hidden"].notna()]),
        ("found", table[(table["label"] == "subject") & table["hidden"].notna()]),
    ):
        if len(rows):
            said = [
                ("heat no better than elsewhere", rows["hidden"] >= rows["other"]),
                ("given up without the hottest fifth", rows["hidden"] < rows["threshold"]),
                ("given up without as much elsewhere", rows["other"] < rows["threshold"]),
                ("kept with only it", rows["only"] >= rows["threshold"]),
            ]
            told = "; ".join(
                f"{words} {_interval(values.astype(float), rows['group'])}"
                for words, values in said
            )
            print(f"  {name}, n={len(rows)}: {told}")


def _say_statistics(rows: pd.DataFrame) -> None:
    names = [name for name in rows if name.startswith("s_")]
    p = rows["p"].clip(1e-6, 1 - 1e-6).astype(float)
    logit = np.log(p / (1 - p))
    logit -= logit.groupby(rows["seed"]).transform(
        "mean"
    )  # each seed's network has a level of its own
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    said = cross_val_predict(model, rows[names], logit, groups=rows["group"], cv=GroupKFold(10))
    left, all_of_it = (logit - said) ** 2, (logit - logit.mean()) ** 2
    print(
        f"  n={len(rows)} negatives: R2 of the logit by statistics {_ratio(left, all_of_it, rows['group'])}"
    )
    ranks = {name[2:]: spearmanr(rows[name], logit).statistic for name in names}
    strongest = sorted(ranks.items(), key=lambda one: -abs(one[1]))[:6]
    print("  rank correlation: " + ", ".join(f"{name} {value:+.2f}" for name, value in strongest))
    for name, words in (("p_grey", "without colour"), ("p_blocks", "as 6 x 6 blocks of colour")):
        print(
            f"  rank correlation with the photo {words}: {_rank(rows['p'], rows[name], rows['group'])}"
        )


def _say_worst(table: pd.DataFrame, worst: int) -> None:
    wrong = table[(table["label"] != "subject") & table["hidden"].notna()]
    for label in ("things", "pets"):
        first = (
            wrong[wrong["label"] == label]
            .sort_values("p", ascending=False)
            .drop_duplicates("path")
            .head(worst)
        )
        named = [
            f"{Path(row.path).stem} {row.p:.2f} ({row.hidden:.2f} hottest hidden, {row.other:.2f} elsewhere)"
            for row in first.itertuples()
        ]
        print(f"  worst {label}: " + "; ".join(named))


def _draws(groups: pd.Series) -> list[np.ndarray]:
    rng, members = (
        np.random.default_rng(0),
        list(groups.groupby(groups.to_numpy()).indices.values()),
    )
    return [
        np.concatenate([members[at] for at in rng.integers(0, len(members), len(members))])
        for _ in range(2000)
    ]


def _shown(value: float, found: list[float]) -> str:
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _interval(values: pd.Series, groups: pd.Series) -> str:
    array = values.to_numpy()
    return _shown(array.mean(), [array[draw].mean() for draw in _draws(groups)])


def _ratio(left: pd.Series, whole: pd.Series, groups: pd.Series) -> str:
    a, b = left.to_numpy(), whole.to_numpy()
    return _shown(
        1 - a.sum() / b.sum(), [1 - a[draw].sum() / b[draw].sum() for draw in _draws(groups)]
    )


def _rank(first: pd.Series, second: pd.Series, groups: pd.Series) -> str:
    a, b = first.to_numpy(), second.to_numpy()
    return _shown(
        spearmanr(a, b).statistic, [spearmanr(a[d], b[d]).statistic for d in _draws(groups)[:500]]
    )


if __name__ == "__main__":
    main()
