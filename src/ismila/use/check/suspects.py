"""What in an album looks wrong, worst first: probable label errors, near-duplicates, photos of which
nobody can say where the subject is in them, blurred, tiny, far away."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.learning.closeups import with_shares
from ismila.learning.features import Features
from ismila.photos.album import Album
from ismila.photos.boxes import plain_sides
from ismila.photos.images import ImageSpec, Pixels
from ismila.photos.index import NEAR_DUPLICATE_BITS, usable
from ismila.photos.progress import Progress
from ismila.use.check.which_animal import Choice, choices
from ismila.vision.encoders import OnnxBackbone
from ismila.vision.graphs import Floats
from ismila.vision.views import Viewer

FOLDS = 5
STRENGTH = 10.0
"""scikit-learn's C of the classifier that looks for label errors, on centred features of length 1.

benchmarks/label_errors.py measures it. On a real album of 672 photos with 5 % of labels changed
among five, seeds 0 to 4, the share of them in the first 5 % of the list by self-confidence: C=1
0.77, 10 0.78, 100 0.75; 10 with balanced classes 0.80; trained again without the suspects 0.76. By
the normalised margin: 0.66 to 0.69."""
TINY_PX = 128
FAR_SHARE = 0.12
BLURRED_DEVIATIONS = 3.0
FEWEST_TO_BE_USUAL = 10
"""Of fewer photos nobody can say how sharp they usually are."""
UNKNOWN_CLASS = 1e-6
"""Probability of a class that a classifier did not see."""
SORTS = ("label", "duplicate", "animal", "far", "blurred", "tiny", "unreadable")


def suspects_of(
    album: Album, index: pd.DataFrame, progress: Progress | None = None
) -> pd.DataFrame:
    """One row a photo that looks wrong, the worst first.

    Columns: `path, label, kind, closeup, box`, `sort` (of the worst reason: label, duplicate,
    animal, far, blurred, tiny, unreadable), `score` in [0, 1], `reason` (all reasons in words),
    `suggested` (label or kind, empty where there is none); of the subject's photos `boxes` (of the
    animals in it, lists x0 y0 x1 y1) and `chosen` (the number of the one that trains, from 0; None
    where it is none of them). An album too small or too lopsided to say something
    about one of them has none of that sort.

    Args:
        index: what `album.update()` gives.
    """
    usable_rows = usable(index)
    spec = ImageSpec()
    features = Features(album.derived, Viewer(spec), OnnxBackbone(spec))
    gone = features.fill(album.photos(usable_rows), 1, progress)
    rows = usable_rows[~usable_rows["sha256"].isin(list(gone))].reset_index(drop=True)
    parts = [_duplicates(rows), _far(rows, album, progress), _blurred(rows, album, progress)]
    parts += [_tiny(rows), _unreadable(index)]
    found = choices(album, rows, progress)
    parts.append(_which_animal(found, album.subject))
    if len(rows):
        parts.append(_label_errors(rows, features.rows(rows["sha256"]), album.subject))
    return _with_boxes(_worst_first(parts, index), found)


def _worst_first(parts: list[pd.DataFrame], index: pd.DataFrame) -> pd.DataFrame:
    """One row a photo with all its reasons, and what the index knows of it."""
    table = pd.concat([part for part in parts if len(part)] or [_table([])])
    table = table.sort_values(["score", "path"], ascending=[False, True])
    worst = table.groupby("path", sort=False).agg(
        sort=("sort", "first"),
        score=("score", "first"),
        reason=("reason", "; ".join),
        suggested=("suggested", "max"),
    )
    facts = index.set_index("path").loc[worst.index, ["label", "kind", "closeup", "box"]]
    return pd.concat([facts, worst], axis=1).reset_index()


def _with_boxes(table: pd.DataFrame, found: Mapping[str, Choice]) -> pd.DataFrame:
    known = [found.get(path, Choice((), None)) for path in table["path"]]
    boxes = [[plain_sides(box) for box in choice.boxes] for choice in known]
    chosen = [choice.chosen for choice in known]
    return table.assign(
        boxes=pd.Series(boxes, table.index, dtype=object),
        chosen=pd.Series(chosen, table.index, dtype=object),
    )


def _which_animal(found: Mapping[str, Choice], subject: str) -> pd.DataFrame:
    return _table(
        [
            (path, "animal", choice.score, choice.reason(subject), "")
            for path, choice in found.items()
            if choice.doubt
        ]
    )


def _table(rows: list[tuple[str, str, float, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "sort", "score", "reason", "suggested"])


def _label_errors(rows: pd.DataFrame, features: Floats, subject: str) -> pd.DataFrame:
    """Photos whose label a classifier that did not see their group thinks wrong.

    Confident learning (Northcutt et al. 2021, https://doi.org/10.1613/jair.1.12125) as `cleanlab`
    does it.
    """
    from cleanlab.rank import get_label_quality_scores

    # In the order of their content, so that a renamed folder changes no judgement.
    order = np.argsort(rows["sha256"].to_numpy(dtype=str), kind="stable")
    ordered = rows.iloc[order].reset_index(drop=True)
    classes, labels = _classes(ordered)
    p = out_of_fold(features[order], labels, ordered["group"].to_numpy())
    judged = np.flatnonzero(np.isfinite(p).all(1))
    if not len(judged):
        return _table([])
    quality = get_label_quality_scores(labels[judged], p[judged], method="self_confidence")
    suspects = []
    for at, confidence in zip(judged, quality, strict=True):
        guess = int(p[at].argmax())
        if guess == labels[at]:
            continue
        labelled = _word(classes[labels[at]], subject)
        alike = _word(classes[guess], subject)
        reason = f"labelled {labelled}, looks like {alike} ({p[at, guess]:.0%})"
        score = 0.5 + 0.5 * float(1 - confidence)
        path = str(ordered["path"].iloc[at])
        suspects.append((path, "label", score, reason, _label(classes[guess], subject)))
    return _table(suspects)


def _classes(rows: pd.DataFrame) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Class names and numbers: subject, things, and each kind of animal that has enough photos to
    be learnt."""
    names = rows["label"].where(rows["label"] != "pets", "pets/" + rows["kind"])
    counts = names.value_counts()
    rare = counts.index[(counts < 2 * FOLDS) & counts.index.str.startswith("pets/")]
    names = names.where(~names.isin(rare), "pets/other")
    counts = names.value_counts()
    names = names.where((names == "subject") | (names.map(counts) >= FOLDS), "things")
    classes = sorted(set(names))
    number = {name: at for at, name in enumerate(classes)}
    return classes, names.map(number).to_numpy(dtype=np.int64)


def out_of_fold(
    features: Floats, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.object_]
) -> npt.NDArray[np.float64]:
    """`[N, classes]`: probabilities from classifiers that did not see the photo's group.

    NaN for a photo that nothing can be said about: no classifier that did not see its group knows
    its own class (all photos of it in one burst), or there is but one class.
    """
    from sklearn.linear_model import LogisticRegression

    centred = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    centred = centred - centred.mean(0)
    p = np.full((len(centred), labels.max() + 1), np.nan)
    for train, held_out in _splits(labels, groups):
        known = np.unique(labels[train])
        asked = held_out[np.isin(labels[held_out], known)]
        if len(known) < 2 or not len(asked):
            continue
        model = LogisticRegression(C=STRENGTH, max_iter=500, class_weight="balanced")
        p[asked] = UNKNOWN_CLASS
        p[np.ix_(asked, known)] = model.fit(centred[train], labels[train]).predict_proba(
            centred[asked]
        )
    total: npt.NDArray[np.float64] = p.sum(1, keepdims=True)
    return p / total


