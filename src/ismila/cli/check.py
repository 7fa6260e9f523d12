"""`ismila check`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ismila.cli.options import CACHE, PHOTOS, SUBJECT, port_number
from ismila.cli.progress import progress
from ismila.cli.terminal import say
from ismila.photos.addresses import album_at
from ismila.photos.boxes import WHOLE, box_text
from ismila.photos.names import at_home, counted, one_line

if TYPE_CHECKING:
    import pandas as pd

    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "check",
        parents=[SUBJECT, CACHE],
        help="show what in the album looks wrong, worst first, and settle it",
    )
    parser.add_argument("root", nargs="?", type=album_at, default=None)
    parser.add_argument("--root", dest="root_option", type=album_at, default=None)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="one JSON object a line")
    shown.add_argument("--html", type=at_home, metavar="FILE", help="write one page of thumbnails")
    shown.add_argument(
        "--serve", action="store_true", help="open a page on which a click or a key settles it"
    )
    parser.add_argument("--port", type=port_number, default=8765)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Look for suspects in an album, and list them, draw them or serve them."""
    from ismila.photos.album import Album
    from ismila.use.check import review_app, still_page
    from ismila.use.check.review import Review

    root = args.root_option or args.root or PHOTOS
    review = Review.of(Album.open(root, args.subject, args.cache, progress), progress)
    if args.serve:
        return review_app.serve(review, args.port)
    if args.html:
        still_page.write_page(review, args.html)
        print(f"{args.html}: {counted(len(review.suspects), 'photo')}")
    elif args.json:
        print_suspects_as_json(review.suspects)
    else:
        print_suspects(review.suspects)
    return 0


def print_suspects(suspects: pd.DataFrame) -> None:
    """What looks wrong, a line each, the worst first."""
    for row in suspects.to_dict("records"):
        hint = f"  (maybe {row['suggested']})" if row["suggested"] else ""
        boxes = f"; {boxes_of(row['boxes'], row['chosen'])}" if row["sort"] == "animal" else ""
        print(one_line(f"{row['score']:.2f}  {row['path']}: {row['reason']}{hint}{boxes}"))
    say(
        f"{counted(len(suspects), 'photo')} to look at; `ismila check --serve` settles them with a key each"
    )


def boxes_of(boxes: Sequence[Sequence[float]], chosen: int | None) -> str:
    """What labels.csv may say of where the subject is."""
    words = [box_text(box) + " (taken)" * (at == chosen) for at, box in enumerate(boxes)]
    return f"box in labels.csv: {', '.join([*words, WHOLE])} or x0 y0 x1 y1"


def print_suspects_as_json(suspects: pd.DataFrame) -> None:
    """The same as JSON objects; `closeup` is null where nobody has said it."""
    for row in suspects.to_dict("records"):
        closeup = row["closeup"] if isinstance(row["closeup"], bool) else None
        print(json.dumps({**row, "closeup": closeup}))
