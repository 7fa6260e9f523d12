"""What MLflow runs when it loads a champion: `mlflow.pyfunc.load_model("models:/mila@champion")`.

MLflow executes this file ("models from code"); nothing is unpickled. Input: a column `image` of
paths or base64 of an image's bytes; output: `probability` and `verdict`.
"""

from __future__ import annotations

import base64
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from ismila.photos.images import PhotoError
from ismila.vision.classifier import Classifier
from ismila.vision.decision import verdict_of


class ServedClassifier(PythonModel):  # type: ignore[misc]
    """A run's classifier as an MLflow model."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the classifier folder that was logged with the model."""
        self.classifier = Classifier.load(Path(context.artifacts["classifier"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: object = None
    ) -> pd.DataFrame:
        """One row for each image. Raises MlflowException (400 over HTTP), which names the row."""
        rows = [self._judge(row, str(image)) for row, image in enumerate(model_input["image"])]
        return pd.DataFrame(rows, columns=["probability", "verdict"])

    def _judge(self, row: int, image: str) -> tuple[float, str]:
        try:
            views = self.classifier.viewer.read(_source(image))
        except PhotoError as error:
            problem = f"row {row}: {error}; expected base64 of an image's bytes, or a path"
            raise MlflowException.invalid_parameter_value(problem) from error
        p = self.classifier.judge([views])[0].probability
        return p, verdict_of(p, self.classifier.threshold, self.classifier.subject)


def _source(image: str) -> Path | bytes:
    """A file, or the bytes of base64: plain, URL-safe, with line breaks, or a data: address."""
    try:
        Path(image).stat()
        return Path(image)
    except (OSError, ValueError):  # base64 is too long for a name, or no file has it
        content = image.partition(",")[2] if image.startswith("data:") else image
    try:
        plain = "".join(content.split()).rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise PhotoError("no such file, and not base64") from error


mlflow.models.set_model(ServedClassifier())
