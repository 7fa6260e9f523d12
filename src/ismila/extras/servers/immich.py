"""Immich, as its OpenAPI of 3.0 says (https://api.immich.app)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ismila.extras.servers.api import Json, Program, ServerClient, object_of, objects, text_of
from ismila.extras.servers.server import ALBUM, TAG, Mark
from ismila.photos.boxes import Box
from ismila.photos.sources import same_name

PROGRAM = Program(
    name="Immich",
    key_name="IMMICH_API_KEY",
    make_key="Account Settings > API Keys",
    example="http://nas:2283",
    prefix="/api",
)
ASSETS_PER_CALL = 500
"""Photos in one call that looks for them, marks them or takes marks away."""
PER_PAGE = 1000
"""Of a search; the most that Immich gives."""
MOST_PAGES = 100_000
ID = re.compile(r"[0-9a-fA-F-]{36}")
"""A UUID: what becomes part of an address is nothing else."""


@dataclass(frozen=True, kw_only=True)
class ImmichPhoto:
    """A photo of a name.

    Attributes:
        why: what says so there; `mark` is the same where it is one that a scan could have set.
        box: where in the upright photo, where a face says that.
        is_offline: of an external library whose file is not there now.
    """

    id: str
    name: str
    why: str
    mark: Mark | None
    box: Box | None
    is_offline: bool


class Immich:
    """One user's photos on an Immich server.

    Args:
        url: as `server_url` gives it.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._api = ServerClient(url, PROGRAM, {"x-api-key": key})

    def check(self) -> None:
        """See `PhotoServer`."""
        self._api.require("/server/version", "major", int)

    def find(self, sha1s: Sequence[str]) -> dict[str, str]:
        """See `PhotoServer`; photos in the bin are none that the server has.

        A photo of an external library has no checksum of its content there, but the SHA-1 of
        `path:` and its path on the server.
        """
        found: dict[str, str] = {}
        for some in _portions(sha1s):
            asked = {"assets": [{"id": sha1, "checksum": sha1} for sha1 in some]}
            answer = self._api.call("POST", "/assets/bulk-upload-check", asked)
            for one in objects(_required(self._api, answer, "results")):
                if ID.fullmatch(text_of(one, "assetId")) and one.get("isTrashed") is not True:
                    found[text_of(one, "id")] = text_of(one, "assetId")
        return found

    def mark_id(self, mark: Mark) -> str | None:
        """See `PhotoServer`."""
        if mark.kind == TAG:
            known = self._list("/tags")
            ids = [text_of(tag, "id") for tag in known if text_of(tag, "value") == mark.name]
        else:
            known = self._list("/albums")
            ids = [text_of(one, "id") for one in known if text_of(one, "albumName") == mark.name]
        return ids[0] if ids and ID.fullmatch(ids[0]) else None

    def make_mark(self, mark: Mark) -> str:
        """See `PhotoServer`."""
        made: object
        if mark.kind == TAG:
            made = next(objects(self._api.call("PUT", "/tags", {"tags": [mark.name]})), {})
        else:  # asked once: Immich makes a second album of the same name
            made = self._api.call("POST", "/albums", {"albumName": mark.name}, attempts=1)
        mark_id = text_of(made, "id") if isinstance(made, dict) else ""
        if not ID.fullmatch(mark_id):
            raise self._api.another_program()
        return mark_id

    def marked(self, mark: Mark, mark_id: str) -> Iterator[str]:
        """See `PhotoServer`."""
        for asset in self._search({"tagIds" if mark.kind == TAG else "albumIds": [mark_id]}):
            if ID.fullmatch(text_of(asset, "id")):
                yield text_of(asset, "id")

    def put(self, mark: Mark, mark_id: str, photos: Sequence[str]) -> dict[str, str]:
        """See `PhotoServer`."""
        return self._change("PUT", mark, mark_id, photos)

    def take(self, mark: Mark, mark_id: str, photos: Sequence[str]) -> dict[str, str]:
        """See `PhotoServer`."""
        return self._change("DELETE", mark, mark_id, photos)

    def names(self) -> list[str]:
        """People, tags and albums, each name once."""
        people = (text_of(person, "name") for person in self._people())
        tags = (text_of(tag, "value") for tag in self._list("/tags"))
        albums = (text_of(album, "albumName") for album in self._list("/albums"))
        return sorted({name for names in (people, tags, albums) for name in names if name})

    def named(self, name: str) -> Iterator[ImmichPhoto]:
        """Photos that a person, tag or album of this name has; for each of these."""
        for why, query, mark in self._queries(name):
            person_ids = query.get("personIds")
            person = str(person_ids[0]) if isinstance(person_ids, list) else ""
            for asset in self._search({**query, "type": "IMAGE", "withPeople": bool(person)}):
                if ID.fullmatch(text_of(asset, "id")):
                    yield ImmichPhoto(
                        id=text_of(asset, "id"),
                        name=text_of(asset, "originalFileName"),
                        why=why,
                        mark=mark,
                        box=_box_of(asset, person),
                        is_offline=asset.get("isOffline") is True,
                    )

    def original(self, asset_id: str) -> bytes:
        """The photo's file. Raises FetchError, ServerError."""
        return self._api.photo(f"/assets/{asset_id}/original")

    def _queries(self, name: str) -> Iterator[tuple[str, Json, Mark | None]]:
        """Why its photos are of this name, what to search for, and the mark where that is one."""
        for person in self._people():
            if same_name(text_of(person, "name"), name):
                query: Json = {"personIds": [text_of(person, "id")]}
                yield f"person {text_of(person, 'name')}", query, None
        for tag in self._list("/tags"):
            value = text_of(tag, "value")
            if same_name(value, name) or same_name(text_of(tag, "name"), name):
                yield f"tag {value}", {"tagIds": [text_of(tag, "id")]}, Mark(TAG, value)
        for album in self._list("/albums"):
            title = text_of(album, "albumName")
            if same_name(title, name):
                yield f"album {title}", {"albumIds": [text_of(album, "id")]}, Mark(ALBUM, title)

    def _people(self) -> Iterator[Json]:
        for page in range(1, MOST_PAGES):
            params = {"page": str(page), "size": str(PER_PAGE), "withHidden": "true"}
            answer = self._api.call("GET", "/people", params=params)
            yield from objects(_required(self._api, answer, "people"))
            if not isinstance(answer, dict) or answer.get("hasNextPage") is not True:
                return

    def _list(self, path: str) -> list[Json]:
        answer = self._api.call("GET", path)
        if not isinstance(answer, list):
            raise self._api.another_program()
        return list(objects(answer))

    def _search(self, query: Json) -> Iterator[Json]:
        """The assets that a query finds, page by page."""
        page = 1
        while page < MOST_PAGES:
            asked = {**query, "page": page, "size": PER_PAGE}
            answer = self._api.call("POST", "/search/metadata", asked)
            assets = object_of(answer, "assets")
            items = list(objects(_required(self._api, assets, "items")))
            yield from items
            if not items or not assets.get("nextPage"):
                return
            page += 1

    def _change(
        self, method: str, mark: Mark, mark_id: str, photos: Sequence[str]
    ) -> dict[str, str]:
        path = f"/{'tags' if mark.kind == TAG else 'albums'}/{mark_id}/assets"
        failed: dict[str, str] = {}
        for some in _portions(photos):
            answer = self._api.call(method, path, {"ids": list(some)})
            if not isinstance(answer, list):
                raise self._api.another_program()
            done = {text_of(one, "id"): one for one in objects(answer)}
            for photo in some:
                one = done.get(photo, {})
                reason = text_of(one, "error") or "unknown"
                is_as_wanted = one.get("success") is True or reason == _NO_CHANGE[method]
                if not is_as_wanted:
                    failed[photo] = f"Immich says: {reason}"
        return failed


