"""Photos of a source -> the album: linked or copied, never moved, each content once, and why each came."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from ismila.photos import UserError
from ismila.photos.added import AddedRecord, read_records, write_records
from ismila.photos.album import Album
from ismila.photos.boxes import box_text
from ismila.photos.images import PhotoError, open_photo
from ismila.photos.labels import check_subject, folder_label
from ismila.photos.names import NOT, PETS, RESERVED, as_text, name_problem
from ismila.photos.progress import Progress
from ismila.photos.sources import GoneError, Source, SourcePhoto, same_name
from ismila.photos.walking import SUFFIXES

ASIDE = ".add.part"
"""How a copy ends that is not whole yet: nobody else's, so that what a kill left can be deleted."""
RECORDED_EVERY_S = 15.0
LONGEST_NAME_BYTES = 255
NAMED_NAMES = 12
"""At most this many names of a source are listed in a message."""


class WouldAdd(NamedTuple):
    """A photo that would come."""

    photo: str
    why: str


@dataclass
class Added:
    """What was added, and what was not and why.

    Attributes:
        here_already: photos that lie in the right place by now.
        would: those that would come, where nothing was to be done.
        boxes: how many photos got a box in labels.csv.
        gone: photos that the source names and that are not there.
        skipped: `(photo, reason)`.
        notes: what else a person should know of the sources.
    """

    linked: int = 0
    copied: int = 0
    here_already: int = 0
    boxes: int = 0
    would: list[WouldAdd] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """How photos are brought in, and which.

    Attributes:
        name: who is asked for; the subject where it is None.
        means: `link` (hard links), `copy`, or None: links where the disk allows it, else copies.
        dry_run: only say what would come; nothing is written.
    """

    name: str | None = None
    means: str | None = None
    dry_run: bool = False


def add_photos(
    album: Album,
    sources: Sequence[Source],
    place: str,
    how: AddOptions | None = None,
    progress: Progress | None = None,
) -> Added:
    """Bring photos into `<album.root>/<place>`; two that do so at once wait for one another.

    Args:
        place: `SUBJECT`, `not_SUBJECT` or `pets/KIND`.

    Raises:
        UserError: a source or the place cannot be used, or the disk refuses.
    """
    _check_place(place, album.subject)
    how = how or AddOptions()
    name = album.subject if how.name is None else how.name
    adding = _Adding(album, place, how)
    avoided = album.subject if adding.meaning[0] != "subject" else None
    wanted = [(source, each) for source in sources for each in photos_of(source, name, avoided)]
    notes = [note for source in sources for note in source.notes]
    adding.added.notes = list(dict.fromkeys(notes))
    if how.dry_run:
        return adding.run(wanted, progress)
    try:
        adding.folder.mkdir(parents=True, exist_ok=True)
        with album.locked("add"):
            return adding.run(wanted, progress)
    except OSError as error:
        raise _cannot_write(adding.folder, error) from error


def photos_of(source: Source, name: str, avoided: str | None = None) -> list[SourcePhoto]:
    """The photos of a name.

    Args:
        avoided: photos that show this one, too, have that as their problem.

    Raises:
        UserError: the source knows nobody of that name; says whom it knows.
    """
    names = source.names()
    photos = list(source.photos(name))
    is_known = names is None or any(same_name(name, other) for other in names)
    if not photos and not is_known:
        raise UserError(
            f"{source.where}: --name {name}: nobody is called so; {_known(names or [], name)}"
        )
    if names is None or avoided is None or same_name(name, avoided):
        return photos
    shown = {photo.key: photo.why for photo in source.photos(avoided) if not photo.problem}
    return [
        replace(photo, problem=f"{avoided} is in it, too: {shown[photo.key]}")
        if photo.key in shown
        else photo
        for photo in photos
    ]


def _known(names: Sequence[str], name: str) -> str:
    """Which names there are, the likest first, in a few words."""
    wanted = SequenceMatcher(b=name.casefold())

    def likeness(other: str) -> float:
        wanted.set_seq1(other.casefold())
        return wanted.ratio()

    near = sorted(sorted(set(names)), key=likeness, reverse=True)
    if not near:
        return "it names nobody"
    more = f", ... ({len(near) - NAMED_NAMES} more)" if len(near) > NAMED_NAMES else ""
    return f"there are {', '.join(near[:NAMED_NAMES])}{more}"


def _check_place(place: str, subject: str) -> None:
    check_subject(subject)
    top, _, kind = place.partition("/")
    is_kind = top == PETS and not name_problem(kind) and kind not in RESERVED
    if place not in (subject, f"{NOT}{subject}") and not is_kind:
        raise UserError(
            f"--as {place}: expected {subject}, {NOT}{subject} or {PETS}/KIND, such as {PETS}/dog"
        )
    if is_kind and kind != subject and kind.casefold() == subject.casefold():
        raise UserError(f"--as {place}: expected {PETS}/{subject}, or another pet's kind")


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder}: {error.strerror}; put that right and give the same command again")


class _Here(NamedTuple):
    """A photo of the album, by its content."""

    path: str
    meaning: tuple[str, str]
    box: str


