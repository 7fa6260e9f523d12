"""Ask a run's classifier about photos."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ismila.learning.classifier import Classifier
from ismila.photos.album import SUFFIXES
from ismila.photos.images import PhotoError, read_image
from ismila.runs import find_run, load_classifier

UNSURE = 0.4
"""A probability less than this (in logits) from the threshold is called unsure: 0.40 to 0.60 around 0.5."""


def predict(paths: list[Path], which: str, subject: str, as_json: bool) -> int:
    """Print a line for each photo, in order, as it comes. Returns 1 when a photo could not be read, else 0.

    Raises:
        UserError: there is no such run.
    """
    run_id = find_run(which, subject)
    classifier = load_classifier(run_id)
    failed = 0
    for path in _photos(paths):
        try:
            image = read_image(path, classifier.spec)
        except PhotoError as error:
            failed = 1
            said = json.dumps({"path": str(path), "error": str(error)})
            print(said if as_json else f"{'error':>10}         {path}: {error}", flush=True)
            continue
        probability = float(classifier.probabilities(image[None])[0])
        is_subject = probability >= classifier.threshold
        if as_json:
            print(
                json.dumps(
                    {
                        "path": str(path),
                        "probability": probability,
                        "is_subject": is_subject,
                        "threshold": classifier.threshold,
                        "run": run_id,
                    }
                ),
                flush=True,
            )
        else:
            print(f"{_verdict(probability, classifier):>10}  {probability:6.1%}  {path}", flush=True)
    return failed


def _verdict(probability: float, classifier: Classifier) -> str:
    p, threshold = np.clip([probability, classifier.threshold], 1e-7, 1 - 1e-7)
    if abs(np.log(p / (1 - p)) - np.log(threshold / (1 - threshold))) < UNSURE:
        return "unsure"
    return classifier.subject if p > threshold else f"not {classifier.subject}"


def _photos(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if str(path) == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        elif path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            yield path
