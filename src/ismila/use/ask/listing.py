"""The photos of a library, a folder or an address, and what tells one version of each from the next."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ismila.photos.buckets import asking, file_system, listing
from ismila.photos.files import write_aside
from ismila.photos.skipping import IGNORE_FILE, Skipping
from ismila.photos.walking import SUFFIXES, walk
from ismila.use.ask.library import version_of


class LibraryPhoto(NamedTuple):
    """A photo of a library.

    Attributes:
        path: below the library's root, with forward slashes.
        version: another one when its content is.
    """

    path: str
    version: str


@dataclass(frozen=True)
class Rules:
    """What is passed over, see `Skipping`."""

    exclude: tuple[str, ...] = ()
    hidden: bool = False


def photos_in(folder: Path, skipping: Skipping) -> Iterator[LibraryPhoto]:
    """The photos below a folder, in an order that stays the same."""
    for path in walk(folder, skipping=skipping):
        if version := version_of(folder / path):
            yield LibraryPhoto(path, f"{version.size_bytes} {version.mtime_ns}")


@contextmanager
def photos_at(address: str, rules: Rules) -> Iterator[tuple[Iterator[LibraryPhoto], Skipping]]:
    """The photos below an address, and what counts those that are passed over; the rules are those of a folder.

    Raises:
        UserError: the address cannot be read, or an .ismilaignore there not followed.
    """
    files = listing(address)
    fs, base = file_system(address)
    with tempfile.TemporaryDirectory(prefix="ismila-") as outline:
        for (
            path
        ) in files:  # rules are read from files: these few are fetched to where they are looked for
            if PurePosixPath(path).name == IGNORE_FILE:
                with asking(f"{address}/{path}"):
                    write_aside(Path(outline) / path, fs.cat_file(f"{base}/{path}"))
        skipping = Skipping(Path(outline), rules.exclude, rules.hidden)
        found = (LibraryPhoto(path, files[path].version) for path in taken(sorted(files), skipping))
        yield found, skipping


def taken(paths: Iterable[str], skipping: Skipping) -> Iterator[str]:
    """Those that `walk` would come to, if they lay in a folder; what is passed over is counted alike."""
    folders = {"": True}

    def takes(folder: str) -> bool:
        if folder not in folders:
            above = folder.rpartition("/")[0]
            folders[folder] = takes(above) and skipping.takes_folder(f"{folder}/")
        return folders[folder]

    for path in paths:
        is_photo = PurePosixPath(path).suffix.lower() in SUFFIXES
        if takes(path.rpartition("/")[0]) and is_photo and skipping.takes_file(path, True):
            yield path