class _Adding:
    """One call of `add_photos`, under its lock."""

    def __init__(self, album: Album, place: str, how: AddOptions) -> None:
        self.album = album
        self.root = album.root
        self.place = place
        self.folder = album.root / place
        self.meaning = folder_label(f"{place}/x", album.subject)
        self.how = how
        self.added = Added()
        self.here: dict[str, _Here] = {}
        self.boxes: dict[str, str] = {}
        self.records: dict[tuple[str, str, str], AddedRecord] = {}
        self.written_s = time.monotonic()

    def run(self, wanted: Sequence[tuple[Source, SourcePhoto]], progress: Progress | None) -> Added:
        self._look(progress)
        steps: Iterable[tuple[Source, SourcePhoto]] = wanted
        if progress:
            steps = progress(wanted, len(wanted), "Adding photos")
        try:
            for source, photo in steps:
                self._take(source, photo)
        finally:
            self._write()
        return self.added

    def _look(self, progress: Progress | None) -> None:
        """What is in the album already."""
        if not self.root.is_dir():
            return
        self.records = read_records(self.root)
        for row in self.album.update(progress).itertuples():
            here = _Here(str(row.path), (str(row.label), str(row.kind)), str(row.box))
            self.here.setdefault(str(row.sha256), here)
        if not self.how.dry_run:
            for left in self.folder.glob(f".*{ASIDE}"):
                left.unlink(missing_ok=True)

    def _take(self, source: Source, photo: SourcePhoto) -> None:
        try:
            self._add(source, photo)
        except GoneError:
            self.added.gone.append(photo.shown)
        except PhotoError as error:
            self.added.skipped.append((photo.shown, str(error)))
        if time.monotonic() - self.written_s > RECORDED_EVERY_S:
            self._write()

    def _add(self, source: Source, photo: SourcePhoto) -> None:
        """Add one photo. Raises PhotoError when it is skipped."""
        if photo.problem:
            raise PhotoError(photo.problem)
        if Path(photo.name).suffix.lower() not in SUFFIXES:
            raise PhotoError("not a photo, by its name")
        if photo.path and _lies_below(photo.path, self.root):
            raise PhotoError("in the album already")
        before = self.records.get((source.kind, source.where, photo.key))
        if photo.path is None and before and before.sha256 in self.here:
            self._note_here(source, photo, before.sha256)  # what a server sends need not come twice
            return
        if photo.path is None and self.how.dry_run:
            self.added.would.append(WouldAdd(photo.shown, photo.why))
            return
        content = photo.read()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 in self.here:
            self._note_here(source, photo, sha256)
            return
        open_photo(content, 64)
        path = self._bring(photo, content)
        self.here[sha256] = _Here(path, self.meaning, "")
        if not self.how.dry_run:
            self._note(source, photo, sha256)

    def _note_here(self, source: Source, photo: SourcePhoto, sha256: str) -> None:
        here = self.here[sha256]
        if here.meaning != self.meaning:
            raise PhotoError(f"here already as {here.path}")
        self.added.here_already += 1
        if not self.how.dry_run and here.path:
            self._note(source, photo, sha256)

    def _bring(self, photo: SourcePhoto, content: bytes) -> str:
        """Put the photo into the album; its path there."""
        if self.how.dry_run:
            self.added.would.append(WouldAdd(photo.shown, photo.why))
            return ""
        target = _free_name(self.folder, Path(photo.name))
        if self.how.means != "copy" and photo.path and _link(photo.path, target):
            self.added.linked += 1
        elif self.how.means == "link":
            raise PhotoError("cannot be hard-linked from another disk; leave --link out to copy")
        else:
            _copy(photo.path, content, target)
            self.added.copied += 1
        return target.relative_to(self.root).as_posix()

    def _note(self, source: Source, photo: SourcePhoto, sha256: str) -> None:
        """Write down why it is here and, the first time, where in it the subject is."""
        path, _, box = self.here[sha256]
        record = AddedRecord(
            source=source.kind,
            where=as_text(source.where),
            id=as_text(photo.key),
            name=photo.name,
            label=self.place,
            why=as_text(photo.why),
            path=path,
            sha256=sha256,
        )
        is_new = record.key not in self.records
        self.records[record.key] = record
        if photo.box and is_new and not box and self.meaning[0] == "subject":
            self.boxes[path] = box_text(photo.box)

    def _write(self) -> None:
        """The boxes first: a photo that has a record is not given one again."""
        if self.how.dry_run:
            return
        if self.boxes:
            self.album.correct_each({path: {"box": box} for path, box in self.boxes.items()})
            self.added.boxes += len(self.boxes)
            self.boxes.clear()
        if self.records:
            write_records(self.root, self.records.values())
        self.written_s = time.monotonic()


def _lies_below(path: Path, root: Path) -> bool:
    """Whether a file is one of the album's; neither a loop of links nor a name that no disk has is."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
    except ValueError:
        return False


def _free_name(folder: Path, name: Path) -> Path:
    """The photo's name, numbered where another photo of the album has it."""
    stem = name.stem.lstrip(".")
    target = folder / _fitting(stem, name.suffix)
    number = 1
    while os.path.lexists(target):  # also a link to nowhere is in the way
        number += 1
        target = folder / _fitting(stem, f"-{number}{name.suffix}")
    return target


def _fitting(stem: str, ending: str) -> str:
    """A name that disks take: a number may be one character too many, and a server knows no limit."""
    while len(os.fsencode(stem + ending)) > LONGEST_NAME_BYTES:
        stem = stem[:-1]
    return stem + ending


def _link(photo: Path, target: Path) -> bool:
    try:
        os.link(os.path.realpath(photo), target)
    except OSError:
        return False
    return True


def _copy(photo: Path | None, content: bytes, target: Path) -> None:
    """The bytes that were judged, not what may lie there by now, with their file's time."""
    aside = target.with_name(f".{secrets.token_hex(8)}{ASIDE}")
    try:
        aside.write_bytes(content)
        if photo:
            shutil.copystat(photo, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
