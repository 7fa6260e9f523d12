"""`ismila demo`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ismila.cli.options import SUBJECT
from ismila.cli.progress import progress
from ismila.photos.names import at_home

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser("demo", parents=[SUBJECT], help="draw the demo album")
    parser.add_argument(
        "root", nargs="?", type=at_home, help="default: data/demo, for SUBJECT data/demo-SUBJECT"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Draw the demo album, where it is not there yet."""
    from ismila.demo.drawn import demo_root, draw_album

    root = args.root or demo_root(args.subject)
    print(f"{root}: {draw_album(root, args.subject, progress=progress)} drawings")
    return 0
