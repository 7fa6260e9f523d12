"""`ismila scan --ray`: the same of libraries of millions, on the workers of a Ray cluster."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import whole_number
from ismila.cli.progress import progress
from ismila.cli.scan import library_at, print_scanned, require_library
from ismila.cli.terminal import say
from ismila.photos import UserError
from ismila.photos.addresses import is_address
from ismila.photos.names import at_home, counted

if TYPE_CHECKING:
    from ismila.extras.cluster.ray_scan import RayScan
    from ismila.photos.skipping import Skipping
    from ismila.use.ask.listing import LibraryPhoto


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which cluster, and how much of the table a file holds."""
    group = parser.add_argument_group("on a Ray cluster")
    group.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="HOST:PORT; without it one is started for the call. DIR may be s3://BUCKET/FOLDER, "
        "and --state is a folder of Parquet files",
    )
    group.add_argument(
        "--shard",
        type=whole_number(1, 1_000_000, "1 to 1000000 photos"),
        default=1000,
        metavar="N",
        help="photos a file of the table; a killed scan loses so many (default: 1000)",
    )


def call(args: argparse.Namespace) -> int | None:
    """Scan on the cluster, with --ray. `--ray DIR` reads as if DIR were the cluster's address."""
    if args.ray is None:
        return None
    if args.root is None and args.ray:
        return scan_on_ray(args, str(library_at(args.ray)), "")
    require_library(args.root)
    return scan_on_ray(args, str(args.root), args.ray)


def open_destination(_: argparse.Namespace) -> None:
    """The table of a cluster's scan is all that it writes."""


def scan_on_ray(args: argparse.Namespace, root: str, address: str) -> int:
    """Judge a library on a Ray cluster, and write its table.

    Args:
        root: a folder that all workers see under this path, or an address that fsspec knows.
        address: of the cluster; empty: one on this machine, started for the call.

    Raises:
        UserError: an option that asks for more than a table, no such library or run, no cluster.
    """
    from ismila.extras.cluster.ray_scan import LOCAL, RayScan
    from ismila.extras.cluster.shards import Shards
    from ismila.runs.find import load_classifier

    [run] = _one_run(args)
    place = root if is_address(root) else _folder(root)
    folder = (args.state or _state_of(place)) / run
    classifier = load_classifier(run)
    with Shards.opened(folder) as shards, _photos(place, args) as (photos, skipping):
        scan = RayScan(place, shards, classifier, run, args.shard)
        try:
            scanned = scan.judge(photos, address or LOCAL, progress)
        except KeyboardInterrupt:
            say("stopped; finished shards are kept: the same command goes on from here")
            return 130
        print_scanned(scanned, root)
        if words := skipping.words():
            say(f"passed over: {words}")
        _write_table(scan, args)
    return 1 if scanned.broken else 0


def _one_run(args: argparse.Namespace) -> list[str]:
    runs = list(chosen_runs(args).values())
    if len(runs) > 1:
        raise UserError("--ray: one subject at a time; give the command once for each")
    elsewhere = (getattr(args, name, None) for name in ("link_to", "xmp", "to", "undo", "review"))
    if any(elsewhere):
        raise UserError(
            "--ray: writes a table, no links, side files or marks; leave all of these and --review out"
        )
    return runs


def _folder(root: str) -> str:
    folder = at_home(root)
    if not os.path.isdir(folder):  # noqa: PTH112 - which no name is too long for
        raise UserError(f"{root}: no such folder; give the folder of a photo library")
    return str(folder.resolve())


def _state_of(place: str) -> Path:
    """Beside the state of the plain scan, which is a file."""
    return Path("data/cache") / hashlib.sha256(os.fsencode(place)).hexdigest()[:16] / "scan-ray"


@contextmanager
def _photos(
    place: str, args: argparse.Namespace
) -> Iterator[tuple[Iterator[LibraryPhoto], Skipping]]:
    from ismila.photos.skipping import Skipping
    from ismila.use.ask.listing import Rules, photos_at, photos_in

    if is_address(place):
        with photos_at(place, Rules(tuple(args.exclude), args.include_hidden)) as found:
            yield found
        return
    skipping = Skipping(Path(place), args.exclude, args.include_hidden)
    yield photos_in(Path(place), skipping), skipping


def _write_table(scan: RayScan, args: argparse.Namespace) -> None:
    kept = scan.shards.kept.values()
    subject = scan.classifier.subject
    print(
        f"{scan.shards.folder}: {counted(sum(one.of_subject for one in kept), 'photo')} of {subject} among "
        f"{sum(one.photos for one in kept)} in {counted(len(kept), 'file')}"
    )
    if args.csv:
        from ismila.use.ask.findings import write_csv

        print(f"{args.csv}: {counted(write_csv(args.csv, scan), 'photo')} of {subject}")
