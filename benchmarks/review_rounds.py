"""What answers to `ismila scan --review` are worth: rounds of questions, answered by the truth.

    python benchmarks/review_rounds.py INDIVIDUALS ALBUM [--cats cat05,cat06] [--seeds 3] [--rounds 4] [--ask 20]
        [--csv FILE] [--plot FILE]
    python benchmarks/review_rounds.py --from FILE [--plot FILE]         # the table again, from what --csv wrote

INDIVIDUALS holds a folder of photos for each animal, ALBUM the folders `not_mila` and `pets/KIND`: things and animals
that nobody is looking for. Each animal in turn is the subject. It starts with a few of its photos. What is asked about
comes from a pool; a third of every animal's photos (neighbours by name, since these are often of one occasion) and a
half of ALBUM are the test part: nobody is ever asked about them, and every round is measured on the same ones. After
each round the default network is trained on what is known by then, as `python -m ismila.train data=strangers
refit=all` does it. The ways to choose photos: the queue of the product, as many of each of its sorts (evenly), the
surest only, and at random. Intervals: 95 % by bootstrap over the animals.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from sklearn.metrics import roc_auc_score

import ismila
from ismila.learning.calibration import decide
from ismila.learning.crossval import out_of_fold
from ismila.learning.dataset import album_rows
from ismila.learning.features import Features
from ismila.learning.heads import fit_head
from ismila.learning.inputs import encoder_of, viewer_of
from ismila.learning.linear import LinearRun, is_few
from ismila.learning.outcome import FinalModel
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import usable
from ismila.settings import RunSettings, register, settings_of
from ismila.use.check.queue import SORTS, Candidate, questions_of

BLOCKS = 3
START = 4
"""Photos of the subject that are known before the first question."""
FIGURES = {
    "auroc": "AUROC against other individuals",
    "recall_1": "recall where 1 % of the other individuals pass",
    "recall": "recall",
    "others": "other individuals taken for it",
    "album": "album's photos taken for it",
    "strangers": "held-out strangers taken for it",
}


@dataclass(frozen=True)
class Photo:
    """A photo, and what is true of it.

    Attributes:
        label: the individual, `not_mila` or `pets/KIND`.
        name: what the library would call it.
        block: which third of its individual's photos, or half of the album, it is of.
    """

    file: Path
    label: str
    name: str
    sha256: str
    block: int

    def is_tested(self, seed: int) -> bool:
        """Nobody is ever asked about it in the trials of this seed."""
        blocks = BLOCKS if self.label.startswith("cat") else 2
        return self.block == seed % BLOCKS % blocks


@dataclass(frozen=True)
class Trial:
    """One subject, one draw, one way to choose."""

    subject: str
    seed: int
    way: str
    asks: int
    rounds: int


def choose(trial: Trial, pool: Sequence[Photo], answers: np.ndarray, threshold: float, round_: int):
    """The photos that the trial asks about next."""
    known = zip(pool, answers, strict=True)
    candidates = [Candidate(photo.name, float(probability)) for photo, probability in known]
    by_name = {photo.name: photo for photo in pool}
    if trial.way == "random":
        rng = np.random.default_rng([trial.seed, round_, int(trial.subject[3:])])
        chosen = rng.choice(len(pool), min(trial.asks, len(pool)), replace=False)
        return [pool[at] for at in chosen]
    if trial.way == "surest":
        surest = sorted(candidates, key=lambda one: -one.probability)[: trial.asks]
        return [by_name[one.path] for one in surest]
    turn = dict.fromkeys(SORTS, 1) if trial.way == "evenly" else None
    asked = islice(questions_of(candidates, threshold, turn), trial.asks)
    return [by_name[question.photo.path] for question in asked]


class Study:
    """All photos with their features, and a scratch folder for the albums that train."""

    def __init__(self, photos: Sequence[Photo], scratch: Path) -> None:
        self.photos = photos
        self.scratch = scratch
        self.settings = default_settings()
        self.units: dict = {}
        self.first: dict = {}
        model = self.settings.model
        self.features = Features(scratch / "derived", viewer_of(model), encoder_of(model))
        self.features.fill([(photo.sha256, photo.file) for photo in photos])

    def rows_of(self, trial: Trial) -> pd.DataFrame:
        """A row a round: the figures on the test part, and how many photos were asked about and were the subject's."""
        test = [photo for photo in self.photos if photo.is_tested(trial.seed)]
        pool = [photo for photo in self.photos if not photo.is_tested(trial.seed)]
        own = [photo for photo in pool if photo.label == trial.subject]
        rng = np.random.default_rng([trial.seed, int(trial.subject[3:])])
        known = [own[at] for at in rng.choice(len(own), START, replace=False)]
        rows = []
        for round_ in range(trial.rounds + 1):
            pool = [photo for photo in pool if photo not in known]
            key = (trial.subject, trial.seed)
            if round_ == 0 and key in self.first:  # before the first question all ways are alike
                figures, threshold, answers = self.first[key]
            else:
                figures, threshold, answers = self.measured(trial, known, test, pool)
            if round_ == 0:
                self.first[key] = figures, threshold, answers
            asked = len(known) - START
            found = sum(photo.label == trial.subject for photo in known)
            rows.append(
                {**trial.__dict__, "round": round_, "asked": asked, "known": found, **figures}
            )
            known = [*known, *choose(trial, pool, answers, threshold, round_)]
        return pd.DataFrame(rows)

    def measured(
        self, trial: Trial, known: Sequence[Photo], test: Sequence[Photo], pool: Sequence[Photo]
    ):
        """The figures of a training on the known photos; its threshold, and its answers about the pool."""
        head = self.trained(trial, known)
        answers = self.answers(head, test)
        taken = answers >= head.decision.threshold
        labels = np.array([photo.label for photo in test])
        own = labels == trial.subject
        individual = np.char.startswith(labels, "cat") & ~own
        album = ~np.char.startswith(labels, "cat")
        cats = own | individual
        figures = {"auroc": roc_auc_score(own[cats], answers[cats])}
        figures["recall_1"] = (answers[own] > np.quantile(answers[individual], 0.99)).mean()
        for name, part in (("recall", own), ("others", individual), ("album", album)):
            figures |= {name: taken[part].mean(), f"{name}_n": int(part.sum())}
        strangers = head.strangers
        figures["strangers"] = (strangers["probability"] >= strangers["threshold"]).mean()
        figures["strangers_n"] = len(strangers)
        return figures, head.decision.threshold, self.answers(head, pool)

    def trained(self, trial: Trial, known: Sequence[Photo]) -> FinalModel:
        """What a run keeps: the same head and threshold, without the figures that it would report of itself."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            root = Path(folder)
            for photo in known:
                link = root / place_of(photo, trial.subject)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(photo.file)
            rows = usable(Album.open(root, trial.subject, self.scratch / "derived").update())
        rows["fold"] = assign_folds(rows, trial.seed)
        settings = replace(self.settings, subject=trial.subject, seed=trial.seed)
        album = album_rows(rows, settings.data, settings.seed)
        run = SharedRun(album, self.features, settings.model, settings)
        run.units.update(self.units)
        examples = run.with_strangers(run.examples)
        asked = examples if is_few(album) else run.with_strangers(run.of(~album.is_in("test")))
        n_features = examples.x.shape[1]
        held_out = out_of_fold(asked, run.penalty, trial.seed, n_features)
        decision = decide(held_out.for_decision(asked), run.rule)
        self.units = run.units
        return run.kept(fit_head(*examples.training(), run.penalty), decision)

    def answers(self, head: FinalModel, photos: Sequence[Photo]) -> np.ndarray:
        """The probability of each photo."""
        rows, of = self.features.all_rows([photo.sha256 for photo in photos])
        logits = rows @ head.weights["head.0.weight"][0] + head.weights["head.0.bias"]
        probabilities = np.zeros(len(photos))
        np.maximum.at(probabilities, of, head.decision.probabilities(logits))
        return probabilities


class SharedRun(LinearRun):
    """A run whose strangers, and the units that they give, are computed once for all runs of the study."""

    @cached_property
    def units(self) -> dict:
        return {}

    @property
    def space(self):
        if "space" not in self.units:
            self.units["space"] = LinearRun.space.func(self)
        return self.units["space"]

    @property
    def _trained_strangers(self):
        if "strangers" not in self.units:
            self.units["strangers"] = LinearRun._trained_strangers.func(self)
        return self.units["strangers"]


def place_of(photo: Photo, subject: str) -> str:
    """Where the photo lies in an album of the subject."""
    name = f"{photo.label.replace('/', '-')}-{photo.file.name}"
    if photo.label == subject:
        return f"{subject}/{name}"
    if photo.label == "not_mila":
        return f"not_{subject}/{name}"
    return f"pets/{photo.label.removeprefix('pets/')}/{name}"


def default_settings() -> RunSettings:
    """What `python -m ismila.train data=strangers` says."""
    register()
    conf = Path(ismila.__file__).with_name("conf")
    with initialize_config_dir(str(conf), version_base="1.3"):
        return settings_of(compose("train", ["data=strangers"]))


def photos_of(individuals: Path, album: Path) -> list[Photo]:
    """Everything that is known or asked about or tested on, each content once."""
    photos = []
    for folder in sorted(path for path in individuals.iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.jpg"))
        for at, file in enumerate(files):
            photos.append(photo_of(file, folder.name, at * BLOCKS // len(files)))
    for folder in (album / "not_mila", *sorted((album / "pets").iterdir())):
        label = folder.relative_to(album).as_posix()
        for at, file in enumerate(sorted(folder.glob("*"))):
            photos.append(photo_of(file, label, at // 5 % 2))
    first = {photo.sha256: photo for photo in reversed(photos)}
    return sorted(first.values(), key=lambda photo: photo.name)


def photo_of(file: Path, label: str, block: int) -> Photo:
    return Photo(
        file, label, f"{label}/{file.name}", hashlib.sha256(file.read_bytes()).hexdigest(), block
    )


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over animals and draws with their intervals, for each way and number of questions."""
    lines = []
    for (way, asked), part in rows.groupby(["way", "round"], sort=False):
        line = {
            "way": way,
            "round": asked,
            "asked": part["asked"].mean(),
            "known": part["known"].mean(),
        }
        for name in FIGURES:
            line |= dict(
                zip((name, f"{name}_low", f"{name}_high"), interval(part, name), strict=True)
            )
        lines.append(line)
    return pd.DataFrame(lines)


