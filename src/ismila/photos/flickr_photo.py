"""A photo in Flickr's listings -> a record: nothing in it need be there, or be what it should."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ismila.photos.http import printable

MIN_SIDE_PX = 320
"""The size that is fetched is the smallest whose shorter side has at least this."""
SIZES = {
    "t": 100,
    "m": 240,
    "n": 320,
    "w": 400,
    "z": 640,
    "c": 800,
    "l": 1024,
    "h": 1600,
    "k": 2048,
    "o": 10**6,
}
"""Flickr's suffix of a size -> its longer side in pixels, for listings that do not say."""
Json = Mapping[str, object]
"""An object of Flickr's JSON, in which anything may be missing or of another type."""


@dataclass(frozen=True)
class FlickrRecord:
    """What Flickr says of a photo.

    Attributes:
        id: digits only.
        tags: normalised as Flickr does: lower case, letters and digits.
        taken_at: None when Flickr does not know.
        page: the photo's page for people.
        url: of the chosen size; empty when the listing has none.
    """

    id: str
    owner: str
    title: str
    tags: tuple[str, ...]
    licence: str
    taken_at: datetime | None
    page: str
    url: str


def record_of(photo: Json, user_id: str) -> FlickrRecord | str:
    """What a listing says of a photo; a str says why it cannot be used."""
    photo_id = str(photo.get("id", ""))
    if not re.fullmatch(r"[0-9]{1,20}", photo_id):
        return f"{printable(photo_id)[:40]!r}: the photo's id is not a number"
    if photo.get("media", "photo") != "photo":
        return f"{photo_id}: a {printable(str(photo['media']))[:20]}, not a photo"
    url = choose_url(photo)
    if not url:
        return f"{photo_id}: Flickr gives no address for it"
    owner = str(photo.get("owner") or user_id)
    owner = owner if re.fullmatch(r"[\w@.-]{1,64}", owner) else user_id
    title = photo.get("title", "")
    title = title.get("_content", "") if isinstance(title, dict) else title
    tags = str(photo.get("tags") or "").split()
    return FlickrRecord(
        id=photo_id,
        owner=owner,
        title=printable(str(title))[:300],
        tags=tuple(dict.fromkeys(filter(None, map(normal_tag, tags)))),
        licence=printable(str(photo.get("license", "")))[:40],
        taken_at=_taken_at(photo),
        page=f"https://www.flickr.com/photos/{owner}/{photo_id}/",
        url=url,
    )


def _taken_at(photo: Json) -> datetime | None:
    if str(photo.get("datetakenunknown", "0")) not in ("0", "", "False"):
        return None
    try:
        return datetime.strptime(str(photo.get("datetaken")), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None


def choose_url(photo: Json) -> str:
    """Address of the smallest size with a shorter side of at least 320 px, or else of the largest.

    Empty when the listing has none.
    """
    sizes: list[tuple[int, str]] = []
    for suffix, longer_px in SIZES.items():
        url = str(photo.get(f"url_{suffix}") or "")
        if not url.startswith(("http://", "https://")) or not url.isascii():
            continue
        sides_px = (number_in(photo, f"width_{suffix}"), number_in(photo, f"height_{suffix}"))
        sizes.append((min(sides_px) or longer_px * 2 // 3, url))
    enough = [size for size in sizes if size[0] >= MIN_SIDE_PX]
    return min(enough)[1] if enough else max(sizes, default=(0, ""))[1]


def normal_tag(tag: str) -> str:
    """As Flickr compares tags: lower case, letters and digits only."""
    return "".join(c for c in tag.lower() if c.isalnum())


def number_in(parent: Json, name: str) -> int:
    """A count, which Flickr writes as a number or a text; 0 when it is neither."""
    text = str(parent.get(name, ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
