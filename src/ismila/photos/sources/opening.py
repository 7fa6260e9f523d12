"""What `ismila add --from KIND SOURCE` means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeAlias

from ismila.photos import UserError
from ismila.photos.names import at_home
from ismila.photos.progress import Progress, unseen
from ismila.photos.source_kinds import openers
from ismila.photos.sources import Source
from ismila.plugins import source_servers

EXAMPLE = "http://nas:2342"
PORT = re.compile(r":[0-9]+(/|$)")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a person says of how a source is read.

    Attributes:
        photos: where the photos lie now, of a source that knows them by another machine's paths.
        exclude, hidden: see `Skipping`.
        progress: shows how far the reading of a large folder is.
    """

    photos: Path | None = None
    exclude: Sequence[str] = ()
    hidden: bool = False
    progress: Progress = unseen


Opener: TypeAlias = Callable[[str, str, SourceOptions], Source]
"""Takes the kind, what was given, and how it is to be read."""


def open_source(kind: str, given: str, wanted: SourceOptions) -> Source:
    """The source that a person means.

    Args:
        given: a folder, a file, or a server's address.

    Raises:
        UserError: there is no such thing, or it is something else.
    """
    places = openers()
    servers = source_servers()
    is_either = kind in places and kind in servers
    if kind not in servers or (is_either and _exists(given)):
        return _opener(places[kind])(kind, given, wanted)
    if is_either and not _is_address(given):
        raise UserError(f"{given}: no such folder, and no server's address, such as {EXAMPLE}")
    if wanted.photos is not None:
        raise UserError("--photos: a server sends its photos itself; leave it out")
    return _opener(servers[kind])(kind, given, wanted)


def _opener(where: str) -> Opener:
    opener: Opener = resolve_name(where)
    return opener


def _is_address(given: str) -> bool:
    return "://" in given or PORT.search(given) is not None


def _exists(given: str) -> bool:
    return os.path.exists(at_home(given))  # noqa: PTH110 - which no name is too long for


def existing(given: str) -> Path:
    """A file or folder that a person gave. Raises UserError where there is none."""
    if not _exists(given):
        raise UserError(f"{given}: no such file or folder")
    return at_home(given)


def existing_folder(given: str) -> Path:
    """A folder that a person gave. Raises UserError where there is none."""
    path = existing(given)
    if not path.is_dir():
        raise UserError(f"{given}: not a folder; {_instead(path)}")
    return path


def _instead(path: Path) -> str:
    packed = path.suffix.lower() in (".zip", ".tgz", ".gz", ".tar")
    return "unpack it, all of its parts into one folder, and give that" if packed else "give one"
