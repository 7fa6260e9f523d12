"""PhotoPrism, as its sources say; the token is an app password."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ismila.extras.servers.api import Json, Program, ServerClient, object_of, objects, text_of
from ismila.extras.servers.server import ALBUM, TAG, Mark, ServerError
from ismila.photos.http import FetchError
from ismila.photos.sources import same_name

PROGRAM = Program(
    name="PhotoPrism",
    key_name="PHOTOPRISM_TOKEN",
    make_key="Settings > Account > Apps and Devices",
    example="http://nas:2342",
    prefix="/api/v1",
)
HASHES_PER_CALL = 50
"""In one address: 2,000 characters."""
PER_PAGE = 1000
PHOTOS_PER_CALL = 200
"""In one call that changes an album."""
UID = re.compile(r"[0-9a-z]{4,42}")
SHA1 = re.compile(r"[0-9a-f]{40}")
ORIGINALS = "/"
"""Where a file lies that PhotoPrism did not make itself."""


@dataclass(frozen=True, kw_only=True)
class PhotoPrismPhoto:
    """A file of a photo of a name.

    Attributes:
        photo: UID of the photo that it is of.
        name: its path below the originals.
        why: what says so there; `mark` is the same where it is one that a scan could have set.
    """

    sha1: str
    photo: str
    name: str
    why: str
    mark: Mark | None


class PhotoPrism:
    """The photos on a PhotoPrism server. A `TAG` is a label there.

    Args:
        url: as `server_url` gives it.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._api = ServerClient(url, PROGRAM, {"Authorization": f"Bearer {token}"})
        self._download_token = ""

    def check(self) -> None:
        """See `PhotoServer`."""
        self._api.require("/status", "status", str)

    def find(self, sha1s: Sequence[str]) -> dict[str, str]:
        """See `PhotoServer`; what is in the archive the server does not have."""
        found: dict[str, str] = {}
        for start in range(0, len(sha1s), HASHES_PER_CALL):
            some = "|".join(sha1s[start : start + HASHES_PER_CALL])
            for row in self._rows({"hash": some}):
                if UID.fullmatch(text_of(row, "UID")):
                    found.setdefault(text_of(row, "Hash"), text_of(row, "UID"))
        return found

    def mark_id(self, mark: Mark) -> str | None:
        """See `PhotoServer`."""
        for one in self._marks(mark.kind):
            if same_name(_title(one, mark.kind), mark.name):
                return _mark_id(one, mark.kind)
        return None

    def make_mark(self, mark: Mark) -> str:
        """See `PhotoServer`. A label comes into being with the first photo that carries it."""
        if mark.kind == TAG:
            return ""
        made = self._api.call("POST", "/albums", {"Title": mark.name})
        uid = text_of(made, "UID") if isinstance(made, dict) else ""
        if not UID.fullmatch(uid):
            raise self._api.another_program()
        return uid

    def marked(self, mark: Mark, mark_id: str) -> Iterator[str]:
        """See `PhotoServer`."""
        seen: set[str] = set()
        for row in self._rows({"label" if mark.kind == TAG else "s": mark_id}):
            uid = text_of(row, "UID")
            if UID.fullmatch(uid) and uid not in seen:
                seen.add(uid)
                yield uid

    def put(self, mark: Mark, mark_id: str, photos: Sequence[str]) -> dict[str, str]:
        """See `PhotoServer`."""
        if mark.kind != TAG:
            return self._change_album("POST", mark_id, photos)
        return _one_by_one(photos, lambda photo: self._set_label(photo, mark.name))

    def take(self, mark: Mark, mark_id: str, photos: Sequence[str]) -> dict[str, str]:
        """See `PhotoServer`."""
        if mark.kind != TAG:
            return self._change_album("DELETE", mark_id, photos)
        return _one_by_one(photos, lambda photo: self._take_label(photo, mark.name))

    def _set_label(self, photo: str, name: str) -> None:
        label = {"Name": name, "Priority": 10, "Uncertainty": 0}
        answer = self._api.call("POST", f"/photos/{photo}/label", label)
        if not _label_ids(answer, name):  # else nobody could tell later that it is ours
            raise ServerError(
                f"PhotoPrism gives a label called {name} another name; give one of letters and "
                "spaces: --tag"
            )

    def _take_label(self, photo: str, name: str) -> None:
        for label_id in _label_ids(self._api.call("GET", f"/photos/{photo}"), name):
            self._api.call("DELETE", f"/photos/{photo}/label/{label_id}")

    def names(self) -> list[str]:
        """People, labels and albums, each name once."""
        people = (text_of(person, "Name") for person in self._people())
        labels = (_title(label, TAG) for label in self._marks(TAG))
        albums = (_title(album, ALBUM) for album in self._marks(ALBUM))
        return sorted({name for names in (people, labels, albums) for name in names if name})

    def named(self, name: str) -> Iterator[PhotoPrismPhoto]:
        """Files of photos that a person, label, album or keyword of this name has, for each."""
        for why, query, mark in self._queries(name):
            for row in self._rows(query):
                sha1 = text_of(row, "Hash")
                if SHA1.fullmatch(sha1) and text_of(row, "FileRoot") == ORIGINALS:
                    photo = text_of(row, "UID")
                    name_there = text_of(row, "FileName")
                    yield PhotoPrismPhoto(
                        sha1=sha1, photo=photo, name=name_there, why=why, mark=mark
                    )

    def original(self, sha1: str) -> bytes:
        """A file by its SHA-1. Raises FetchError, ServerError.

        PhotoPrism wants a token of its own in the address of a download. It is no password: it comes
        with every search and ends with the session.
        """
        if not self._download_token:
            config = self._api.call("GET", "/config")
            self._download_token = (
                text_of(config, "downloadToken") if isinstance(config, dict) else ""
            )
        if not self._download_token:
            raise FetchError("the token may not download")
        return self._api.photo(f"/dl/{sha1}", {"t": self._download_token})

    def _queries(self, name: str) -> Iterator[tuple[str, Mapping[str, str], Mark | None]]:
        """Why its photos are of this name, what to search for, and the mark where that is one."""
        for person in self._people():
            if same_name(text_of(person, "Name"), name):
                yield f"person {text_of(person, 'Name')}", {"subject": text_of(person, "UID")}, None
        for kind, word, search in ((TAG, "label", "label"), (ALBUM, "album", "s")):
            for one in self._marks(kind):
                title = _title(one, kind)
                if same_name(title, name):
                    yield f"{word} {title}", {search: _mark_id(one, kind)}, Mark(kind, title)
        keyword = "".join(c for c in name.lower() if c.isalnum() or c in " -").strip()
        if keyword:  # a label is one of its photos' keywords, too
            yield f"keyword {keyword}", {"keywords": keyword}, Mark(TAG, name)

    def _people(self) -> Iterator[Json]:
        yield from self._pages("/subjects", {"type": "person"})

    def _marks(self, kind: str) -> Iterator[Json]:
        if kind == TAG:
            return self._pages("/labels", {"all": "true"})
        return self._pages("/albums", {"type": "album"})

    def _rows(self, query: Mapping[str, str]) -> Iterator[Json]:
        """A row for each file that a query finds."""
        return self._pages("/photos", {**query, "merged": "false", "order": "added"})

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        offset = 0
        while True:
            params = {**query, "count": str(PER_PAGE), "offset": str(offset)}
            answer, headers = self._api.call_with_headers("GET", path, params=params)
            if not isinstance(answer, list):
                raise self._api.another_program()
            self._download_token = headers.get("X-Download-Token") or self._download_token
            yield from objects(answer)
            if len(answer) < PER_PAGE:
                return
            offset += len(answer)

    def _change_album(self, method: str, uid: str, photos: Sequence[str]) -> dict[str, str]:
        for start in range(0, len(photos), PHOTOS_PER_CALL):
            some = list(photos[start : start + PHOTOS_PER_CALL])
            answer = self._api.call(method, f"/albums/{uid}/photos", {"photos": some})
            if not isinstance(answer, dict):
                raise self._api.another_program()
        return {}


def _one_by_one(photos: Sequence[str], change: Callable[[str], None]) -> dict[str, str]:
    """Change photos by a call each; id -> why not, for those that are there no more."""
    failed: dict[str, str] = {}
    for photo in photos:
        try:
            change(photo)
        except ServerError as error:
            if error.status != 404:
                raise
            failed[photo] = "no longer on the server"
    return failed


def _label_ids(photo: object, name: str) -> list[int]:
    """Ids of a photo's labels of this name."""
    labels = objects(photo.get("Labels") if isinstance(photo, dict) else None)
    ids = [
        label.get("LabelID")
        for label in labels
        if same_name(text_of(object_of(label, "Label"), "Name"), name)
    ]
    return [label_id for label_id in ids if isinstance(label_id, int)]


def _title(one: Json, kind: str) -> str:
    return text_of(one, "Name" if kind == TAG else "Title")


def _mark_id(one: Json, kind: str) -> str:
    """What a search for its photos is given; a label that was renamed has a slug of its own."""
    if kind == TAG:
        return text_of(one, "CustomSlug") or text_of(one, "Slug")
    return text_of(one, "UID")