def differences(rows: pd.DataFrame, way: str, other: str) -> pd.DataFrame:
    """How the figures of one way differ from those of another in the same animals and draws."""
    keys = ["subject", "seed", "round"]
    both = rows[rows["way"] == way].merge(
        rows[rows["way"] == other], on=keys, suffixes=("", "_other")
    )
    for name in FIGURES:
        both[name] = both[name] - both[f"{name}_other"]
    return table_of(both.assign(way=f"{way} less {other}"))


def interval(part: pd.DataFrame, name: str) -> tuple[float, float, float]:
    """Mean over the animals, and the ends of its 95 % interval: bootstrap over them, since draws of one are alike."""
    means = part.groupby("subject")[name].mean().to_numpy()
    drawn = np.random.default_rng(0).choice(means, (2000, len(means)))
    low, high = np.quantile(drawn.mean(1), [0.025, 0.975])
    return float(means.mean()), float(low), float(high)


def draw(table: pd.DataFrame, file: Path) -> None:
    """The four figures by round, a line for each way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(FIGURES), figsize=(13, 3.3), layout="constrained")
    for axis, (name, words) in zip(axes, FIGURES.items(), strict=True):
        for number, (way, part) in enumerate(table.groupby("way", sort=False)):
            x = part["asked"] + 0.7 * (number - 1.5)
            errors = [part[name] - part[f"{name}_low"], part[f"{name}_high"] - part[name]]
            axis.errorbar(
                x,
                100 * part[name],
                100 * np.array(errors),
                marker="o",
                ms=4,
                lw=1.4,
                capsize=2,
                label=way,
            )
        axis.set(title=textwrap.fill(f"{words}, %", 24), xlabel="photos asked about")
        axis.title.set_fontsize(9)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Print a line a training as it comes, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("individuals", type=Path, nargs="?")
    parser.add_argument("album", type=Path, nargs="?")
    parser.add_argument("--cats", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--ask", type=int, default=20)
    parser.add_argument("--ways", default="queue,random,surest,evenly")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--scratch", type=Path, help="keeps features from one call to the next")
    parser.add_argument("--from", dest="known", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    rows = pd.read_csv(args.known) if args.known else measured(args)
    pd.set_option("display.width", 200, "display.max_columns", 30)
    table = table_of(rows)
    n = f"{rows['subject'].nunique()} animals, {len(rows.groupby(['subject', 'seed']))} draws"
    print(f"\n{n}\n{table.round(3).to_string(index=False)}\n")
    for other in sorted(set(rows["way"]) - {"queue"}):
        print(differences(rows, "queue", other).round(3).to_string(index=False), "\n")
    if args.plot:
        draw(table, args.plot)


def measured(args: argparse.Namespace) -> pd.DataFrame:
    """All trials, kept after each in `--csv`; those that are there already are not made again."""
    photos = photos_of(args.individuals, args.album)
    animals = sorted({photo.label for photo in photos if photo.label.startswith("cat")})
    done = pd.read_csv(args.csv) if args.csv and args.csv.exists() else pd.DataFrame()
    with tempfile.TemporaryDirectory() as folder:
        scratch = args.scratch or Path(folder)
        scratch.mkdir(parents=True, exist_ok=True)
        study = Study(photos, scratch)
        for seed in range(args.seeds):
            for subject in args.cats.split(",") if args.cats else animals:
                for way in args.ways.split(","):
                    trial = Trial(subject, seed, way, args.ask, args.rounds)
                    if (
                        len(done)
                        and (done[["subject", "seed", "way"]] == [subject, seed, way])
                        .all(axis=1)
                        .any()
                    ):
                        continue
                    rows = study.rows_of(trial)
                    print(
                        rows.drop(columns=["asks", "rounds"])
                        .round(3)
                        .to_string(index=False, header=False),
                        flush=True,
                    )
                    done = pd.concat([done, rows])
                    if args.csv:
                        done.to_csv(args.csv, index=False)
    return done


if __name__ == "__main__":
    main()
