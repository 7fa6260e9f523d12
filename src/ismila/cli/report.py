"""`ismila report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import ALBUM, RUN_OF_EACH
from ismila.cli.progress import progress
from ismila.cli.terminal import say
from ismila.photos.names import at_home

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "report",
        parents=[RUN_OF_EACH, ALBUM],
        help="write one page a subject that says how far its run can be trusted",
    )
    parser.add_argument("--to", type=at_home, default=Path("reports"), metavar="DIR")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write the pages and say where they lie."""
    from ismila.evidence.report import write_reports

    for page in write_reports(chosen_runs(args), args.to, args.root, progress, say):
        print(page)
    return 0
