"""One self-contained page that says how far a run can be trusted, from its predictions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ismila.evidence.compare import Change, figures_of, paired_change
from ismila.evidence.confusion import taken_for_whom
from ismila.evidence.context import Context, context_of
from ismila.evidence.deletion import Deletion, deletion_of
from ismila.evidence.explain import Explainer, Neighbour, draw_overlay, open_explainer
from ismila.evidence.metrics import (
    Reliability,
    auroc,
    auroc_interval,
    balanced_error,
    calibration,
    is_subject,
    rates,
    reliability,
    reported,
    stranger_rates,
    taken_for_subject,
    wilson,
)
from ismila.evidence.summary import FEW, few, summary
from ismila.learning.classifier import Classifier
from ismila.learning.features import Progress
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.images import PhotoError, jpeg_bytes, open_photo, write_aside
from ismila.runs.find import (
    Recorded,
    album_of,
    best_of,
    finished_runs,
    load_classifier,
    load_predictions,
    load_strangers,
    read_epochs,
    read_run,
)
from ismila.runs.record import record_report

THUMBNAIL_PX = 180
EXPLAINED = 40
"""As many errors get a heat map and nearest photos, the worst first."""
SHOWN_PX = 448
NEAR_PX = 90
NEIGHBOURS = 4
MANY_PHOTOS = 200
PAGE = resources.files("ismila.evidence") / "report_page"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A rate with its 95 % interval, `low` to `high`."""

    name: str
    hits: int
    n: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far probabilities can be believed.

    Attributes:
        error: over all reported photos; None without one.
        among: the same among the subject's photos and those of one other label, both sides weighing
            alike.
        bins: `probability, rate, n`.
        kinds: what `metrics.reliability` gives.
        temperature: what the classifier divides its logits by.
    """

    error: float | None
    among: dict[str, float | None]
    bins: list[dict[str, float]]
    kinds: list[Reliability]
    temperature: float


@dataclass(frozen=True, kw_only=True)
class Other:
    """The best other run, and how the rates differ from it on the photos that both held out, by
    what they say."""

    name: str
    id: str
    changes: dict[str, Change]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Who is taken for whom by the runs of several subjects.

    Attributes:
        rows: what photos show -> for each subject how many of how many are taken for it.
    """

    subjects: list[str]
    rows: dict[str, list[tuple[int, int]]]


@dataclass(frozen=True, kw_only=True)
class Near:
    """A training photo near to a mistake, with a thumbnail as a data address."""

    path: str
    kind: str
    similarity: float
    src: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A reported photo.

    Attributes:
        p: its probability.
        threshold: the one that it was judged by, rounded for the page.
        taken: for the subject, before anything was rounded.
        src: a thumbnail as a data address, empty when it cannot be read.
        heat, words, nearest: of the worst mistakes.
    """

    path: str
    label: str
    kind: str
    p: float
    threshold: float
    taken: bool
    src: str = ""
    problem: str = ""
    heat: str = ""
    words: str = ""
    nearest: list[Near] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows.

    Attributes:
        thresholds: the different ones that photos were judged by: one, or one of each fold of a
            cross-validation.
        kept_threshold: the classifier's own, which judges new photos.
        context: her photos as they are, with all but the animal greyed out, and with the animal.
        deletion: her photos greyed out cell by cell.
        auroc: with the ends of its 95 % interval; None without a photo on one side.
        taken: where the reports of several subjects are written together.
    """

    subject: str
    run: dict[str, str]
    summary: str
    few: str
    few_below: int
    thresholds: list[float]
    kept_threshold: float
    bars: list[Bar]
    context: list[Bar]
    deletion: Deletion
    auroc: list[float | None]
    calibration: Calibration
    epochs: dict[str, list[float]]
    other: Other | None
    photos: list[Shown]
    taken: Taken | None = None


