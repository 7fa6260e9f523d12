"""What MLflow runs when it loads a champion: `mlflow.pyfunc.load_model("models:/mila@champion")`.

MLflow executes this file ("models from code"); the classifier beside it is read from safetensors and JSON, so that
nothing is unpickled. Input: a column `image` of base64 image bytes or of paths; output: `probability` and `verdict`.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from ismila.learning.classifier import Classifier
from ismila.photos.images import PhotoError, read_image


class ServedClassifier(PythonModel):  # type: ignore[misc]
    """A run's classifier as an MLflow model."""

    def load_context(self, context: Any) -> None:
        """Read the classifier folder that was logged with the model."""
        self.classifier = Classifier.load(Path(context.artifacts["classifier"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row for each image.

        Raises:
            ValueError: an image cannot be read; names the row.
        """
        rows = []
        for number, image in enumerate(model_input["image"]):
            try:
                pixels = read_image(_source(str(image)), self.classifier.spec)
            except PhotoError as error:
                raise ValueError(
                    f"row {number}: {error}; expected base64 of an image's bytes, or a path"
                ) from error
            p = float(self.classifier.probabilities(pixels[None])[0])
            subject = self.classifier.subject
            rows.append(
                {
                    "probability": p,
                    "verdict": subject if p >= self.classifier.threshold else f"not {subject}",
                }
            )
        return pd.DataFrame(rows, columns=["probability", "verdict"])


def _source(image: str) -> Path | bytes:
    if len(image) < 4096 and Path(image).is_file():
        return Path(image)
    _, _, content = image.rpartition(";base64,")  # a data: address, as web pages send it
    try:
        return base64.b64decode(
            "".join(content.split()), validate=True
        )  # the `base64` command breaks lines
    except (binascii.Error, ValueError):
        return Path(image[:200])


mlflow.models.set_model(ServedClassifier())
