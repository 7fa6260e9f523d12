"""`ismila fetch`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.options import PHOTOS, SUBJECT, photo_count
from ismila.cli.progress import transfer
from ismila.cli.terminal import say, say_each
from ismila.photos import UserError
from ismila.photos.addresses import album_at, as_given

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.photos.fetch import Fetched


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "fetch",
        parents=[SUBJECT],
        help="fetch photos from Flickr, sorted into folders by their tags",
    )
    parser.add_argument("--user", help="NSID, user name or profile address; with a login: me")
    for name, words in (
        ("--tags", "tags of the subject, with commas (default: SUBJECT)"),
        ("--not-tags", "leave out photos that carry one of these"),
        ("--pets-tags", "tags of other animals: dog,cat,goat"),
    ):
        parser.add_argument(name, action="append", default=[], help=words)
    parser.add_argument(
        "--balance", action="store_true", help="no more of the rest than of the subject"
    )
    parser.add_argument(
        "--limit",
        type=photo_count,
        default=0,
        metavar="N",
        help="at most N photos in all, the newest",
    )
    parser.add_argument("--root", type=album_at, default=PHOTOS)
    parser.add_argument(
        "--login", action="store_true", help="let Flickr show your private photos, too; once"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Fetch what is new; 1 when a photo could not be fetched."""
    from ismila.photos.fetch import Sorting, fetch_album, tags_of
    from ismila.photos.flickr import Flickr, read_keys
    from ismila.photos.remote import mirrored

    if not args.login and not args.user:
        raise UserError(
            "--user: give whose photos: an NSID (12345@N00), a user name or a profile address"
        )
    sorting = Sorting(
        subject=args.subject,
        tags=tags_of(args.tags) or (args.subject,),
        not_tags=tags_of(args.not_tags),
        pets_tags=tags_of(args.pets_tags),
        balance=args.balance,
        limit=args.limit,
    )
    keys = read_keys(Path.cwd())
    if args.login:
        Flickr(keys).login()
    if not args.user:
        return 0
    with mirrored(args.root), transfer("Fetching photos") as advance:
        fetched = fetch_album(Flickr(keys), args.user, sorting, args.root, advance)
    print_fetched(fetched, args.root)
    return 1 if fetched.failed else 0


def print_fetched(fetched: Fetched, root: Path) -> None:
    """What a fetch did, in a few lines."""
    new = ", ".join(f"{n} to {folder}" for folder, n in sorted(fetched.new.items())) or "none"
    print(
        f"{as_given(str(root))}: new: {new}; here already: {fetched.here_already}; "
        f"left out by tag: {fetched.left_out}"
    )
    if fetched.came < fetched.promised:
        say(
            f"Flickr's listing promised {fetched.promised} photos and gave {fetched.came}, however often it was "
            "asked; the same command asks again"
        )
    say_each("not fetched", fetched.failed)
    say_each("no longer on Flickr, kept here", fetched.gone)
    say_each("retagged on Flickr, left where it is", fetched.retagged)
    if fetched.failed:
        say("the same command tries again what was not fetched")
