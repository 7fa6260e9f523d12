"""A run's classifier without ismila: one ONNX file, or a folder that any static host serves as a page."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ismila.evidence.explain import album_of
from ismila.learning.classifier import Classifier
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, PhotoError, Pixels, read_image, write_aside
from ismila.runs import Recorded, find_run, load_classifier, load_predictions, read_run
from ismila.use.export.exported import ExportedClassifier
from ismila.use.export.graph import graph_of, halve
from ismila.use.export.website import other_content, runtime_files, write_website

LARGEST_DIFFERENCE = {"onnx": 1e-3, "web": 3e-2}
"""In probability, between the exported graph and torch. Half precision cost 0.9e-2 on a real album (docs/export.md)."""
FEATURES_DIFFER = 0.02
"""As a share of the features: what saturated probabilities would hide."""
CHECKED = 64
"""Held-out photos that the graph is checked on, half of them of the subject where there are as many."""


def export_run(
    which: str, subject: str, to: Path, kind: str, root: Path | None, runtime: Path | None
) -> str:
    """Write `to/SUBJECT.onnx`, or the folder `to` as a page; whole or not at all.

    Args:
        kind: `onnx` or `web`.
        root: the album, when it has moved since the run.
        runtime: onnxruntime-web as npm packs it, where npm cannot fetch it.

    Returns:
        What was written and how far it was checked, in words.

    Raises:
        UserError: no such run, no place to write, no runtime, or the graph does not say what torch says.
    """
    run_id = find_run(which, subject)
    if kind == "web" and (there := other_content(to)):
        raise UserError(f"--to {to}: {there} is no part of an earlier export; give a new folder")
    files = runtime_files(runtime) if kind == "web" else {}
    run, classifier = read_run(run_id), load_classifier(run_id)
    graph = graph_of(classifier)
    content = (halve(graph) if kind == "web" else graph).SerializeToString()
    images, what = _checked_on(run, classifier.spec, root)
    exported = ExportedClassifier(content, f"{subject}.onnx")
    difference, features = _differences(exported, classifier, images)
    if not (difference <= LARGEST_DIFFERENCE[kind] and features <= FEATURES_DIFFER):
        raise UserError(
            f"the graph differs from torch by {difference:.2g} in probability and {features:.2g} of the features on "
            f"{what}, more than {LARGEST_DIFFERENCE[kind]:g} and {FEATURES_DIFFER:g}: nothing was written; this run "
            f"cannot be exported as {kind}"
        )
    path = to if kind == "web" else to / f"{subject}.onnx"
    try:
        if kind == "web":
            write_website(to, content, exported, files)
        else:
            write_aside(path, content)
    except OSError as error:
        raise UserError(
            f"--to {to}: {error.strerror}; give a folder that may be written"
        ) from error
    return f"{path}: run {run_id[:8]}; differs from torch by at most {difference:.1e} in probability on {what}"


def _checked_on(run: Recorded, spec: ImageSpec, root: Path | None) -> tuple[Pixels, str]:
    """Images `[N, size_px, size_px, 3]` to compare on, and what they are. Raises UserError when `root` is no folder."""
    images: list[Pixels] = []
    with nullcontext() if root else suppress(UserError):  # the album may have gone since
        album, table = album_of(run, root), load_predictions(run.run_id)
        held_out = table[table["held_out"]] if table["held_out"].any() else table
        of_subject = held_out["label"] == "subject"
        some = [held_out[of_subject].head(CHECKED // 2)]
        some.append(
            held_out[~of_subject].sample(frac=1, random_state=0).head(CHECKED - len(some[0]))
        )
        for path in pd.concat(some)["path"]:
            with suppress(PhotoError):  # gone, too
                images.append(read_image(album / str(path), spec))
    if images:
        return np.stack(images), f"{len(images)} photos of the album"
    noise = np.random.default_rng(0).integers(
        0, 256, (16, spec.size_px, spec.size_px, 3), dtype=np.uint8
    )
    return noise, f"{len(noise)} images of noise (the album is gone; --root says where it is)"


def _differences(
    exported: ExportedClassifier, classifier: Classifier, images: Pixels
) -> tuple[float, float]:
    """The largest in probability, and that of the features, root mean square, as a share of theirs."""
    by_torch = replace(
        classifier, backbone={**classifier.backbone, "digest": ""}
    )  # not the bundled ONNX graph
    expected, found = by_torch.features(images), exported.features(images)
    probabilities = np.abs(exported.probabilities(images) - by_torch.probabilities(images))
    return float(probabilities.max()), float(
        np.linalg.norm(found - expected) / np.linalg.norm(expected)
    )
