"""The registered model of a subject: its champion, and the aliases that people gave."""

from __future__ import annotations

import base64
import io
from contextlib import redirect_stderr
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from PIL import Image

from ismila.photos import UserError
from ismila.runs.find import Recorded, artifact_of, best_of, finished_runs
from ismila.runs.naming import model_name
from ismila.runs.outbox import MODEL, logged_model
from ismila.runs.requirements import requirements_of
from ismila.runs.store import alone, tracking_uri, working
from ismila.vision.classifier import Classifier

CHAMPION = "champion"
MAX_ATTEMPTS = 8
"""So many processes on a server may each undo what the other just did before one gives up."""
PACKAGE = Path(__file__).parents[1]
SERVED = "ismila.runs.served"
TORCH = ("torch", "torchvision", "timm")
"""Gigabytes that nobody needs who asks a bundled network with a linear head."""


def promote_champion(subject: str) -> str:
    """Let the subject's `champion` be the run that is `best` now; returns its id.

    Chosen as `best` is, so both always mean the same run: when another album, seed or protocol is
    the newest, that may be an earlier run. Only a champion is logged as an MLflow model, and each
    at most once: with the package's code and weights that is 20 MB and some seconds. So a sweep
    over seeds, of which each is the newest in its turn, crowns once, at its end. Of processes that
    promote at once, each looks at what the others have done.

    Raises:
        UserError: there is no finished run, or MLflow does not answer.
    """
    with alone("champion") as is_alone:
        # a server has no lock: what another process did meanwhile is looked at again
        for _ in range(1 if is_alone else MAX_ATTEMPTS):
            best = best_of(finished_runs(subject, tracking_uri())).run
            if aliases(subject).get(CHAMPION) == best.run_id:
                break
            _crown(subject, best)
    return best.run_id


def _crown(subject: str, best: Recorded) -> None:
    client = mlflow.MlflowClient()
    name = model_name(subject)
    model_version = _version_of(subject, best.run_id)
    if not model_version:
        registered = _register(subject, best.run_id)
        client.update_model_version(name, registered, best.tags.get(MLFLOW_RUN_NOTE, ""))
        model_version = _version_of(subject, best.run_id) or registered
        if model_version != registered:  # another process registered the same run meanwhile
            client.delete_model_version(name, registered)
    client.set_registered_model_alias(name, CHAMPION, model_version)


def aliases(subject: str) -> dict[str, str]:
    """Alias -> run id of the subject's registered model: `champion`, and those that a person
    gave."""
    client = mlflow.MlflowClient()
    name = model_name(subject)
    try:
        named = client.get_registered_model(name).aliases
        return {
            alias: str(client.get_model_version(name, number).run_id)
            for alias, number in named.items()
        }
    except MlflowException:  # nothing is registered
        return {}


def _version_of(subject: str, run_id: str) -> str:
    """The first version that the run is registered as; empty when it is not."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{model_name(subject)}'")
    versions = [int(model.version) for model in found if model.run_id == run_id]
    return str(min(versions)) if versions else ""


def _register(subject: str, run_id: str) -> str:
    """Log the run's classifier as an MLflow model and register it; returns its version."""
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(
        Schema([ColSpec("string", "image")]),
        Schema([ColSpec("double", "probability"), ColSpec("string", "verdict")]),
    )
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    with working(), artifact_of(run_id, "classifier") as classifier:
        # Not within mlflow.start_run: that would set the finished run to RUNNING, and whoever
        # looks for the best run meanwhile would not find it.
        logged = Model.log(
            artifact_path=None,
            name=MODEL,
            flavor=mlflow.pyfunc,
            run_id=None,  # the model knows it; MLflow would link both once more, which fails
            model_id=logged_model(client, run),
            python_model=str(PACKAGE / "runs" / "served.py"),
            artifacts={"classifier": str(classifier)},
            code_paths=[str(PACKAGE)],
            signature=signature,
            input_example=pd.DataFrame({"image": [base64.b64encode(_example()).decode()]}),
            pip_requirements=served_with(classifier),
        )
    with redirect_stderr(io.StringIO()):  # MLflow announces what the command line says
        return str(mlflow.register_model(logged.model_uri, model_name(subject)).version)


def served_with(classifier: Path) -> list[str]:
    """What has to be installed where MLflow serves the classifier in a folder."""
    needed = requirements_of([SERVED])
    if _needs_torch(classifier):
        return needed
    return [line for line in needed if line.partition("==")[0] not in TORCH]


def _needs_torch(folder: Path) -> bool:
    try:
        classifier = Classifier.load(folder)
    except UserError:  # of another version: nobody knows what that one needs
        return True
    return classifier.encoder is None or not classifier.is_linear


def _example() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "#a86").save(content, "PNG")
    return content.getvalue()
