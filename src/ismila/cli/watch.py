"""`ismila watch`: a library in which photos keep arriving."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from ismila import plugins
from ismila.cli.options import RUN_OF_EACH, SKIPPING, whole_number
from ismila.cli.scan import add_library, opened_scan, write_down
from ismila.cli.terminal import say
from ismila.photos import AwayError

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "watch",
        parents=[RUN_OF_EACH, SKIPPING],
        help="scan a library again whenever photos arrive in it, until Ctrl-C",
    )
    add_library(parser)
    parser.add_argument(
        "--every",
        type=whole_number(1, 86_400, "1 to 86400 seconds"),
        default=600,
        metavar="SECONDS",
        help="look without being told, too: network shares do not say what changes (default: 600)",
    )
    for options in plugins.options_of("watch"):
        options.add_options(parser)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Scan, wait for photos, and scan again, on the same state as `ismila scan`."""
    from ismila.use.ask.arrivals import arrivals

    destinations = plugins.destinations("watch", args)
    with opened_scan(args) as scan:
        try:
            for has_changed in arrivals(scan.library, args.every):
                scanned = scan.judge()
                if has_changed or scanned.judged:
                    print(time.strftime("%Y-%m-%d %H:%M:%S"), end=" ", flush=True)
                    try:
                        write_down(scan, scanned, args, destinations)
                    except AwayError as error:  # it may be back for the next photos
                        say(f"error: {error}")
        except KeyboardInterrupt:
            say("stopped; the same command, or ismila scan, goes on from here")
            return 0
    return 0
