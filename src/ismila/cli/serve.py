"""`ismila serve`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import ALBUM, SUBJECTS, port_number
from ismila.photos.names import at_home

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.use.serve.models import Models


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "serve", parents=[SUBJECTS, ALBUM], help="a page and an API that answer for runs"
    )
    answering = parser.add_mutually_exclusive_group()
    answering.add_argument(
        "--run", default="best", help="best, latest, an alias, a run id or its beginning"
    )
    answering.add_argument(
        "--model",
        type=at_home,
        metavar="FILE",
        help="an exported ONNX file instead of a run; needs no torch",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines ask, too")
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument(
        "--feedback", action="store_true", help="take corrections from other machines, too"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from ismila.use.serve.app import serve

    return serve(_models(args), args.host, args.port, args.feedback)


def _models(args: argparse.Namespace) -> list[Models]:
    """The exported file's or the runs'; only a run needs MLflow, and torch where its network is no bundled one."""
    if args.model:
        from ismila.use.serve.from_file import FileModels

        return list(FileModels.load(args.model))
    from ismila.use.serve.from_runs import RunModels

    return [RunModels(subject, run, args.root) for subject, run in chosen_runs(args).items()]