def write_reports(
    runs: Mapping[str, str],
    to: Path,
    root: Path | None,
    progress: Progress | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """A page for each subject; of several each says who is taken for whom.

    Args:
        runs: subject -> run id.
        say: told in a line that the runs cannot be compared.

    Raises:
        UserError: as `write_report`.
    """
    taken = None
    if len(runs) > 1:
        try:
            taken = taken_among(runs)
        except UserError as error:
            say(str(error))
    return [write_report(run, to, root, progress, taken) for run in runs.values()]


def taken_among(runs: Mapping[str, str]) -> Taken:
    """Who is taken for whom by the runs. Raises UserError when they were trained on different photos."""
    table = taken_for_whom({subject: load_predictions(run) for subject, run in runs.items()})
    rows = {
        str(row["shows"]): [(int(row[subject]), int(row[f"{subject}_n"])) for subject in runs]
        for row in table.to_dict("records")
    }
    return Taken(subjects=list(runs), rows=rows)


def write_report(
    run_id: str,
    to: Path,
    root: Path | None,
    progress: Progress | None = None,
    taken: Taken | None = None,
) -> Path:
    """Write `<to>/<run>.html`, keep it with the run in MLflow (`report.html`), and return its path.

    Nothing is computed again except explanations of the errors, and her photos with parts greyed out.

    Args:
        root: the run's album, when it has moved.

    Raises:
        UserError: the run's album is gone, or the page cannot be written.
    """
    run = read_run(run_id)
    described = describe(run, album_of(run, root), progress)
    page = page_of(replace(described, taken=taken))
    path = to / f"{run.run_id[:8]}.html"
    try:
        write_aside(path, page.encode())
    except OSError as error:
        raise UserError(
            f"--to {to}: {error.strerror}; give a folder that may be written"
        ) from error
    record_report(run.run_id, page)
    return path


def page_of(report: Report) -> str:
    """The page, with its style, its data, its code and plotly in one file."""
    from plotly.offline.offline import get_plotlyjs

    # "<" would let a file name end the script; NaN is no JSON.
    data = json.dumps(asdict(report), default=float, allow_nan=False).replace("<", "\\u003c")
    parts = {
        "/*CSS*/": (PAGE / "report.css").read_text(encoding="utf-8"),
        "/*DATA*/": f"window.REPORT = {data};",
        "/*JS*/": (PAGE / "report.js").read_text(encoding="utf-8"),
        "/*PLOTLY*/": get_plotlyjs(),
    }
    page = (PAGE / "report.html").read_text(encoding="utf-8")
    for mark, text in parts.items():
        page = page.replace(mark, text, 1)
    return page


def describe(run: Recorded, album: Album, progress: Progress | None = None) -> Report:
    """All that the page shows, as plain values."""
    held_out = reported(load_predictions(run.run_id))
    classifier = load_classifier(run.run_id)
    subject = classifier.subject
    strangers = load_strangers(run.run_id)
    tags = {name: run.tags.get(name, "") for name in ("model", "data", "album", "refit")}
    return Report(
        subject=subject,
        run={
            "id": run.run_id,
            **tags,
            "protocol": run.protocol,
            "occasion_minutes": run.params.get("data.occasion_minutes", ""),
        },
        summary=summary(held_out, subject, strangers),
        few=few(held_out, subject, strangers),
        few_below=FEW,
        thresholds=sorted({round(float(at), 5) for at in held_out["threshold"]}),
        kept_threshold=float(classifier.threshold),
        bars=_bars(rates(held_out) | stranger_rates(strangers)),
        context=_context_bars(context_of(held_out, classifier, album, progress)),
        deletion=deletion_of(held_out, classifier, album, progress),
        auroc=[_or_none(value) for value in (auroc(held_out), *auroc_interval([held_out]))],
        calibration=_calibration(held_out, classifier),
        epochs=read_epochs(run.run_id),
        other=_best_other(run, subject),
        photos=_photos(held_out, _Eyes(run, classifier, album), progress),
    )


def _context_bars(context: Context) -> list[Bar]:
    return _bars(
        {
            "recall_whole": (context.whole, context.n),
            "recall_animal": (context.animal, context.n),
            "surroundings": (context.surroundings, context.n),
        }
    )


def _bars(counts: Mapping[str, tuple[int, int]]) -> list[Bar]:
    bars = []
    for name, (hits, n) in counts.items():
        if n:
            low, high = wilson(hits, n)
            bars.append(Bar(name=name, hits=hits, n=n, low=low, high=high))
    return bars


def _calibration(held_out: pd.DataFrame, classifier: Classifier) -> Calibration:
    error, bins = calibration(held_out)
    subject = held_out[is_subject(held_out)]
    return Calibration(
        error=_or_none(error),
        among={
            label: balanced_error(subject, held_out[held_out["label"] == label])
            for label in ("things", "pets")
        },
        bins=[
            {"probability": float(p), "rate": float(rate), "n": float(n)}
            for p, rate, n in zip(bins["probability"], bins["rate"], bins["n"], strict=True)
        ],
        kinds=reliability(held_out),
        temperature=float(classifier.temperature),
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _best_other(run: Recorded, subject: str) -> Other | None:
    """The best other run that was measured like this one: same album, seed and protocol; None when
    there is none."""
    runs = finished_runs(run.tags.get("subject", subject))
    others = [other for other in runs if other.run_id != run.run_id]
    comparable = [
        other
        for other in others
        if (other.album, other.seed, other.protocol) == (run.album, run.seed, run.protocol)
    ]
    if not comparable:
        return None
    (this, that), _ = figures_of([run, best_of(comparable).run])
    rates_in_words = {
        "test_recall": f"{subject} recognised",
        "test_fpr_things": "things taken for it",
        "test_fpr_pets": "animals taken for it",
    }
    changes = {words: paired_change(name, [(this, that)]) for name, words in rates_in_words.items()}
    return Other(
        name=f"{that.model} {that.data} {that.settings}".strip(),
        id=that.run_id,
        changes={words: change for words, change in changes.items() if change},
    )


@dataclass(frozen=True)
class _Eyes:
    """What looks at a run's photos."""

    run: Recorded
    classifier: Classifier
    album: Album

    @cached_property
    def explainer(self) -> Explainer:
        """Opened for the first mistake: it reads the features of all training photos."""
        return open_explainer(self.run, self.classifier, self.album)


def _photos(held_out: pd.DataFrame, eyes: _Eyes, progress: Progress | None) -> list[Shown]:
    """Each reported photo, with a heat map for the worst mistakes."""
    distance = (held_out["probability"] - held_out["threshold"]).abs()
    mistakes = taken_for_subject(held_out) != is_subject(held_out)
    worst = set(distance[mistakes].nlargest(EXPLAINED).index)
    rows: Iterable[tuple[int, pd.Series]] = enumerate(row for _, row in held_out.iterrows())
    if progress and len(held_out) > MANY_PHOTOS:
        rows = progress(rows, len(held_out), "Looking at photos")
    return [_shown(row, eyes, explained=at in worst) for at, row in rows]


def _shown(row: pd.Series, eyes: _Eyes, explained: bool) -> Shown:
    shown = Shown(
        path=str(row["path"]),
        label=str(row["label"]),
        kind=str(row["kind"]),
        p=round(float(row["probability"]), 5),
        threshold=round(float(row["threshold"]), 5),
        taken=bool(row["probability"] >= row["threshold"]),
    )
    try:
        photo = open_photo(eyes.album.root / shown.path, SHOWN_PX)
    except PhotoError as error:
        return replace(shown, problem=str(error))
    shown = replace(shown, src=_data_uri(photo))
    if not explained:
        return shown
    # at the size that the run saw it: an animal in a thumbnail has too few pixels
    views = eyes.classifier.viewer.read(eyes.album.root / shown.path)
    explanation = eyes.explainer.explain(eyes.explainer.asked_about(views))
    heat = draw_overlay(explanation)
    return replace(
        shown,
        heat=_data_uri(heat if views.animals else heat.resize(photo.size)),
        words=explanation.words(eyes.classifier.subject),
        nearest=[_near(one, eyes.album) for one in explanation.nearest[:NEIGHBOURS]],
    )


def _near(neighbour: Neighbour, album: Album) -> Near:
    try:
        src = _data_uri(open_photo(album.root / neighbour.path, 128), NEAR_PX)
    except PhotoError:
        src = ""
    return Near(**asdict(neighbour), src=src)


def _data_uri(photo: Image.Image, side_px: int = THUMBNAIL_PX) -> str:
    small = photo.copy()
    small.thumbnail((side_px, side_px))
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(small, 78)).decode()}"
