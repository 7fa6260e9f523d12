"""One self-contained page that says how far a run can be trusted, from its predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ismila.evidence.compare import Change, figures_of, paired_change
from ismila.evidence.confusion import rates_of_subjects
from ismila.evidence.context import Context, context_of
from ismila.evidence.deletion import Deletion, deletion_of
from ismila.evidence.explain import Explainer, Neighbour, draw_overlay, open_explainer
from ismila.evidence.intervals import Rate, rate_of_counts
from ismila.evidence.metrics import (
    Reliability,
    auroc,
    auroc_interval,
    calibration_bins,
    calibration_error,
    error_among,
    error_by_chance,
    groups_of,
    is_subject,
    rates,
    reliability,
    reported,
    stranger_rates,
    taken_for_subject,
)
from ismila.evidence.summary import FEW, few, summary
from ismila.learning.held_out import HeldOutClassifiers, training_rows
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.files import write_aside
from ismila.photos.images import PhotoError, data_uri, jpeg_bytes, open_photo
from ismila.photos.progress import Progress
from ismila.runs.find import (
    CHOSEN_ON,
    Recorded,
    album_of,
    best_of,
    finished_runs,
    incomparable,
    load_classifier,
    load_held_out,
    load_predictions,
    load_strangers,
    read_epochs,
    read_run,
)
from ismila.runs.record import record_report
from ismila.vision.classifier import Classifier

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
    """A rate with its 95 % interval, `low` to `high`; the n photos are of so many `groups`."""

    name: str
    hits: int
    n: int
    groups: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CalibrationFigures:
    """How far probabilities can be believed.

    Attributes:
        error: over all reported photos, under the prior that probabilities are meant for; None
            without the subject or without others.
        by_chance: what perfectly calibrated probabilities would show on as few photos.
        prior: what probabilities are meant for, in words.
        among: the error among the subject's photos and those of one other label, both sides weighing
            alike.
        bins: `probability, rate, n`.
        kinds: what `metrics.reliability` gives.
        temperature, bias: of the kept classifier.
    """

    error: float | None
    by_chance: float | None
    prior: str
    among: dict[str, float | None]
    bins: list[dict[str, float]]
    kinds: list[Reliability]
    temperature: float
    bias: float


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
    rows: dict[str, list[Rate]]


@dataclass(frozen=True, kw_only=True)
class NearestPhoto:
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
    nearest: list[NearestPhoto] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows.

    Attributes:
        thresholds: the different ones that photos were judged by: one, or one of each fold of a
            cross-validation.
        kept_threshold: the classifier's own, which judges new photos.
        context: the subject's photos as they are, with all but the animal greyed out, and with the animal.
        deletion: the subject's photos greyed out cell by cell.
        auroc: with the ends of its 95 % interval; None without a photo on one side.
        taken: where the reports of several subjects are written together.
        notes: what was chosen on which photos, in sentences.
    """

    subject: str
    run: dict[str, str]
    notes: list[str]
    summary: str
    few: str
    few_below: int
    thresholds: list[float]
    kept_threshold: float
    bars: list[Bar]
    context: list[Bar]
    deletion: Deletion
    auroc: list[float | None]
    calibration: CalibrationFigures
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
    table = rates_of_subjects({subject: load_predictions(run) for subject, run in runs.items()})
    rows = {what: [found[subject] for subject in runs] for what, found in table.items()}
    return Taken(subjects=list(runs), rows=rows)


