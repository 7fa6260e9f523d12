"""Classifiers of runs without ismila: one ONNX file, or a page that any static host serves.

The graph is compared with torch before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ismila.evidence.metrics import reported
from ismila.photos import UserError
from ismila.photos.files import write_aside
from ismila.photos.images import ImageSpec, PhotoError, Pixels
from ismila.photos.names import counted
from ismila.photos.progress import Progress
from ismila.runs.find import album_of, load_classifier, load_predictions, read_run
from ismila.use.export.exported import ANIMALS, ExportedClassifier, ExportedFile
from ismila.use.export.graph import graph_of, halve
from ismila.use.export.website import other_content, runtime_files, write_website
from ismila.vision.classifier import Classifier
from ismila.vision.encoders import BATCH
from ismila.vision.views import Viewer
from ismila.vision.weights import NANODET

ONNX_DIFFERS = 1e-3
"""At most, in probability, between the exported graph and torch."""
WEB_DIFFERS = 3e-2
"""The same for half precision, which cost 0.9e-2 on a real album (docs/export.md)."""
FEATURES_DIFFER = 0.02
"""As a share of the features: what saturated probabilities would hide."""
CHECKED = 64
"""Held-out photos that the graph is checked on, half of them the subject's, where so many are."""
NOISE = 16
"""Images to check on where there is no album."""


@dataclass(frozen=True, kw_only=True)
class _Checks:
    """How a graph is made and compared with torch.

    Attributes:
        half: in half precision.
        root: the album, when it has moved since the run.
        progress: wraps the images.
    """

    half: bool
    root: Path | None
    progress: Progress | None

    @property
    def allowed(self) -> float:
        """Difference in probability."""
        return WEB_DIFFERS if self.half else ONNX_DIFFERS


@dataclass(frozen=True)
class _Graph:
    """Runs' classifiers as an ONNX file that says what torch says.

    Attributes:
        content: the file's bytes.
        checked: how far it was compared, in words.
    """

    content: bytes
    exported: ExportedFile
    checked: str


