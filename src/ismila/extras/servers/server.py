"""Photo servers: where people look at their photos, and where they have named who is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ismila.photos import AwayError

TAG = "tag"
ALBUM = "album"


class ServerError(AwayError):
    """A server that says no, or nothing that can be used: one line with the remedy.

    Attributes:
        status: of HTTP; 0 where there was no answer, or one of another program.
    """

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Mark:
    """What photos on a server can carry.

    Attributes:
        kind: `TAG` (PhotoPrism calls it a label) or `ALBUM`.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class PhotoServer(Protocol):
    """What Immich and PhotoPrism can both do. Ids are the server's own, texts without meaning.

    Each method raises ServerError where the server says no, or nothing that can be used.
    """

    url: str
    """In the way in which it is written down: without a slash at its end."""

    def check(self) -> None:
        """Make sure that it is the program it should be."""
        ...

    def find(self, sha1s: Sequence[str]) -> Mapping[str, str]:
        """SHA-1 of a file, 40 hex digits -> the photo's id, for those that the server has."""
        ...

    def mark_id(self, mark: Mark) -> str | None:
        """The mark's id; None where there is no such mark."""
        ...

    def make_mark(self, mark: Mark) -> str:
        """The id of a mark that was not there."""
        ...

    def marked(self, mark: Mark, mark_id: str) -> Iterator[str]:
        """Ids of the photos that carry the mark."""
        ...

    def put(self, mark: Mark, mark_id: str, photos: Sequence[str]) -> Mapping[str, str]:
        """Let photos carry the mark; id -> why not, for those that do not."""
        ...

    def take(self, mark: Mark, mark_id: str, photos: Sequence[str]) -> Mapping[str, str]:
        """Take the mark from photos that carry it; id -> why not, for those that still do."""
        ...
