"""`ismila export`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import ALBUM, RUN_OF_EACH
from ismila.cli.progress import progress
from ismila.photos.names import at_home

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "export",
        parents=[RUN_OF_EACH, ALBUM],
        help="classifiers without ismila: one ONNX file, or a page for any host",
    )
    parser.add_argument("--to", type=at_home, required=True, metavar="DIR")
    parser.add_argument("--format", choices=("onnx", "web"), required=True)
    parser.add_argument(
        "--runtime",
        type=at_home,
        metavar="FILE.tgz",
        help="onnxruntime-web as npm packs it, for web",
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write the file or the page and say how far it was checked."""
    from ismila.use.export.export_run import export_onnx, export_web

    runs = chosen_runs(args)
    if args.format == "web":
        print(export_web(runs, args.to, args.root, args.runtime, progress))
    else:
        print(export_onnx(runs, args.to, args.root, progress))
    return 0
