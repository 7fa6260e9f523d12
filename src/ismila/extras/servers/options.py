"""Options of `scan` and `watch`: what they find is set on a photo server (`--to immich|photoprism`)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.progress import progress
from ismila.cli.terminal import say, say_each
from ismila.photos import WrongUsageError
from ismila.photos.names import counted

if TYPE_CHECKING:
    from ismila.extras.servers.marking import Marked
    from ismila.extras.servers.server import Mark, PhotoServer
    from ismila.use.ask.judging import Scan
KINDS = ("immich", "photoprism")


@dataclass(frozen=True, kw_only=True)
class OnServer:
    """A server, which was looked at and is what it should be, and what is to be set there."""

    server: PhotoServer
    args: argparse.Namespace

    def mark_of(self, subject: str) -> Mark:
        """The mark of a subject's photos."""
        from ismila.extras.servers.server import ALBUM, TAG, Mark

        if self.args.album:
            return Mark(ALBUM, self.args.album)
        return Mark(TAG, self.args.tag or subject)

    def shown(self, mark: Mark) -> str:
        """The mark as the program calls it."""
        from ismila.extras.servers.server import TAG

        kind = "label" if self.args.to == "photoprism" and mark.kind == TAG else mark.kind
        return f"{kind} {mark.name}"

    def check(self) -> None:
        """Make sure, before anything slow, that it is the program, and that it knows the token.

        Raises:
            ServerError: it is another program, or says no.
        """
        self.server.check()
        self.server.find(["0" * 40])
        self.server.mark_id(self.mark_of(self.args.subjects[0]))

    def write(self, scans: Sequence[Scan]) -> bool:
        """Set each subject's mark; returns whether all could be set.

        Raises:
            UserError: the server says no, or the record of what was set cannot be written.
        """
        from ismila.extras.servers.marking import Marking
        from ismila.extras.servers.marks import MarksRecord, record_beside

        failed = False
        with MarksRecord(record_beside(scans[0].library.state)) as record:
            is_first = not record.knows(self.server.url) and not self.args.apply
            is_plan = self.args.dry_run or is_first
            for scan in scans:
                marking = Marking(
                    server=self.server,
                    mark=self.mark_of(scan.classifier.subject),
                    record=record,
                    server_dir=self.args.server_dir,
                )
                marked = marking.run(scan, is_plan, progress)
                _print_marked(self, marking.mark, marked, is_plan)
                failed |= bool(marked.failed)
        if is_plan:
            first = "the first time on a server only says what would be done; " if is_first else ""
            say(f"nothing was changed: {first}the same command with --apply does it")
        return not failed


def add_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which server, and what is set there; returns the group that they stand in."""
    group = parser.add_argument_group("on a photo server")
    group.add_argument(
        "--to",
        choices=KINDS,
        metavar="PROGRAM",
        help="set a tag on the photos found, in immich or photoprism",
    )
    group.add_argument("--server", metavar="URL", help="where it is, such as http://nas:2283")
    mark = group.add_mutually_exclusive_group()
    mark.add_argument("--tag", metavar="NAME", help="call the tag so (default: the subject's name)")
    mark.add_argument("--album", metavar="NAME", help="put the photos into this album instead")
    group.add_argument(
        "--server-dir",
        default="",
        metavar="DIR",
        help="where Immich sees the library, if that is an external one there",
    )
    how = group.add_mutually_exclusive_group()
    how.add_argument(
        "--apply",
        action="store_true",
        help="do it; else the first time on a server only says what would be done",
    )
    how.add_argument("--dry-run", action="store_true", help="only say what would be done")
    return group


def call(_: argparse.Namespace) -> None:
    """The verb goes on: it writes here what it found."""


def open_destination(args: argparse.Namespace) -> OnServer | None:
    """The server that was asked for, looked at before anything slow; None where none was.

    Raises:
        UserError: it is none, or nothing can be set there.
    """
    from ismila.extras.servers.programs import clear_text_warning, open_server

    if args.to is None:
        for option in ("server", "tag", "album", "server_dir", "apply", "dry_run"):
            if getattr(args, option):
                raise WrongUsageError(
                    f"--{option.replace('_', '-')}: give --to immich or --to photoprism, too"
                )
        return None
    if not args.server:
        raise WrongUsageError(
            f"--to {args.to}: give the server's address, too: --server http://nas:2283"
        )
    if args.server_dir and args.to != "immich":
        raise WrongUsageError("--server-dir: only Immich needs it; leave it out")
    name = args.album or args.tag
    if name is not None and (not name.strip() or len(args.subjects) > 1):
        raise WrongUsageError(
            f"{'--tag' if args.album is None else '--album'} {name}: expected a name, and one subject"
        )
    server = open_server(args.to, args.server)
    if warning := clear_text_warning(args.to, server.url):
        say(f"warning: {warning}")
    on_server = OnServer(server=server, args=args)
    on_server.check()
    return on_server


def undo_on_server(on_server: OnServer, state: Path) -> bool:
    """Take away what ismila has set; returns whether all could be taken away.

    Raises:
        UserError: the server says no, or the record of what was set cannot be written.
    """
    from ismila.extras.servers.marking import Marking
    from ismila.extras.servers.marks import MarksRecord, record_beside

    failed = False
    with MarksRecord(record_beside(state)) as record:
        for subject in on_server.args.subjects:
            mark = on_server.mark_of(subject)
            marking = Marking(server=on_server.server, mark=mark, record=record)
            marked = marking.undo(on_server.args.dry_run, progress)
            verb = "would be taken" if on_server.args.dry_run else "taken"
            shown = on_server.shown(mark)
            print(
                f"{on_server.server.url}: {shown}: {verb} from {counted(len(marked.taken), 'photo')}"
            )
            if marked.let_go:
                say(
                    f"{shown}: somebody has taken it from {counted(marked.let_go, 'photo')} already"
                )
            say_each("not taken away", marked.failed)
            failed |= bool(marked.failed)
    return not failed


def _print_marked(on_server: OnServer, mark: Mark, marked: Marked, is_plan: bool) -> None:
    shown = on_server.shown(mark)
    verb = "would be set" if is_plan else "set"
    words = [f"{verb} on {len(marked.set)} of {counted(marked.found, 'photo')} found"]
    if marked.carried:
        words.append(f"{marked.carried} carry it already")
    if marked.taken:
        words.append(
            f"{'would be ' if is_plan else ''}taken from {len(marked.taken)} that show it no more"
        )
    if marked.missing:
        words.append(f"{len(marked.missing)} are not on the server")
    print(f"{on_server.server.url}: {shown}: {'; '.join(words)}")
    if is_plan:
        say_each("would set", marked.set)
        say_each("would take away", marked.taken)
    if marked.let_go:
        say(
            f"{shown}: somebody has taken it from {counted(marked.let_go, 'photo')} since it was set; they stay "
            "without (scan --undo forgets that)"
        )
    say_each("not on the server", marked.missing)
    if marked.missing and on_server.args.to == "immich" and not on_server.args.server_dir:
        say("photos of an external library are known by their path there: --server-dir DIR")
    say_each("not changed", marked.failed)
