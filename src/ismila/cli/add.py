"""`ismila add`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.options import PHOTOS, SKIPPING, SUBJECT
from ismila.cli.progress import progress
from ismila.cli.terminal import say
from ismila.photos.names import at_home

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.photos.add import Added


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "add",
        parents=[SUBJECT, SKIPPING],
        help="bring your own photos into the album; never moves them",
    )
    parser.add_argument("sources", nargs="+", type=at_home, metavar="DIR")
    parser.add_argument(
        "--as", dest="place", required=True, metavar="LABEL", help="mila, not_mila or pets/KIND"
    )
    means = parser.add_mutually_exclusive_group()
    means.add_argument("--copy", dest="means", action="store_const", const="copy")
    means.add_argument(
        "--link", dest="means", action="store_const", const="link", help="hard links only"
    )
    parser.add_argument("--root", type=at_home, default=PHOTOS)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Bring photos into the album."""
    from ismila.photos.add import How, add_photos
    from ismila.photos.album import Album

    album = Album.open(args.root, args.subject)
    how = How(means=args.means, exclude=args.exclude, hidden=args.include_hidden)
    added = add_photos(album, args.sources, args.place, how, progress)
    print_added(added, args.root / args.place)
    return 0


def print_added(added: Added, folder: Path) -> None:
    """What was added, and what was not and why."""
    skipped = len(added.skipped)
    print(f"{folder}: {added.linked} linked, {added.copied} copied, {skipped} skipped")
    for words in added.passed_over:
        say(f"passed over: {words}")
    for path, reason in added.skipped:
        say(f"skipped: {path}: {reason}")
