"""`ismila explain`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_run
from ismila.cli.options import ALBUM, JSON, RUN
from ismila.photos.names import at_home, one_line

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.evidence.explain import ExplainedPhoto, Unreadable

PROBABILITIES = ("probability", "without_hottest", "only_hottest", "without_other")


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "explain",
        parents=[RUN, ALBUM, JSON],
        help="show what in a photo speaks for the subject, and test it",
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", type=at_home)
    parser.add_argument(
        "--to",
        type=at_home,
        default=Path("explanations"),
        metavar="DIR",
        help="where the pictures go",
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write a picture for each photo; 1 when a photo could not be read."""
    from ismila.evidence.explain import Unreadable, explanations
    from ismila.runs.find import read_run

    run = read_run(chosen_run(args))
    code = 0
    for result in explanations(args.photos, run, args.to, args.root):
        if isinstance(result, Unreadable):
            code = 1
        line = _as_json(result) if args.json else one_line(_in_words(result, args.subject))
        print(line, flush=True)
    return code


def _in_words(result: ExplainedPhoto | Unreadable, subject: str) -> str:
    from ismila.evidence.explain import ExplainedPhoto

    if isinstance(result, ExplainedPhoto):
        trained_on = " (it was trained on this photo: no evidence)" * result.trained_on
        return f"{result.path}: {result.explanation.words(subject)}{trained_on} -> {result.picture}"
    return f"{result.path}: {result.error}"


def _as_json(result: ExplainedPhoto | Unreadable) -> str:
    from ismila.evidence.explain import ExplainedPhoto

    if not isinstance(result, ExplainedPhoto):
        return json.dumps({"path": str(result.path), "error": result.error})
    explanation = result.explanation
    answers = {name: getattr(explanation, name) for name in PROBABILITIES}
    nearest = [vars(neighbour) for neighbour in explanation.nearest]
    shown = {"nearest": nearest, "picture": str(result.picture), "trained_on": result.trained_on}
    return json.dumps({"path": str(result.path), **answers, **shown})
