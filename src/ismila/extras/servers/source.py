"""Immich and PhotoPrism as sources: who is in which photo, by people, tags, labels and albums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from ismila.extras.servers import immich, photoprism
from ismila.extras.servers.immich import Immich
from ismila.extras.servers.marks import OwnMarks
from ismila.extras.servers.photoprism import PhotoPrism
from ismila.extras.servers.programs import clear_text_warning, open_server
from ismila.photos.http import FetchError, printable
from ismila.photos.images import PhotoError
from ismila.photos.names import counted
from ismila.photos.sources import GoneError, Source, SourcePhoto
from ismila.photos.sources.opening import SourceOptions

Photo = TypeVar("Photo", immich.ImmichPhoto, photoprism.PhotoPrismPhoto)
Server = TypeVar("Server", bound=Immich | PhotoPrism)
LONGEST_NAME = 100
"""Characters of a file's name that are kept: in an album it may get a number, too."""


def open_immich(kind: str, given: str, _: SourceOptions) -> Source:
    """An Immich server. Raises UserError."""
    server = open_server(kind, given)
    if not isinstance(server, Immich):
        raise ValueError(kind)
    return FromImmich(server)


def open_photoprism(kind: str, given: str, _: SourceOptions) -> Source:
    """A PhotoPrism server. Raises UserError."""
    server = open_server(kind, given)
    if not isinstance(server, PhotoPrism):
        raise ValueError(kind)
    return FromPhotoPrism(server)


class _OfServer(Generic[Server]):
    """What is the same of both servers.

    Attributes:
        kind, where, notes: see `Source`.
    """

    kind: str

    def __init__(self, server: Server) -> None:
        server.check()
        self.where = server.url
        self.notes = _warnings(self.kind, server.url)
        self._server: Server = server

    def names(self) -> list[str]:
        """People, tags or labels, and albums."""
        return self._server.names()


class FromImmich(_OfServer[Immich]):
    """The photos of an Immich server by their names."""

    kind = "immich"

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """See `Source`."""
        photos = self._server.named(name)
        for photo in _said_by_people(self, photos, lambda photo: (photo.id, photo.id)):
            yield SourcePhoto(
                key=photo.id,
                name=_file_name(photo.name, photo.id),
                why=printable(photo.why),
                fetch=partial(_fetch, self._server, photo.id),
                box=photo.box,
                problem="offline on the server" if photo.is_offline else "",
            )


class FromPhotoPrism(_OfServer[PhotoPrism]):
    """The photos of a PhotoPrism server by their names."""

    kind = "photoprism"

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """See `Source`."""
        photos = self._server.named(name)
        for photo in _said_by_people(self, photos, lambda photo: (photo.photo, photo.sha1)):
            yield SourcePhoto(
                key=photo.sha1,
                name=_file_name(photo.name, photo.sha1),
                why=printable(photo.why),
                fetch=partial(_fetch, self._server, photo.sha1),
            )


def _said_by_people(
    source: FromImmich | FromPhotoPrism,
    photos: Iterator[Photo],
    ids_of: Callable[[Photo], tuple[str, str]],
) -> Iterator[Photo]:
    """Each photo once, without those that are of the name because a scan has said so there.

    Args:
        ids_of: gives the id that a mark knows a photo by, and the one that it comes once by.
    """
    own = OwnMarks(source.where)
    seen: set[str] = set()
    guessed: set[str] = set()
    for photo in photos:
        marked_as, key = ids_of(photo)
        if photo.mark and own.has(photo.mark, marked_as):
            guessed.add(key)
        elif key not in seen:
            seen.add(key)
            yield photo
    if left := len(guessed - seen):
        source.notes.append(
            f"left out: {counted(left, 'photo')} that only ismila itself has marked there"
        )


def _warnings(kind: str, url: str) -> list[str]:
    warning = clear_text_warning(kind, url)
    return [warning] if warning else []


def _file_name(path: str, otherwise: str) -> str:
    """The name that a server gives, without folders and what no file's name should hold."""
    name = PurePosixPath(printable(path).replace("\\", "/")).name.strip()
    stem = PurePosixPath(name).stem
    suffix = PurePosixPath(name).suffix
    if len(suffix) > 10 or not stem.strip("."):
        return otherwise
    return f"{stem[:LONGEST_NAME]}{suffix}"


def _fetch(server: Immich | PhotoPrism, photo_id: str) -> bytes:
    try:
        return server.original(photo_id)
    except FetchError as error:
        if str(error) == "status 404":
            raise GoneError("not there any more") from error
        server.check()  # else each of the other photos is waited for in vain
        raise PhotoError(str(error)) from error
