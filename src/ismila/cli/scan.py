"""`ismila scan`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_run
from ismila.cli.options import RUN
from ismila.cli.progress import progress
from ismila.cli.terminal import say, say_each

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.use.ask.library import Scan, Scanned


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "scan",
        parents=[RUN],
        help="find the subject in a whole library; resumable, changes no photo",
    )
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a line for each photo")
    parser.add_argument(
        "--link-to", type=Path, metavar="ALBUM", help="a folder of links to the photos found"
    )
    parser.add_argument(
        "--xmp", action="store_true", help="add the subject as a keyword in XMP side files"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="what has been judged (default: under data/cache)",
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Judge what is new in a library and write down what was found."""
    from ismila.runs.find import load_classifier
    from ismila.use.ask.findings import check_link_folder
    from ismila.use.ask.library import Library, Scan

    run = chosen_run(args)
    with Library(args.root, args.state) as library:
        if args.link_to:
            check_link_folder(args.link_to, library.root)
        scan = Scan(library, load_classifier(run), run)
        try:
            scanned = scan.judge(progress)
        except KeyboardInterrupt:
            say("stopped; nothing is lost: the same command goes on from here")
            return 130
        print_scanned(scanned, args.root)
        failed = _write_findings(scan, args)
    return 1 if failed or scanned.broken else 0


def print_scanned(scanned: Scanned, root: Path) -> None:
    """What a scan did, in a line."""
    print(f"{root}: {scanned.judged} photos judged now, {scanned.before} before")
    if scanned.broken:
        say(f"{scanned.broken} photos could not be read; --csv names each with the reason")


def _write_findings(scan: Scan, args: argparse.Namespace) -> bool:
    """Write and print what was asked for; True when a side file could not be written."""
    from ismila.use.ask.findings import link_photos, write_csv, write_sidecars

    subject = args.subject
    if args.csv:
        print(f"{args.csv}: {write_csv(args.csv, scan)} photos of {subject}")
    if args.link_to:
        print(f"{args.link_to}: {link_photos(args.link_to, scan)} photos of {subject} linked")
    if not args.xmp:
        return False
    written = write_sidecars(scan)
    print(f"{args.root}: {written.photos} photos carry the keyword {subject} in a side file")
    say_each("no side file", written.failed)
    return bool(written.failed)
