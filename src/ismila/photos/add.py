"""One's own photos -> the album: linked or copied, never moved, each content once."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.images import PhotoError, open_photo
from ismila.photos.index import Progress
from ismila.photos.labels import KIND, NOT, PETS, RESERVED, SUFFIXES, check_subject, walk
from ismila.photos.names import is_text
from ismila.photos.skipping import Skipping

ASIDE = ".add.part"
"""How a copy ends that is not whole yet: nobody else's, so that what a kill left can be deleted."""


@dataclass
class Added:
    """What was added, and what was not and why.

    Attributes:
        skipped: `(path, reason)`.
        passed_over: folders and photos that were not even looked at, in words, for each source.
    """

    linked: int = 0
    copied: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class How:
    """How photos are brought in, and which.

    Attributes:
        means: `link` (hard links), `copy`, or None: links where the disk allows it, else copies.
        exclude, hidden: see `Skipping`.
    """

    means: str | None = None
    exclude: Sequence[str] = ()
    hidden: bool = False


def add_photos(
    album: Album,
    sources: Sequence[Path],
    place: str,
    how: How | None = None,
    progress: Progress | None = None,
) -> Added:
    """Bring photos into `<album.root>/<place>`; two that do so at once wait for one another.

    Args:
        sources: photos and folders of photos.
        place: `SUBJECT`, `not_SUBJECT` or `pets/KIND`.

    Raises:
        UserError: a source or the place cannot be used, or the disk refuses.
    """
    _check_place(place, album.subject)
    for source in sources:
        if not os.path.exists(source):  # noqa: PTH110 - which no name is too long for
            raise UserError(f"{source}: no such file or folder; give photos or folders of photos")
    folder = album.root / place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with album.locked("add"):
            return _Adding(album, folder, how or How(), progress).run(sources)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _check_place(place: str, subject: str) -> None:
    check_subject(subject)
    top, _, kind = place.partition("/")
    is_kind = top == PETS and KIND.fullmatch(kind) is not None and kind not in RESERVED
    if place not in (subject, f"{NOT}{subject}") and not is_kind:
        raise UserError(
            f"--as {place}: expected {subject}, {NOT}{subject} or {PETS}/KIND, such as {PETS}/dog"
        )
    if is_kind and kind != subject and kind.casefold() == subject.casefold():
        raise UserError(f"--as {place}: expected {PETS}/{subject}, or another pet's kind")


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder}: {error.strerror}; put that right and give the same command again")


class _Adding:
    """One call of `add_photos`, under its lock."""

    def __init__(self, album: Album, folder: Path, how: How, progress: Progress | None) -> None:
        self.root = album.root
        self.folder = folder
        self.how = how
        self.progress = progress
        self.added = Added()
        index = album.update(progress)
        self.here: dict[str, str] = {}
        for sha256, path in zip(index["sha256"], index["path"], strict=True):
            self.here.setdefault(str(sha256), str(path))
        for left in folder.glob(f".*{ASIDE}"):
            left.unlink(missing_ok=True)

    def run(self, sources: Sequence[Path]) -> Added:
        photos = list(self._photos(sources))
        steps: Iterable[Path] = photos
        if self.progress:
            steps = self.progress(photos, len(photos), "Adding photos")
        for photo in steps:
            if reason := self._add(photo):
                self.added.skipped.append((photo, reason))
        return self.added

    def _photos(self, sources: Sequence[Path]) -> Iterator[Path]:
        for source in sources:
            if source.is_dir():
                skipping = Skipping(source, self.how.exclude, self.how.hidden)
                paths = sorted(walk(source, True, self._unread, skipping))
                yield from (source / path for path in paths)
                if words := skipping.words():
                    self.added.passed_over.append(f"{source}: {words}")
            else:
                yield source

    def _unread(self, error: OSError) -> None:
        self.added.skipped.append(
            (Path(error.filename), f"this folder cannot be read: {error.strerror}")
        )

    def _add(self, photo: Path) -> str:
        """Add one photo; the reason when it is skipped."""
        if photo.suffix.lower() not in SUFFIXES:
            return "not a photo, by its name"
        if photo.resolve().is_relative_to(self.root.resolve()):
            return "in the album already"
        try:
            content = _content(photo)
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 in self.here:
                return f"here already as {self.here[sha256]}"
            open_photo(content, 64)
        except PhotoError as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        target = _free_name(self.folder, photo)
        if self.how.means != "copy" and _link(photo, target):
            self.added.linked += 1
        elif self.how.means == "link":
            return "cannot be hard-linked from another disk; leave --link out to copy"
        else:
            _copy(photo, content, target)
            self.added.copied += 1
        self.here[sha256] = target.relative_to(self.root).as_posix()
        return ""


def _content(photo: Path) -> bytes:
    if not photo.is_file():  # a pipe would never end
        raise PhotoError("not a regular file")
    if not is_text(photo.name):
        raise PhotoError("its name is not UTF-8; rename it")
    return photo.read_bytes()


def _free_name(folder: Path, photo: Path) -> Path:
    """The photo's name, numbered where another photo of the album has it."""
    target = folder / photo.name.lstrip(".")
    number = 1
    while os.path.lexists(target):  # also a link to nowhere is in the way
        number += 1
        target = folder / f"{photo.stem.lstrip('.')}-{number}{photo.suffix}"
    return target


def _link(photo: Path, target: Path) -> bool:
    try:
        os.link(photo.resolve(), target)
    except OSError:
        return False
    return True


def _copy(photo: Path, content: bytes, target: Path) -> None:
    """The bytes that were judged, not what may lie there by now."""
    aside = target.with_name(f".{secrets.token_hex(8)}{ASIDE}")
    try:
        aside.write_bytes(content)
        shutil.copystat(photo, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