def write_report(
    run_id: str,
    to: Path,
    root: Path | None,
    progress: Progress | None = None,
    taken: Taken | None = None,
) -> Path:
    """Write `<to>/<run>.html`, keep it with the run in MLflow (`report.html`), and return its path.

    Nothing is computed again except explanations of the errors, and the subject's photos with parts greyed out.

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
    predictions = load_predictions(run.run_id)
    held_out = reported(predictions)
    classifier = load_classifier(run.run_id)
    classifiers = load_held_out(run, classifier)
    shown = held_out if classifiers else held_out[:0]
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
        notes=_notes(run, classifiers),
        summary=summary(held_out, subject, strangers, run.params.get("data.strangers") == "True"),
        few=few(held_out, subject, strangers),
        few_below=FEW,
        thresholds=sorted({round(float(at), 5) for at in held_out["threshold"]}),
        kept_threshold=float(classifier.threshold),
        bars=_bars(rates(held_out) | stranger_rates(strangers)),
        context=_context_bars(context_of(shown, classifiers, album, progress), shown),
        deletion=deletion_of(shown, classifiers, album, progress),
        auroc=[_or_none(value) for value in (auroc(held_out), *auroc_interval([held_out]))],
        calibration=_calibration(held_out, classifier),
        epochs=read_epochs(run.run_id),
        other=_best_other(run, subject),
        photos=_photos(held_out, _Eyes(predictions, classifiers, album), progress),
    )


PRIOR = (
    "A probability holds where a photo shows {subject} as often as not, and otherwise a thing as often as another "
    "animal. The album's own mix is not meant: it says how many photos of what somebody collected, and in a library "
    "another one holds. Where {subject} is rarer, fewer of the photos at a probability are {subject}."
)


def _notes(run: Recorded, classifiers: HeldOutClassifiers) -> list[str]:
    """What was chosen on which photos, so that nobody reads more into a figure than there is."""
    notes = []
    if run.protocol == "crossval":
        notes.append(
            "Cross-validated: each photo was predicted by a head, and judged by a threshold, that its group had no "
            "part in. The best run is chosen by figures of the same photos, so the best of many runs looks a little "
            "better than it is."
        )
    elif run.selection_kind == CHOSEN_ON:
        notes.append(
            "Nothing was chosen on the test photos. The validation photos chose this network's epoch, its calibration "
            "and its threshold, and give its select_loss, which is flattered by that: the best run is not chosen "
            "between it and runs whose validation photos chose nothing."
        )
    if not classifiers:
        notes.append(
            "This run is of an older version, which did not keep the heads that its reported answers come from: what "
            "they look at is left out here. Train again to see it."
        )
    return notes


def _context_bars(context: Context, held_out: pd.DataFrame) -> list[Bar]:
    groups = len(set(groups_of(held_out[is_subject(held_out)])))
    counts = {
        "recall_whole": context.whole,
        "recall_animal": context.animal,
        "surroundings": context.surroundings,
    }
    return _bars({name: rate_of_counts(hits, context.n, groups) for name, hits in counts.items()})


def _bars(found: Mapping[str, Rate]) -> list[Bar]:
    return [Bar(name=name, **asdict(rate)) for name, rate in found.items() if rate.n]


def _calibration(held_out: pd.DataFrame, classifier: Classifier) -> CalibrationFigures:
    bins = calibration_bins(held_out)
    subject = held_out[is_subject(held_out)]
    calibration = classifier.decision.calibration
    return CalibrationFigures(
        error=_or_none(calibration_error(held_out)),
        by_chance=_or_none(error_by_chance(held_out)),
        prior=PRIOR.format(subject=classifier.subject),
        among={
            label: error_among(subject, held_out[held_out["label"] == label])
            for label in ("things", "pets")
        },
        bins=[
            {"probability": float(p), "rate": float(rate), "n": float(n)}
            for p, rate, n in zip(bins["probability"], bins["rate"], bins["n"], strict=True)
        ],
        kinds=reliability(held_out),
        temperature=calibration.temperature,
        bias=calibration.bias,
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _best_other(run: Recorded, subject: str) -> Other | None:
    """The best other run that was measured like this one, and cut short or not, too; None when there
    is none."""
    runs = finished_runs(run.tags.get("subject", subject))
    comparable = [
        other
        for other in runs
        if other.run_id != run.run_id
        and not incomparable(other, run)
        and not incomparable(run, other)
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
    """What looks at a run's reported photos.

    Attributes:
        predictions: of all the run's photos.
        explainers: by `held_out_by`; each is opened for the first mistake that it explains, since it
            reads the features of all its training photos.
    """

    predictions: pd.DataFrame
    classifiers: HeldOutClassifiers
    album: Album
    explainers: dict[str, Explainer] = field(default_factory=dict)

    def explainer(self, held_out_by: str) -> Explainer:
        """Explains the answers for the photos that this held out, by what was trained without them."""
        if held_out_by not in self.explainers:
            training = training_rows(self.predictions, held_out_by)
            classifier = self.classifiers[held_out_by]
            self.explainers[held_out_by] = open_explainer(training, classifier, self.album)
        return self.explainers[held_out_by]


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
    shown = replace(shown, src=_thumbnail(photo))
    if not explained or not eyes.classifiers:
        return shown
    explainer = eyes.explainer(str(row["held_out_by"]))
    # at the size that the run saw it: an animal in a thumbnail has too few pixels
    views = explainer.classifier.viewer.read(eyes.album.root / shown.path)
    explanation = explainer.explain(explainer.deciding_image(views))
    heat = draw_overlay(explanation)
    return replace(
        shown,
        heat=_thumbnail(heat if views.animals else heat.resize(photo.size)),
        words=explanation.words(explainer.classifier.subject),
        nearest=[_near(one, eyes.album) for one in explanation.nearest[:NEIGHBOURS]],
    )


def _near(neighbour: Neighbour, album: Album) -> NearestPhoto:
    try:
        src = _thumbnail(open_photo(album.root / neighbour.path, 128), NEAR_PX)
    except PhotoError:
        src = ""
    return NearestPhoto(**asdict(neighbour), src=src)


def _thumbnail(photo: Image.Image, side_px: int = THUMBNAIL_PX) -> str:
    small = photo.copy()
    small.thumbnail((side_px, side_px))
    return data_uri(jpeg_bytes(small, 78))
