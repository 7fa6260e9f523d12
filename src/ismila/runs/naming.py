"""What MLflow is told instead of a person's names, where it does not take them as they are.

People call pets O'Malley and folders `dogs & cats`. What is shown and kept in files keeps these names; keys of
metrics, models and experiments are made of them here and nowhere else. A name that MLflow takes stays as it is. In
another one what it does not take is replaced, and a digest of the whole name keeps apart what would become the same.
"""

from __future__ import annotations

import hashlib
import re
from unicodedata import normalize

from mlflow.entities import Experiment
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH

NO_METRIC = re.compile(r"[^\w.\-/ :]")
"""What a metric's key does not take; a combining mark is no letter to it."""
NO_MODEL = re.compile(r"""[/:@?#;%'"`\\]""")
"""What a registered model's name does not take, and what would end it within `models:/NAME@ALIAS` or within a
filter's quotes."""
TAKEN = frozenset([Experiment.DEFAULT_EXPERIMENT_NAME])
"""Names of MLflow's own."""


def metric_key(figure: str) -> str:
    """The key of a metric: `test_fpr_dogs & cats` has none of its own."""
    return _made_of(figure, NO_METRIC)


def model_name(subject: str) -> str:
    """What the subject's registered model is called: `models:/NAME@champion`."""
    return _made_of(subject, NO_MODEL)


def experiment_name(subject: str) -> str:
    """What the subject's experiment is called: MLflow takes any text, but for its own."""
    return f"{subject} {_digest(subject)}" if subject in TAKEN else subject


def _made_of(name: str, refused: re.Pattern[str]) -> str:
    composed = normalize("NFC", name) if refused.search(name) else name
    plain = refused.sub("_", composed)
    if plain == name and len(name) <= MAX_ENTITY_KEY_LENGTH:
        return name
    digest = _digest(name)
    return f"{plain[: MAX_ENTITY_KEY_LENGTH - len(digest) - 1]} {digest}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
