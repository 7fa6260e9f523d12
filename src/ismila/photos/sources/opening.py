"""What `ismila add --from KIND SOURCE` means."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeAlias

from ismila.photos import UserError
from ismila.photos.index import Progress, unseen
from ismila.photos.names import at_home
from ismila.photos.source_kinds import openers
from ismila.photos.sources import Source


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
    opener: Opener = resolve_name(openers()[kind])
    return opener(kind, given, wanted)


def existing(given: str) -> Path:
    """A file or folder that a person gave. Raises UserError where there is none."""
    path = at_home(given)
    if not os.path.exists(path):  # noqa: PTH110 - which no name is too long for
        raise UserError(f"{given}: no such file or folder")
    return path


def existing_folder(given: str) -> Path:
    """A folder that a person gave. Raises UserError where there is none."""
    path = existing(given)
    if not path.is_dir():
        raise UserError(f"{given}: not a folder; {_instead(path)}")
    return path


def _instead(path: Path) -> str:
    packed = path.suffix.lower() in (".zip", ".tgz", ".gz", ".tar")
    return "unpack it, all of its parts into one folder, and give that" if packed else "give one"
