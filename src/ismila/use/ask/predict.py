"""Ask a run's classifier about photos."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ismila.learning.decision import verdict_of
from ismila.photos.images import PhotoError, read_image
from ismila.photos.labels import walk
from ismila.runs import find_run, load_classifier


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
            print(
                f"{verdict_of(probability, classifier.threshold, classifier.subject):>10}  {probability:6.1%}  {path}",
                flush=True,
            )
    return failed


def _photos(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if str(path) == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        elif path.is_dir():
            yield from (path / name for name in sorted(walk(path)))
        else:
            yield path