def _splits(
    labels: npt.NDArray[np.int64], groups: npt.NDArray[np.object_]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(train, held out) rows, groups whole; as many folds as the album allows, none when that is
    one."""
    from sklearn.model_selection import StratifiedGroupKFold

    largest_class = int(np.bincount(labels).max())
    folds = min(FOLDS, len(np.unique(groups)), largest_class)
    if folds < 2:
        return
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # such rows become NaN
        yield from split.split(labels, labels, groups)


def _label(name: str, subject: str) -> str:
    return {"subject": subject, "things": f"not_{subject}"}.get(name, name)


def _word(name: str, subject: str) -> str:
    return {"subject": subject, "things": f"not {subject}"}.get(name, name.removeprefix("pets/"))


def _duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    suspects = []
    for _, same in rows[rows.duplicated("group", keep=False)].groupby("group"):
        hashes = np.array([int(phash, 16) for phash in same["phash"]], dtype=np.uint64)
        for at in range(1, len(same)):
            distance = np.bitwise_count(hashes[:at] ^ hashes[at])
            alike = np.flatnonzero(distance <= NEAR_DUPLICATE_BITS)
            if len(alike):
                suspects.append(_duplicate(same.iloc[at], same.iloc[alike[0]]))
    return _table(suspects)


def _duplicate(this: pd.Series, other: pd.Series) -> tuple[str, str, float, str, str]:
    reason = f"nearly the same as {other['path']}"
    if this["kind"] == other["kind"]:
        return this["path"], "duplicate", 0.3, reason, ""
    reason += f", which is labelled {other['kind']}, not {this['kind']}"
    return this["path"], "duplicate", 0.95, reason, ""


def _far(rows: pd.DataFrame, album: Album, progress: Progress | None) -> pd.DataFrame:
    """Photos in which the subject is small; one in which no animal was found is `_which_animal`'s to name."""
    of_subject = rows["label"] == "subject"
    shares = rows["subject_share"].astype(float)
    if album.shares(rows) is None:
        shares = with_shares(album, rows, progress)["subject_share"].astype(float)
    closeup = rows["closeup"].astype("boolean").fillna(False).astype(bool)
    far = of_subject & (shares < FAR_SHARE) & ~closeup
    return _table(
        [
            (str(path), "far", 0.29 - share, f"{album.subject} fills {share:.0%} of it", "")
            for path, share in zip(rows.loc[far, "path"], shares[far], strict=True)
        ]
    )


class _Sharpness:
    """log10 of the variance of the Laplacian of a grey image (Pech-Pacheco et al. 2000,
    https://doi.org/10.1109/ICPR.2000.903548), so that it is cached like features."""

    digest = "laplacian"
    dtype = "<f4"
    shape = (1,)

    def __call__(self, images: Pixels) -> Floats:
        from scipy.ndimage import laplace

        grey = images.astype(np.float32).mean(-1)
        return np.array([[np.log10(laplace(image).var() + 1e-3)] for image in grey], np.float32)


def _blurred(rows: pd.DataFrame, album: Album, progress: Progress | None) -> pd.DataFrame:
    spec = ImageSpec(256)
    features = Features(album.derived, Viewer(spec), _Sharpness())
    gone = features.fill(album.photos(rows), 1, progress)
    known = rows[~rows["sha256"].isin(list(gone))]
    if len(known) < FEWEST_TO_BE_USUAL:
        return _table([])
    sharpness = features.rows(known["sha256"])[:, 0]
    middle = float(np.median(sharpness))
    deviation = 1.4826 * float(np.median(np.abs(sharpness - middle))) + 1e-6
    below = (middle - sharpness) / deviation
    reason = "blurred or almost empty"
    return _table(
        [
            (str(path), "blurred", min(0.02 * float(low), 0.25), reason, "")
            for path, low in zip(known["path"], below, strict=True)
            if low > BLURRED_DEVIATIONS
        ]
    )


def _tiny(rows: pd.DataFrame) -> pd.DataFrame:
    tiny = rows[rows[["width_px", "height_px"]].min(axis=1) < TINY_PX]
    return _table(
        [
            (str(r.path), "tiny", 0.05, f"small: {r.width_px} x {r.height_px} px", "")
            for r in tiny.itertuples()
        ]
    )


def _unreadable(index: pd.DataFrame) -> pd.DataFrame:
    bad = index[(index["problem"] != "") & (index["problem"] != "dropped in labels.csv")]
    return _table([(str(r.path), "unreadable", 0.01, str(r.problem), "") for r in bad.itertuples()])
