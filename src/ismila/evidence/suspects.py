"""What in an album looks wrong, worst first: probable label errors, near-duplicates, blurred, tiny, far away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.learning.closeups import subject_shares
from ismila.learning.features import (
    Floats,
    OnnxBackbone,
    Progress,
    encode_missing,
    open_store,
    photos_of,
)
from ismila.photos.images import ImageSpec, Pixels
from ismila.photos.index import NEAR_DUPLICATE_BITS, usable, write_index

FOLDS = 5
STRENGTH = 10.0
"""scikit-learn's C of the classifier that looks for label errors, on centred features of length 1.

benchmarks/label_errors.py measures it. On a real album of 672 photos with 5 % of labels changed among five, seeds 0 to
4, the share of them in the first 5 % of the list by self-confidence: C=1 0.77, 10 0.78, 100 0.75; 10 with balanced
classes 0.80; trained again without the suspects 0.76. By the normalised margin: 0.66 to 0.69."""
TINY_PX = 128
FAR_SHARE = 0.12
BLURRED_DEVIATIONS = 3.0
SORTS = ("label", "duplicate", "far", "blurred", "tiny", "unreadable")


def find_suspects(
    index: pd.DataFrame, root: Path, derived: Path, subject: str, progress: Progress | None = None
) -> pd.DataFrame:
    """One row a photo that looks wrong, the worst first.

    Columns: `path, label, kind, closeup`, `sort` (of the worst reason: label, duplicate, far, blurred, tiny,
    unreadable), `score` in [0, 1], `reason` (all reasons in words), `suggested` (label or kind, empty where there is
    none).
    """
    rows = usable(index)
    spec = ImageSpec()
    encoder = OnnxBackbone(spec)
    store = open_store(derived, spec, encoder)
    gone = encode_missing(photos_of(rows, root), 1, spec, encoder, store, progress)
    rows = rows[~rows["sha256"].isin(list(gone))].reset_index(drop=True)
    found = (
        [_label_errors(rows, store.rows([(sha, 0) for sha in rows["sha256"]]), subject)]
        if len(rows)
        else []
    )
    found += [_duplicates(rows), _far(rows, index, root, derived, subject, progress)]
    found += [_blurred(rows, root, derived, progress), _tiny(rows), _unreadable(index)]
    table = pd.concat([part for part in found if len(part)] or [_table([])])
    table = table.sort_values(["score", "path"], ascending=[False, True])
    worst = table.groupby("path", sort=False).agg(
        sort=("sort", "first"),
        score=("score", "first"),
        reason=("reason", "; ".join),
        suggested=("suggested", "max"),
    )
    facts = index.set_index("path").loc[worst.index, ["label", "kind", "closeup"]]
    return pd.concat([facts, worst], axis=1).reset_index()


def _table(rows: list[tuple[str, str, float, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["path", "sort", "score", "reason", "suggested"])


def _label_errors(rows: pd.DataFrame, features: Floats, subject: str) -> pd.DataFrame:
    """Photos whose label a classifier that did not see their group thinks wrong.

    Confident learning (Northcutt et al. 2021, https://doi.org/10.1613/jair.1.12125) as `cleanlab` does it.
    """
    from cleanlab.rank import get_label_quality_scores

    classes, labels = _classes(rows)
    if len(classes) < 2:
        return _table([])
    p = out_of_fold(features, labels, rows["group"].to_numpy())
    quality = get_label_quality_scores(labels, p, method="self_confidence")
    out = []
    for at in np.flatnonzero(p.argmax(1) != labels):
        said, thinks = classes[labels[at]], classes[p[at].argmax()]
        words = f"labelled {_word(said, subject)}, looks like {_word(thinks, subject)} ({p[at].max():.0%})"
        worst = 0.5 + 0.5 * float(1 - quality[at])
        out.append((str(rows["path"].iloc[at]), "label", worst, words, _label(thinks, subject)))
    return _table(out)


def _classes(rows: pd.DataFrame) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Class names and numbers: subject, things, and each kind of animal that has enough photos to be learnt."""
    names = rows["label"].where(rows["label"] != "pets", "pets/" + rows["kind"])
    counts = names.value_counts()
    rare = [
        str(name) for name, n in counts.items() if n < 2 * FOLDS and str(name).startswith("pets/")
    ]
    names = names.where(~names.isin(rare), "pets/other")
    counts = names.value_counts()
    names = names.where(names.map(counts) >= FOLDS, "things")
    classes = sorted(set(names))
    return classes, names.map({name: number for number, name in enumerate(classes)}).to_numpy(
        dtype=np.int64
    )


def out_of_fold(
    features: Floats, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.object_]
) -> npt.NDArray[np.float64]:
    """`[N, classes]`: probabilities from classifiers that did not see the photo's group."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    unit = unit - unit.mean(0)
    p = np.full((len(unit), labels.max() + 1), 1e-6)
    for train, held_out in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(
        unit, labels, groups
    ):
        model = LogisticRegression(C=STRENGTH, max_iter=500, class_weight="balanced").fit(
            unit[train], labels[train]
        )
        p[np.ix_(held_out, model.classes_)] = model.predict_proba(unit[held_out])
    p /= p.sum(1, keepdims=True)
    return p


def _label(name: str, subject: str) -> str:
    return {"subject": subject, "things": f"not_{subject}"}.get(name, name)


def _word(name: str, subject: str) -> str:
    return {"subject": subject, "things": f"not {subject}"}.get(name, name.removeprefix("pets/"))


def _duplicates(rows: pd.DataFrame) -> pd.DataFrame:
    out = []
    for _, same in rows[rows.duplicated("group", keep=False)].groupby("group"):
        hashes = np.array([int(h, 16) for h in same["phash"]], dtype=np.uint64)
        for at in range(1, len(same)):
            alike = np.flatnonzero(
                np.bitwise_count(hashes[:at] ^ hashes[at]) <= NEAR_DUPLICATE_BITS
            )
            if not len(alike):
                continue
            this, other = same.iloc[at], same.iloc[alike[0]]
            words = f"nearly the same as {other['path']}"
            if this["kind"] != other["kind"]:
                words += f", which is labelled {other['kind']}, not {this['kind']}"
            out.append(
                (
                    this["path"],
                    "duplicate",
                    0.95 if this["kind"] != other["kind"] else 0.3,
                    words,
                    "",
                )
            )
    return _table(out)


def _far(
    rows: pd.DataFrame,
    index: pd.DataFrame,
    root: Path,
    derived: Path,
    subject: str,
    progress: Progress | None,
) -> pd.DataFrame:
    is_subject = rows["label"] == "subject"
    if (
        rows.loc[is_subject, "subject_share"].isna().any()
        and (rows["label"] == "things").sum() >= FOLDS
    ):
        rows["subject_share"] = subject_shares(rows, root, derived, progress)
        index["subject_share"] = index["path"].map(
            dict(zip(rows["path"], rows["subject_share"], strict=True))
        )
        write_index(index, derived)
    far = rows[
        is_subject
        & (rows["subject_share"] < FAR_SHARE)
        & ~rows["closeup"].fillna(False).astype(bool)
    ]
    shares = zip(far["path"], far["subject_share"].to_numpy(dtype=float), strict=True)
    return _table(
        [
            (str(p), "far", 0.29 - share, f"{subject} fills {share:.0%} of it", "")
            for p, share in shares
        ]
    )


class _Sharpness:
    """log10 of the variance of the Laplacian of a grey image (Pech-Pacheco et al. 2000,
    https://doi.org/10.1109/ICPR.2000.903548), so that it is cached like features."""

    digest, dtype, shape = "laplacian", "<f4", (1,)

    def __call__(self, images: Pixels) -> Floats:
        from scipy.ndimage import laplace  # type: ignore[attr-defined]

        grey = images.astype(np.float32).mean(-1)
        return np.array([[np.log10(laplace(image).var() + 1e-3)] for image in grey], np.float32)


def _blurred(
    rows: pd.DataFrame, root: Path, derived: Path, progress: Progress | None
) -> pd.DataFrame:
    spec, encoder = ImageSpec(256), _Sharpness()
    store = open_store(derived, spec, encoder)
    encode_missing(photos_of(rows, root), 1, spec, encoder, store, progress)
    known = rows[[(sha, 0) in store for sha in rows["sha256"]]]
    if len(known) < 10:
        return _table([])
    sharpness = store.rows([(sha, 0) for sha in known["sha256"]])[:, 0]
    middle = float(np.median(sharpness))
    deviation = 1.4826 * float(np.median(np.abs(sharpness - middle))) + 1e-6
    low = (middle - sharpness) / deviation
    return _table(
        [
            (
                str(known["path"].iloc[at]),
                "blurred",
                min(0.02 * float(low[at]), 0.25),
                "blurred or almost empty",
                "",
            )
            for at in np.flatnonzero(low > BLURRED_DEVIATIONS)
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