def export_onnx(
    runs: Mapping[str, str],
    to: Path,
    root: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Write `to/SUBJECT.onnx`, whole or not at all, and the detector beside it where it has one.

    Args:
        runs: subject -> run id; of several the file is `SUBJECT+SUBJECT.onnx`.
        root: the album, when it has moved since the run.
        progress: wraps what takes long.

    Returns:
        What was written and how far it was checked, in words.

    Raises:
        UserError: no place to write, the runs cannot share a file, or the graph does not say what torch says.
    """
    graph = _checked_graph(runs, _Checks(half=False, root=root, progress=progress))
    file = to / _file_name(runs)
    if file.name == ANIMALS:
        raise UserError(f"{file}: the detector has this name; train with another subject")
    detects = graph.exported.viewer.detector is not None
    with _writing(to):
        if detects:
            write_aside(to / ANIMALS, NANODET.read_bytes())
        write_aside(file, graph.content)
    return f"{file}: {graph.checked}" + (f"; {ANIMALS} finds the animals" if detects else "")


def export_web(
    runs: Mapping[str, str],
    to: Path,
    root: Path | None = None,
    runtime: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Write the folder `to` as a page; whole or not at all. Otherwise as `export_onnx`.

    Args:
        runtime: onnxruntime-web as npm packs it, where npm cannot fetch it.
    """
    if foreign := other_content(to):
        raise UserError(f"--to {to}: {foreign} is no part of an earlier export; give a new folder")
    files = runtime_files(runtime)
    graph = _checked_graph(runs, _Checks(half=True, root=root, progress=progress))
    with _writing(to):
        write_website(to, graph.content, graph.exported, files)
    return f"{to}: {graph.checked}"


@contextmanager
def _writing(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--to {to}: {error.strerror}; give a folder that may be written"
        ) from error


def _file_name(subjects: Iterable[str]) -> str:
    return f"{'+'.join(subjects)}.onnx"


def _checked_graph(runs: Mapping[str, str], checks: _Checks) -> _Graph:
    """Raises UserError when the classifiers cannot share a graph, or it differs from torch."""
    classifiers = {subject: load_classifier(run) for subject, run in runs.items()}
    _require_alike(classifiers)
    model = graph_of(*classifiers.values())
    content = (halve(model) if checks.half else model).SerializeToString()
    exported = ExportedFile(content, _file_name(runs))
    checked = [
        _check(one, classifiers[subject], runs[subject], checks)
        for subject, one in exported.classifiers.items()
    ]
    return _Graph(content, exported, "; ".join(checked))


def _require_alike(classifiers: Mapping[str, Classifier]) -> None:
    """Raise UserError where one backbone cannot answer for all."""
    if len(classifiers) == 1:
        return
    kinds = {
        (one.viewer.digest, one.encoder.digest if one.encoder else subject)
        for subject, one in classifiers.items()
    }
    if len(kinds) > 1:
        raise UserError(
            f"the runs of {', '.join(classifiers)} do not look at photos alike or share no frozen "
            "network, so one file cannot hold them; export each by itself, or train them together: "
            f"python -m ismila.train -m subject={','.join(classifiers)}"
        )


def _check(
    exported: ExportedClassifier, classifier: Classifier, run_id: str, checks: _Checks
) -> str:
    """How far a subject's answers were compared, in words. Raises UserError when they differ."""
    images = _album_images(run_id, classifier.viewer, checks.root)
    compared_on = f"{counted(len(images), 'photo')} of the album"
    if not len(images):
        images = _noise_images(classifier.spec)
        compared_on = f"{NOISE} images of noise (the album is gone; --root says where it is)"
    difference, of_features = _differences(exported, classifier, images, checks.progress)
    if not (difference <= checks.allowed and of_features <= FEATURES_DIFFER):  # NaN is no agreement
        raise UserError(
            f"the graph differs from torch by {difference:.2g} in probability and "
            f"{of_features:.2g} of the features on {compared_on}, more than {checks.allowed:g} and "
            f"{FEATURES_DIFFER:g}: nothing was written; this run cannot be exported like this"
        )
    return (
        f"run {run_id[:8]}; differs from torch by at most {difference:.1e} in probability "
        f"on {compared_on}"
    )


def _album_images(run_id: str, viewer: Viewer, root: Path | None) -> Pixels:
    """Images of held-out photos `[N, size_px, size_px, 3]`; none when the album has gone.

    Raises:
        UserError: `root` is no folder.
    """
    images: list[Pixels] = []
    with nullcontext() if root else suppress(UserError):
        album = album_of(read_run(run_id), root)
        for path in _paths_to_check(load_predictions(run_id)):
            with suppress(PhotoError):  # gone, too
                images.append(viewer.read(album.root / path).images)
    size_px = viewer.spec.size_px
    return np.concatenate(images) if images else np.zeros((0, size_px, size_px, 3), np.uint8)


def _paths_to_check(predictions: pd.DataFrame) -> list[str]:
    held_out = reported(predictions)
    rows = held_out if len(held_out) else predictions
    of_subject = rows["label"] == "subject"
    with_subject = rows[of_subject].head(CHECKED // 2)
    others = rows[~of_subject].sample(frac=1, random_state=0)
    return [*with_subject["path"], *others.head(CHECKED - len(with_subject))["path"]]


def _noise_images(spec: ImageSpec) -> Pixels:
    """`[NOISE, size_px, size_px, 3]`."""
    shape = (NOISE, spec.size_px, spec.size_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _differences(
    exported: ExportedClassifier, classifier: Classifier, images: Pixels, progress: Progress | None
) -> tuple[float, float]:
    """The largest in probability; the root mean square of the features', as a share of theirs."""
    # without its digest the backbone is no bundled one: torch answers, not the bundled ONNX graph
    by_torch = replace(classifier, backbone=classifier.backbone.with_own_weights())
    largest = squares = of_all = np.float32(0)
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    for batch in progress(batches, len(batches), "comparing with torch") if progress else batches:
        expected = by_torch.features(batch)
        squares += np.square(exported.encoder.features(batch) - expected).sum()
        of_all += np.square(expected).sum()
        difference = exported.probabilities(batch) - by_torch.answer(expected)
        largest = np.maximum(largest, np.abs(difference).max())  # NaN stays NaN
    return float(largest), float(np.sqrt(squares / of_all))
