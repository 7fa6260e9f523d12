"""Options of `scan`: those of `watch`, and `--undo`."""

from __future__ import annotations

import argparse

from ismila.cli.scan import require_folder
from ismila.extras.servers import options
from ismila.extras.servers.options import open_destination as open_destination
from ismila.photos import WrongUsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which server, what is set there, and taking it away."""
    options.add_options(parser).add_argument(
        "--undo",
        action="store_true",
        help="with --to: take away what was set there, and nothing else",
    )


def call(args: argparse.Namespace) -> int | None:
    """Take away what was set, with --undo."""
    if not args.undo:
        return None
    from ismila.use.ask.library import Library

    require_folder(args.root)
    if args.to is None:
        raise WrongUsageError("--undo: give --to and --server, too")
    on_server = open_destination(args)
    with Library(args.root, args.state) as library:
        return 0 if on_server and options.undo_on_server(on_server, library.state) else 1