_NO_CHANGE = {"PUT": "duplicate", "DELETE": "not_found"}
"""What Immich calls it when a photo was as it should be already."""


def path_checksum(path: str) -> str:
    """The checksum that Immich keeps of a photo at this path, in an external library."""
    return hashlib.sha1(f"path:{path}".encode()).hexdigest()


def _portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), ASSETS_PER_CALL):
        yield items[start : start + ASSETS_PER_CALL]


def _required(api: ServerClient, answer: object, name: str) -> object:
    value = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(value, list):
        raise api.another_program()
    return value


def _box_of(asset: Json, person_id: str) -> Box | None:
    """Where a person is; None where no face says that, or several do."""
    boxes = [
        _box(face)
        for person in objects(asset.get("people"))
        if person_id and text_of(person, "id") == person_id
        for face in objects(person.get("faces"))
    ]
    return boxes[0] if len(boxes) == 1 else None


def _box(face: Json) -> Box | None:
    """A face's box in [0, 1]; None where its numbers make none."""
    names = (
        "imageWidth",
        "imageHeight",
        "boundingBoxX1",
        "boundingBoxY1",
        "boundingBoxX2",
        "boundingBoxY2",
    )
    values = [face.get(name) for name in names]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(names) or min(numbers[:2]) <= 0:
        return None
    width, height, *corners = numbers
    sides = (width, height, width, height)
    x0, y0, x1, y1 = (
        min(max(at / side, 0.0), 1.0) for at, side in zip(corners, sides, strict=True)
    )
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
