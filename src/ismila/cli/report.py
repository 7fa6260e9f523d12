"""`ismila report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_run
from ismila.cli.options import ALBUM, RUN
from ismila.cli.progress import progress
from ismila.photos.names import at_home

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "report", parents=[RUN, ALBUM], help="write one page that says how far a run can be trusted"
    )
    parser.add_argument("--to", type=at_home, default=Path("reports"), metavar="DIR")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write the page and say where it lies."""
    from ismila.evidence.report import write_report

    print(write_report(chosen_run(args), args.subject, args.to, args.root, progress))
    return 0
