"""One self-contained page that says how far a run can be trusted, from its predictions."""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ismila.evidence.compare import figures_of, paired_difference
from ismila.evidence.explain import Explainer, album_of, draw_overlay, open_explainer
from ismila.evidence.metrics import auroc, auroc_interval, calibration, rates, wilson
from ismila.evidence.summary import FEW, few, verdict
from ismila.learning.classifier import Classifier
from ismila.learning.features import Progress
from ismila.photos import UserError
from ismila.photos.images import PhotoError, fit_photo, jpeg_bytes, open_photo, write_aside
from ismila.runs import (
    Recorded,
    find_run,
    finished_runs,
    load_classifier,
    load_predictions,
    log_report,
    rank,
    read_epochs,
    read_run,
)

THUMBNAIL_PX = 180
EXPLAINED = 40
"""As many errors get a heat map and nearest photos, the worst first."""
PAGE = resources.files("ismila.evidence") / "report_page"


def write_report(
    which: str, subject: str, to: Path, root: Path | None, progress: Progress | None = None
) -> Path:
    """Write `<to>/<run>.html`, keep it with the run in MLflow (`report.html`), and return its path.

    Nothing is computed again except explanations of the errors.

    Raises:
        UserError: there is no such run, its album is gone, or the page cannot be written.
    """
    run = read_run(find_run(which, subject))
    told = describe(run, subject, album_of(run, root), progress)
    page = (PAGE / "report.html").read_text(encoding="utf-8")
    from plotly.offline.offline import get_plotlyjs

    data = json.dumps(told, default=float, allow_nan=False).replace("<", "\\u003c")
    parts = {
        "/*CSS*/": (PAGE / "report.css").read_text(encoding="utf-8"),
        "/*DATA*/": f"window.REPORT = {data};",
        "/*JS*/": (PAGE / "report.js").read_text(encoding="utf-8"),
        "/*PLOTLY*/": get_plotlyjs(),
    }
    for mark, text in parts.items():
        page = page.replace(mark, text, 1)
    path = to / f"{run.run_id[:8]}.html"
    try:
        write_aside(path, page.encode())
    except OSError as error:
        raise UserError(
            f"--to {to}: {error.strerror}; give a folder that may be written"
        ) from error
    log_report(run.run_id, page)
    return path


def describe(
    run: Recorded, subject: str, root: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """All that the page shows, as plain values."""
    predictions = load_predictions(run.run_id)
    held_out = predictions[predictions["held_out"]].reset_index(drop=True)
    threshold = run.metrics["threshold"]
    bars = [
        {"name": name, "hits": hits, "n": n, "low": wilson(hits, n)[0], "high": wilson(hits, n)[1]}
        for name, (hits, n) in rates(held_out, threshold).items()
        if n
    ]
    classifier = load_classifier(run.run_id)
    error, bins = calibration(held_out)
    low, high = auroc_interval([held_out])
    return {
        "subject": subject,
        "run": {
            "id": run.run_id,
            **{name: run.tags.get(name, "") for name in ("model", "data", "album", "refit")},
        },
        "verdict": verdict(held_out, threshold, subject),
        "few": few(held_out, subject),
        "few_below": FEW,
        "threshold": threshold,
        "bars": bars,
        "auroc": [_or_none(value) for value in (auroc(held_out), low, high)],
        "calibration": {
            "error": error,
            "bins": bins.to_dict("records"),
            "temperature": float(getattr(classifier, "temperature", 1.0)),
        },
        "epochs": read_epochs(run.run_id),
        "other": _against_best_other(run, subject),
        "photos": _photos(held_out, run, classifier, threshold, root, progress),
    }


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _against_best_other(run: Recorded, subject: str) -> dict[str, Any] | None:
    """The best other run on the same album, both asked about the photos that both held out.

    Runs of the same seed come first: they hold out the same photos, so that every one of them can be compared.
    """
    others = [
        other
        for other in finished_runs(subject)
        if other.run_id != run.run_id and other.tags.get("album") == run.tags.get("album")
    ]
    if not others:
        return None
    same_seed = [other for other in others if other.params.get("seed") == run.params.get("seed")]
    best = max(same_seed or others, key=lambda other: rank(other.metrics))
    (this, that), _ = figures_of([run, best])
    named = {"test_recall": f"{subject} recognised", "test_fpr_things": "things taken for it"}
    named["test_fpr_pets"] = "animals taken for it"
    rows = [
        {"name": words, **paired_difference(name, [(this, that)])} for name, words in named.items()
    ]
    name = f"{that.model} {that.data} {that.settings}".strip()
    if that.seed != this.seed:
        name += f" seed {that.seed}"
    return {"name": name, "id": that.run_id, "rows": [row for row in rows if "n" in row]}


def _photos(
    held_out: pd.DataFrame,
    run: Recorded,
    classifier: Classifier,
    threshold: float,
    root: Path,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    is_subject = held_out["label"] == "subject"
    wrong = (held_out["probability"] >= threshold) != is_subject
    how_wrong = (held_out["probability"] - threshold).abs().where(wrong, -1.0)
    worst = set(how_wrong[wrong].sort_values(ascending=False).index[:EXPLAINED])
    explainer = open_explainer(run, classifier, root) if worst else None
    rows: Any = held_out.iterrows()
    if progress and len(held_out) > 200:
        rows = progress(rows, len(held_out), "Looking at photos")
    out = []
    for at, row in rows:
        photo = {name: row[name] for name in ("path", "label", "kind")} | {
            "p": round(float(row["probability"]), 5)
        }
        photo |= _pictures(root / row["path"], explainer if at in worst else None, root)
        out.append(photo)
    return out


def _pictures(path: Path, explainer: Explainer | None, root: Path) -> dict[str, Any]:
    try:
        photo = open_photo(path, 448)
    except PhotoError as error:
        return {"src": "", "problem": str(error)}
    if explainer is None:
        return {"src": _data_uri(photo)}
    explained = explainer.explain(fit_photo(photo, explainer.classifier.spec))
    nearest = []
    for neighbour in explained.nearest[:4]:
        try:
            src = _data_uri(open_photo(root / neighbour.path, 128), 90)
        except PhotoError:
            src = ""
        nearest.append({**vars(neighbour), "src": src})
    heat = _data_uri(draw_overlay(explained).resize(photo.size))
    return {
        "src": _data_uri(photo),
        "heat": heat,
        "said": explained.said(explainer.classifier.subject),
        "nearest": nearest,
    }


def _data_uri(photo: Image.Image, side_px: int = THUMBNAIL_PX) -> str:
    small = photo.copy()
    small.thumbnail((side_px, side_px))
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(small, 78)).decode()}"
