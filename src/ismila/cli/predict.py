"""`ismila predict`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_run
from ismila.cli.options import JSON, RUN

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.use.ask.predict import Answer, Unread


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "predict", parents=[RUN, JSON], help="ask about photos and folders of photos"
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        type=Path,
        help="a photo, a folder, or - for a list on stdin",
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """A line for each photo, as its answer comes; 1 when a photo could not be read."""
    from ismila.use.ask.predict import Unread, predict

    failed = False
    for answer in predict(_with_listed(args.paths), chosen_run(args)):
        failed = failed or isinstance(answer, Unread)
        print(_as_json(answer) if args.json else _as_line(answer), flush=True)
    return 1 if failed else 0


def _with_listed(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths; `-` stands for those that stdin lists, a line each."""
    for path in paths:
        if str(path) == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield path


def _as_json(answer: Answer | Unread) -> str:
    fields = {**asdict(answer), "path": str(answer.path)}
    fields.pop("verdict", None)
    return json.dumps(fields)


def _as_line(answer: Answer | Unread) -> str:
    from ismila.use.ask.predict import Unread

    if isinstance(answer, Unread):
        return f"{'error':>10}         {answer.path}: {answer.error}"
    return f"{answer.verdict:>10}  {answer.probability:6.1%}  {answer.path}"
