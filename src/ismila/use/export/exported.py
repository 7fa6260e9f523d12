"""Classifiers in one ONNX file: asked without torch, without MLflow and without a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ismila.evidence.heat import stretched
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, Pixels
from ismila.vision.encoders import CHUNK, in_batches
from ismila.vision.graphs import Floats
from ismila.vision.judgement import Judgement, judgements
from ismila.vision.views import Views, require_pixels, saved_viewer

FORMAT = 1
"""Of the file's metadata."""
FORMAT_OF_SEVERAL = 2
"""Of a file with several subjects, which older versions cannot read."""
ANIMALS = "animals.onnx"
"""The detector beside a classifier that is asked about the animals it finds."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """One subject of a file: as a `Classifier`'s."""

    subject: str
    threshold: float
    scores: dict[str, float]
    run: str


class ExportedFile:
    """What `ismila export --format onnx` wrote: a backbone, and a head for each subject.

    Attributes:
        spec, viewer: as a `Classifier`'s.
        heads: in the order in which the subjects were named.
        digest: says which file it is.
        tells_heat: the file can say what speaks for a subject.

    Args:
        content: the file's bytes.
        name: what errors call it.

    Raises:
        UserError: it is another kind of file.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self._session = _open_session(content, name)
        properties = self._session.get_modelmeta().custom_metadata_map
        try:
            described = {key: json.loads(text) for key, text in properties.items()}
            if described["format"] not in (FORMAT, FORMAT_OF_SEVERAL):
                raise UserError(
                    f"{name}: format {described['format']}, expected {FORMAT} or "
                    f"{FORMAT_OF_SEVERAL}; export the run again"
                )
            self.spec = ImageSpec(**described["image"])
            self.heads = [_head(one) for one in described.get("subjects", [described])]
            boxes = described.get("detector", "")
            pixels = described.get("pixels", 1)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{name}: an ONNX file, but not one that `ismila export` wrote ({error})"
            ) from error
        self.digest = hashlib.sha256(content).hexdigest()[:16]
        require_pixels(pixels, name)
        self.viewer = saved_viewer(self.spec, boxes, name)
        self.tells_heat = "heat" in [output.name for output in self._session.get_outputs()]

    @classmethod
    def load(cls, file: Path) -> ExportedFile:
        """Read the file, or a folder's only ONNX file besides the detector. Raises UserError."""
        files = _classifiers_in(file) if file.is_dir() else [file]
        if len(files) != 1:
            raise UserError(f"--model {file}: {len(files)} ONNX files in this folder; name one")
        try:
            content = files[0].read_bytes()
        except OSError as error:
            remedy = "make one with: ismila export --format onnx --to DIR"
            raise UserError(f"--model {files[0]}: {error.strerror}; {remedy}") from error
        return cls(content, str(files[0]))

    @property
    def classifiers(self) -> dict[str, ExportedClassifier]:
        """One of each subject."""
        return {head.subject: ExportedClassifier(self, at) for at, head in enumerate(self.heads)}

    def __call__(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N, H]`, the probability of each subject; N at least 1."""
        answers = in_batches(partial(self._run, "probability"), images, CHUNK)
        return answers.reshape(len(images), len(self.heads))

    def features(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` -> `[N, D]`, what the backbone makes of them; N at least 1."""
        return in_batches(partial(self._run, "features"), images, CHUNK)

    def heat(self, image: Pixels) -> Floats:
        """`[size_px, size_px, 3]` -> `[H, h, w]`, what speaks for each subject."""
        heat = self._run("heat", image[None])
        return heat.reshape(len(self.heads), *heat.shape[-2:])

    def _run(self, output: str, images: Pixels) -> Floats:
        answers: Floats = self._session.run([output], {"photos": np.ascontiguousarray(images)})[0]
        return answers


def _head(described: Mapping[str, Any]) -> Head:
    return Head(
        subject=str(described["subject"]),
        threshold=float(described["threshold"]),
        scores=dict(described["scores"]),
        run=str(described["run"]),
    )


class ExportedClassifier:
    """One subject of an exported file; answers like the `Classifier` it was made from.

    Attributes:
        spec, subject, threshold, scores, run, viewer: as a `Classifier`'s.
        encoder: the file, which answers for all its subjects at once.

    Args:
        number: of the file's head.
    """

    def __init__(self, file: ExportedFile, number: int = 0) -> None:
        head = file.heads[number]
        self.encoder = file
        self.spec = file.spec
        self.viewer = file.viewer
        self.subject = head.subject
        self.threshold = head.threshold
        self.scores = head.scores
        self.run = head.run
        self._number = number

    @classmethod
    def load(cls, file: Path) -> ExportedClassifier:
        """The first subject of a file that `ExportedFile.load` reads. Raises UserError."""
        return cls(ExportedFile.load(file))

    def judge(self, photos: Sequence[Views]) -> list[Judgement]:
        """What it says of each photo."""
        return judgements(photos, self.probabilities)

    def probabilities(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N]` probability of the subject."""
        if not len(images):
            return np.zeros(0, np.float32)
        return self.answer(self.encoder(images))

    def answer(self, rows: Floats) -> Floats:
        """`[N, H]`, what the file says -> `[N]` probability of the subject."""
        return rows[:, self._number]

    def heat(self, image: Pixels) -> Floats | None:
        """What speaks for the subject, as `ismila explain` draws it; None where the file does not tell.

        Args:
            image: `[size_px, size_px, 3]`.

        Returns:
            `[size_px, size_px]` in 0..1.
        """
        if not self.encoder.tells_heat:
            return None
        return stretched(self.encoder.heat(image)[self._number], self.spec.size_px)


def _classifiers_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.onnx") if file.name != ANIMALS)


def _open_session(content: bytes, name: str) -> Any:  # onnxruntime has no types
    from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession
    from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions

    options = SessionOptions()
    options.log_severity_level = 4
    # threads that wait leave their core to others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each way to be wrong
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"{name}: not an ONNX model ({reason})") from error
