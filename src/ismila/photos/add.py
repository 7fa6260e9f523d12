"""One's own photos -> the album: linked or copied, never moved, each content once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.images import PhotoError, open_photo
from ismila.photos.index import Progress, index_album
from ismila.photos.labels import SUFFIXES, derived_folder, walk


@dataclass
class Added:
    """What was added, and what was not and why: `(path, reason)`."""

    linked: int = 0
    copied: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def add_photos(
    sources: Sequence[Path],
    place: str,
    root: Path,
    subject: str,
    how: str | None = None,
    progress: Progress | None = None,
) -> Added:
    """Bring photos into `<root>/<place>`.

    Args:
        sources: photos and folders of photos.
        place: `SUBJECT`, `not_SUBJECT` or `pets/KIND`.
        how: `link` (hard links), `copy`, or None: links where the disk allows it, else copies.

    Raises:
        UserError: a source or the place cannot be used, or the disk refuses.
    """
    if place not in (subject, f"not_{subject}") and not re.fullmatch(r"pets/\w[\w -]*", place):
        raise UserError(
            f"--as {place}: expected {subject}, not_{subject} or pets/KIND, such as pets/dog"
        )
    for source in sources:
        if not source.exists():
            raise UserError(f"{source}: no such file or folder; give photos or folders of photos")
    folder = root / place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        index = index_album(root, subject, derived_folder(root, None), progress)
        here = {sha: path for sha, path in zip(index["sha256"], index["path"], strict=True) if sha}
        added, photos = Added(), list(_photos(sources))
        steps: Iterable[Path] = (
            progress(photos, len(photos), "Adding photos") if progress else photos
        )
        for photo in steps:
            if reason := _add(photo, root, folder, here, how, added):
                added.skipped.append((photo, reason))
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror}; put that right and give the same command again"
        ) from error
    return added


def _photos(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from (source / path for path in sorted(walk(source, every_file=True)))
        else:
            yield source


def _add(
    photo: Path, root: Path, folder: Path, here: dict[str, str], how: str | None, added: Added
) -> str:
    """Add one photo; the reason when it is skipped."""
    if photo.suffix.lower() not in SUFFIXES:
        return "not a photo, by its name"
    if photo.resolve().is_relative_to(root.resolve()):
        return "in the album already"
    try:
        content = photo.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 in here:
            return f"here already as {here[sha256]}"
        open_photo(content, 64)
    except PhotoError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    target = _free_name(folder, photo.name)
    if how != "copy" and _link(photo, target):
        added.linked += 1
    elif how == "link":
        return "cannot be hard-linked from another disk; leave --link out to copy"
    else:
        _copy(photo, target)
        added.copied += 1
    here[sha256] = target.relative_to(root).as_posix()
    return ""


def _free_name(folder: Path, name: str) -> Path:
    target, number = folder / name.lstrip("."), 1
    while target.exists():
        number += 1
        target = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return target


def _link(photo: Path, target: Path) -> bool:
    try:
        os.link(photo.resolve(), target)
    except OSError:
        return False
    return True


def _copy(photo: Path, target: Path) -> None:
    aside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(photo, aside)
        shutil.copystat(photo, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
