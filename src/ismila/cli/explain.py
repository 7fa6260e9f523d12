"""`ismila explain`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_run
from ismila.cli.options import ALBUM, JSON, RUN

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "explain",
        parents=[RUN, ALBUM, JSON],
        help="show what in a photo speaks for the subject, and test it",
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", type=Path)
    parser.add_argument(
        "--to", type=Path, default=Path("explanations"), metavar="DIR", help="where the pictures go"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write a picture for each photo; 1 when a photo could not be read."""
    from ismila.evidence.explain import explain_photos

    run = chosen_run(args)
    return explain_photos(args.photos, run, args.subject, args.to, args.root, args.json)
