"""`ismila scan`: for one subject, or for several in one pass."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ismila import plugins
from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import RUN_OF_EACH, SKIPPING, photo_count, port_number
from ismila.cli.overrides import written
from ismila.cli.progress import progress
from ismila.cli.terminal import say, say_each
from ismila.photos import UserError, WrongUsageError
from ismila.photos.addresses import address_of, album_at, is_address
from ismila.photos.names import at_home, counted

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.photos.album import Album
    from ismila.plugins import Destination
    from ismila.runs.find import Recorded
    from ismila.use.ask.judging import Scan, Scanned
    from ismila.use.ask.library import Library
    from ismila.use.ask.pets_library import PetsScan

NO_LIMIT = 10**9


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "scan",
        parents=[RUN_OF_EACH, SKIPPING],
        help="find the subject in a whole library; resumable, changes no photo",
        usage="ismila scan [OPTION ...] DIR",
        description="Find the subject in a whole library. No photo is changed; the same command again judges what is "
        "new, or goes on where it was stopped.",
    )
    parser.add_argument(
        "root", nargs="?", type=library_at, metavar="DIR", help="the library's folder"
    )
    add_results(parser)
    _add_review(parser)
    for options in plugins.options_of("scan"):
        options.add_options(parser)
    parser.set_defaults(call=call)


def _add_review(parser: argparse.ArgumentParser) -> None:
    """Whether a person is asked about what is found."""
    group = parser.add_argument_group("to be asked about what was found")
    group.add_argument(
        "--review",
        action="store_true",
        help="open a page that asks which show the subject; these join the album by link",
    )
    group.add_argument(
        "--ask",
        type=photo_count,
        default=60,
        metavar="N",
        help="about so many photos (default: 60)",
    )
    group.add_argument(
        "--root",
        dest="album_root",
        type=album_at,
        metavar="ALBUM",
        help="the album, when it has moved since the run",
    )
    group.add_argument(
        "--port", type=port_number, default=8765, metavar="N", help="of the page (default: 8765)"
    )


def library_at(text: str) -> Path | str:
    """A folder, or the address as it stands."""
    return text if is_address(text) else at_home(text)


def add_library(parser: argparse.ArgumentParser) -> None:
    """Which library, and where what is found goes."""
    parser.add_argument("root", type=at_home, metavar="DIR")
    add_results(parser)


def add_results(parser: argparse.ArgumentParser) -> None:
    """Where what is found in a library goes."""
    group = parser.add_argument_group("where results go")
    group.add_argument("--csv", type=at_home, metavar="FILE", help="a line for each photo")
    group.add_argument(
        "--link-to", type=at_home, metavar="ALBUM", help="a folder of links to the photos found"
    )
    group.add_argument(
        "--xmp", action="store_true", help="add the subject as a keyword in XMP side files"
    )
    group.add_argument(
        "--xmp-name",
        choices=("a.jpg.xmp", "a.xmp"),
        default="a.jpg.xmp",
        metavar="NAME",
        help="what a new side file of a.jpg is called: a.jpg.xmp (default) or a.xmp; one that is there is used",
    )
    group.add_argument(
        "--state",
        type=at_home,
        metavar="FILE",
        help="what has been judged (default: under data/cache)",
    )


def call(args: argparse.Namespace) -> int:
    """Judge what is new in a library and write down what was found."""
    for options in plugins.options_of("scan"):
        code = options.call(args)
        if code is not None:
            return code
    require_folder(args.root)
    destinations = plugins.destinations("scan", args)
    with opened_scan(args) as scan:
        try:
            scanned = scan.judge(progress)
            is_whole = write_down(scan, scanned, args, destinations)
        except KeyboardInterrupt:
            say("stopped; nothing is lost: the same command goes on from here")
            return 130
        if args.review:
            review(scan, args)
        return 0 if is_whole else 1


def review(scan: Scan | PetsScan, args: argparse.Namespace) -> None:
    """Ask about what was found until Ctrl-C, and say what joined the album and how it is trained on.

    Raises:
        UserError: several subjects were asked for, or the album cannot be read or written.
    """
    from ismila.runs.find import album_of, read_run
    from ismila.use.check import review_app
    from ismila.use.check.found import LibraryReview, in_words

    [one] = scan.scans()
    run = read_run(one.run)
    found = LibraryReview.of(album_of(run, args.album_root), one, args.ask or NO_LIMIT, progress)
    review_app.serve(found, args.port)
    print(f"{in_words(found.joined(), found.album)}; train again: {_training_of(run, found.album)}")


def _training_of(run: Recorded, album: Album) -> str:
    """The command that trains like a run on the album as it is now."""
    told = {"model": run.tags["model"], "data": run.tags["data"], "subject": album.subject}
    words = [f"{name}={value}" for name, value in told.items()]
    return f"python -m ismila.train {written([*words, f'data.root={address_of(album.root) or album.root}'])}"


def require_library(root: Path | str | None) -> None:
    """Raise UserError where no library was given."""
    if root is None:
        raise WrongUsageError("DIR: missing; give the folder of a photo library")


def require_folder(root: Path | str | None) -> None:
    """Raise UserError where no folder of this machine was given."""
    require_library(root)
    if not isinstance(root, Path):
        raise UserError(f"{root}: an address is scanned with --ray: ismila scan --ray {root}")


@contextmanager
def opened_scan(args: argparse.Namespace) -> Iterator[Scan | PetsScan]:
    """The library and the runs that are to judge it.

    Raises:
        UserError: there is no such library or run, or links have no place.
    """
    from ismila.photos.skipping import Skipping
    from ismila.use.ask.findings import check_link_folder
    from ismila.use.ask.library import Library

    if getattr(args, "review", False) and len(args.subjects) > 1:
        raise WrongUsageError("--review asks about one pet: give --subject NAME, one after another")
    runs = chosen_runs(args)
    skipping = Skipping(args.root, args.exclude, args.include_hidden)
    with Library(args.root, args.state, skipping) as library:
        if args.link_to:
            check_link_folder(args.link_to, library.root)
        yield _scan_of(library, runs)


def write_down(
    scan: Scan | PetsScan,
    scanned: Scanned,
    args: argparse.Namespace,
    destinations: Sequence[Destination],
) -> bool:
    """Say what a pass did, and write the tables, links and side files, and to the destinations, that were asked for.

    Returns:
        Whether every photo could be read and everything written.

    Raises:
        AwayError: a destination says no; all else is written by then.
    """
    print_scanned(scanned, args.root)
    if words := scan.library.skipping.words():
        say(f"passed over: {words}")
    scans = scan.scans()
    _write_tables(scans, args)
    failed = args.xmp and _write_sidecars(scans, args)
    for destination in destinations:
        failed |= not destination.write(scans)
    return not failed and not scanned.broken


def _scan_of(library: Library, runs: Mapping[str, str]) -> Scan | PetsScan:
    from ismila.runs.find import load_classifier
    from ismila.use.ask.judging import Scan
    from ismila.use.ask.pets import Pets
    from ismila.use.ask.pets_library import PetsScan

    if len(runs) > 1:
        return PetsScan(library, Pets.load(runs))
    [run] = runs.values()
    return Scan(library, load_classifier(run), run)


def print_scanned(scanned: Scanned, root: Path | str) -> None:
    """What a scan did, in a line."""
    print(f"{root}: {counted(scanned.judged, 'photo')} judged now, {scanned.before} before")
    if scanned.broken:
        say(
            f"{counted(scanned.broken, 'photo')} could not be read; --csv names each with the reason"
        )


def _write_tables(scans: Sequence[Scan], args: argparse.Namespace) -> None:
    """Write the table and the links that were asked for, and say how many photos show whom."""
    from ismila.use.ask.findings import link_photos, write_csv, write_pets_csv

    subjects = [scan.classifier.subject for scan in scans]
    if args.csv and len(scans) > 1:
        print(f"{args.csv}: {_photos_of(write_pets_csv(args.csv, scans))}")
    elif args.csv:
        print(f"{args.csv}: {_photos_of({subjects[0]: write_csv(args.csv, scans[0])})}")
    if args.link_to:
        print(f"{args.link_to}: {_photos_of(link_photos(args.link_to, *scans))} linked")


def _photos_of(photos: Mapping[str, int]) -> str:
    return ", ".join(f"{counted(count, 'photo')} of {subject}" for subject, count in photos.items())


def _write_sidecars(scans: Sequence[Scan], args: argparse.Namespace) -> bool:
    """Write each subject's keyword into side files; True when one could not be written."""
    from ismila.use.ask.findings import write_sidecars

    failed: dict[str, None] = {}
    for scan in scans:
        written = write_sidecars(scan, args.xmp_name)
        subject = scan.classifier.subject
        print(f"{args.root}: keyword {subject} in side files of {counted(written.photos, 'photo')}")
        failed |= dict.fromkeys(written.failed)
    say_each("no side file", list(failed))
    return bool(failed)
