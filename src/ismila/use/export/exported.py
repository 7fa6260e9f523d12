"""A classifier in one ONNX file: asked without torch, without MLflow and without a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ismila.evidence.heat import stretched
from ismila.learning.animals import bundled_detector
from ismila.learning.features import BATCH
from ismila.learning.graphs import Floats
from ismila.learning.judgement import Judgement, judgements
from ismila.learning.views import Viewer, Views
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, Pixels

FORMAT = 1
"""Of the file's metadata."""
ANIMALS = "animals.onnx"
"""The detector beside a classifier that is asked about the animals it finds."""


class ExportedClassifier:
    """What `ismila export --format onnx` wrote; answers like the `Classifier` it was made from.

    Attributes:
        spec, subject, threshold, scores, run, viewer: as a `Classifier`'s.
        tells_heat: the file can say what speaks for the subject.

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
            if described["format"] != FORMAT:
                raise UserError(
                    f"{name}: format {described['format']}, expected {FORMAT}; export the run again"
                )
            self.spec = ImageSpec(**described["image"])
            self.scores = dict(described["scores"])
            self.subject = str(described["subject"])
            self.threshold = float(described["threshold"])
            self.run = str(described["run"])
            detects = described.get("detector", "")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{name}: an ONNX file, but not one that `ismila export` wrote ({error})"
            ) from error
        self.viewer = Viewer(self.spec, bundled_detector() if detects else None)
        self.tells_heat = "heat" in [output.name for output in self._session.get_outputs()]

    @classmethod
    def load(cls, file: Path) -> ExportedClassifier:
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

    def judge(self, photos: Sequence[Views]) -> list[Judgement]:
        """What it says of each photo."""
        return judgements(photos, self.probabilities)

    def probabilities(self, images: Pixels, batch_size: int = BATCH) -> Floats:
        """`[N, size_px, size_px, 3]` uint8 -> `[N]` probability of the subject."""
        if not len(images):
            return np.zeros(0, np.float32)
        return self._ask("probability", images, batch_size)

    def features(self, images: Pixels) -> Floats:
        """`[N, size_px, size_px, 3]` -> `[N, D]`, what its backbone makes of them; N at least 1."""
        return self._ask("features", images, BATCH)

    def heat(self, image: Pixels) -> Floats:
        """What speaks for the subject, as `ismila explain` draws it.

        Args:
            image: `[size_px, size_px, 3]`.

        Returns:
            `[size_px, size_px]` in 0..1.
        """
        return stretched(self._ask("heat", image[None], 1)[0], self.spec.size_px)

    def _ask(self, output: str, images: Pixels, batch_size: int) -> Floats:
        batches = [images[at : at + batch_size] for at in range(0, len(images), batch_size)]
        answers: list[Floats] = [
            self._session.run([output], {"photos": np.ascontiguousarray(batch)})[0]
            for batch in batches
        ]
        return np.concatenate(answers)


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
