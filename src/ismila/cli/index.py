"""`ismila index`."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from ismila.cli.options import CACHE, PHOTOS, SUBJECT
from ismila.cli.progress import progress
from ismila.cli.terminal import say
from ismila.photos.addresses import album_at
from ismila.photos.names import counted, one_line

if TYPE_CHECKING:
    import pandas as pd

    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "index",
        parents=[SUBJECT, CACHE],
        help="read an album and name what is wrong with its photos",
    )
    parser.add_argument("root", nargs="?", type=album_at, default=PHOTOS)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Bring the album's index up to date."""
    from ismila.photos.album import Album
    from ismila.photos.skipping import Skipping

    album = Album.open(args.root, args.subject, args.cache, progress)
    skipping = Skipping(args.root)
    print_index(album.update(progress, skipping))
    if words := skipping.words():
        say(f"passed over: {words}")
    return 0


def print_index(index: pd.DataFrame) -> None:
    """Every photo with a problem, how many state no time that can be read, and how many there are of each kind."""
    from ismila.photos.index import time_problems

    for path, problem in zip(index["path"], index["problem"], strict=True):
        if problem:
            print(one_line(f"{path}: {problem}"))
    if words := time_problems(index):
        print(one_line(words))
    for kind, n in Counter(index.loc[index["problem"] == "", "kind"]).most_common():
        print(f"{kind}: {counted(n, 'photo')}")
