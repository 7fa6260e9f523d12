"""`ismila add`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.options import PHOTOS, SKIPPING, SUBJECT
from ismila.cli.progress import progress
from ismila.cli.terminal import say, say_each
from ismila.photos import WrongUsageError
from ismila.photos.addresses import album_at, as_given
from ismila.photos.names import as_text, at_home, one_line
from ismila.photos.source_kinds import source_kinds

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.photos.add import Added
    from ismila.photos.sources import Source

NAMED_REASONS = 8
"""At most this many reasons are counted in the last line: a table has one for each of its lines."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "add",
        parents=[SUBJECT, SKIPPING],
        help="bring your own photos into the album; never moves them",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="folders, or what --from says")
    parser.add_argument(
        "--as", dest="place", required=True, metavar="LABEL", help="mila, not_mila or pets/KIND"
    )
    parser.add_argument(
        "--from",
        dest="kind",
        choices=source_kinds(),
        help="what knows already who is in which photo",
    )
    parser.add_argument("--name", help="who is asked for there (default: SUBJECT)")
    parser.add_argument(
        "--photos",
        type=at_home,
        metavar="DIR",
        help="where the photos of a catalogue or database lie now, if it was made on another machine",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say which photos would come, and why"
    )
    means = parser.add_mutually_exclusive_group()
    means.add_argument("--copy", dest="means", action="store_const", const="copy")
    means.add_argument(
        "--link", dest="means", action="store_const", const="link", help="hard links only"
    )
    parser.add_argument("--root", type=album_at, default=PHOTOS)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Bring photos into the album."""
    from ismila.photos.add import AddOptions, add_photos
    from ismila.photos.album import Album

    if args.kind is None and (args.name or args.photos):
        raise WrongUsageError(
            f"--name and --photos: say with --from what the source is: {', '.join(source_kinds())}"
        )
    sources = [_source(args, given) for given in args.sources]
    album = Album.open(args.root, args.subject, progress=progress)
    how = AddOptions(name=args.name, means=args.means, dry_run=args.dry_run)
    added = add_photos(album, sources, args.place, how, progress)
    print_added(added, args.root / args.place, args.dry_run)
    return 0


def _source(args: argparse.Namespace, given: str) -> Source:
    from ismila.photos.sources.folder import FolderSource
    from ismila.photos.sources.opening import SourceOptions, open_source

    if args.kind is None:
        return FolderSource(at_home(given), args.exclude, args.include_hidden)
    wanted = SourceOptions(
        photos=args.photos,
        exclude=args.exclude,
        hidden=args.include_hidden,
        progress=progress,
    )
    return open_source(args.kind, given, wanted)


def print_added(added: Added, folder: Path, dry_run: bool) -> None:
    """What was added, and what was not and why."""
    for photo, why in added.would:
        print(as_text(one_line(f"{photo}: {why}")))
    counts = (
        (f"{len(added.would)} would come{_reasons(added)}", dry_run),
        (f"{added.linked} linked, {added.copied} copied", not dry_run),
        (f"{added.here_already} here already", added.here_already),
        (f"{added.boxes} with a box", added.boxes),
        (f"{len(added.skipped)} skipped", True),
        (f"{len(added.gone)} gone", added.gone),
    )
    print(f"{as_given(str(folder))}: {', '.join(words for words, is_said in counts if is_said)}")
    for note in added.notes:
        say(note)
    say_each("skipped", [f"{photo}: {reason}" for photo, reason in added.skipped])
    say_each("named by the source, but not there any more", added.gone)


def _reasons(added: Added) -> str:
    reasons = Counter(why for _, why in added.would)
    said = ", ".join(f"{why}: {n}" for why, n in reasons.most_common(NAMED_REASONS))
    return f" ({said})" if said else ""
