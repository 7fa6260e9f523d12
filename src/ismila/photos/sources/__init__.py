"""Where people have their photos named already: each program, folder or server is asked in the same way."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ismila.photos.images import PhotoError
from ismila.photos.names import as_text, is_text

if TYPE_CHECKING:
    from ismila.photos.boxes import Box


MAX_BYTES = 2**30
"""Of one photo's file: a TIFF of as many pixels as a photo may have takes 600 MB."""


class GoneError(PhotoError):
    """A photo that the source names and that is not there any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePhoto:
    """A photo that a source says shows what it was asked for.

    Attributes:
        key: what the source calls it, for good: the same photo has it in the next call, too.
        name: of its file, with its suffix.
        why: what the source says of it, in a few words: "person Mila", "tag People/Mila".
        path: its file, where that lies on this machine.
        fetch: brings its bytes where it does not, no more than one photo may have. Raises
            PhotoError, or UserError where asking for the other photos is no use either.
        box: where in the upright photo the subject is, where the source says so.
        problem: why it cannot be had, where the source knows that already.
    """

    key: str
    name: str
    why: str
    path: Path | None = None
    fetch: Callable[[], bytes] | None = None
    box: Box | None = None
    problem: str = ""

    @property
    def shown(self) -> str:
        """What a person is told of which photo this is."""
        return as_text(str(self.path or self.name))

    def read(self) -> bytes:
        """Its bytes. Raises PhotoError, GoneError where it is not there any more."""
        if self.problem:
            raise PhotoError(self.problem)
        if not is_text(self.name):
            raise PhotoError("its name is not UTF-8; rename it")
        if self.fetch is not None:
            return self.fetch()
        if self.path is None:
            raise ValueError(f"{self.key}: a photo has a path or a way to fetch it")
        return _content(self.path)


class Source(Protocol):
    """A place that knows who is in which photo. Nothing in it is ever changed.

    Attributes:
        kind: what `--from` calls it.
        where: the folder, file or address that was given.
        notes: what a person should know after `photos`, a line each: what was passed over.
    """

    @property
    def kind(self) -> str: ...

    @property
    def where(self) -> str: ...

    @property
    def notes(self) -> list[str]: ...

    def names(self) -> list[str] | None:
        """Names that can be asked for, each once; None where any will do.

        Raises:
            UserError: it cannot be read.
        """
        ...

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """The photos of a name (compared by `same_name`); none for one it does not know.

        Raises:
            UserError: it cannot be read.
        """
        ...


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same but for upper and lower case and the way accents are encoded."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def _content(path: Path) -> bytes:
    try:
        if not path.exists():
            raise GoneError("not there any more")
        if not path.is_file():  # a pipe would never end
            raise PhotoError("not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise PhotoError("too large a file")
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}") from error
