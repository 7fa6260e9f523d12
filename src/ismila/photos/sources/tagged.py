"""A tree of photos whose side files, or who themselves, say who is in them, whichever program wrote that.

XMP side files by both names, XMP and IPTC in the photos, and exiftool's JSON, which osxphotos writes beside
what it exports from Apple Photos.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ismila.photos.boxes import Box
from ismila.photos.images import PhotoError, is_stored_upright, read_embedded
from ismila.photos.sources import SourcePhoto, same_name
from ismila.photos.sources.folder import Below
from ismila.photos.sources.opening import SourceOptions, existing_folder
from ismila.photos.walking import SUFFIXES
from ismila.photos.xmp import NotXmpError, Tag, box_around, read_tags

SIDE_SUFFIXES = (".xmp", ".json")
MAX_SIDE_BYTES = 2**24
"""Of a side file; those of raw developers with masks take some 100 kB."""
KINDS = {
    "personinimage": "person",
    "persons": "person",
    "keywords": "tag",
    "subject": "tag",
    "tagslist": "tag",
    "hierarchicalsubject": "tag",
    "lastkeywordxmp": "tag",
    "albums": "album",
}
"""exiftool's name of a list, and osxphotos' own, in lower case and without its group -> what it holds."""
UNKNOWN = "_UNKNOWN_"
"""How osxphotos calls a face that nobody has named."""


class _TaggedPhoto(NamedTuple):
    path: Path
    tags: list[Tag]


class Tagged:
    """Photos of a folder by their tags.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, kind: str, given: str, wanted: SourceOptions) -> None:
        self.kind = kind
        self._root = existing_folder(given)
        self.where = str(self._root.absolute())
        self.notes: list[str] = []
        self._progress = wanted.progress
        self._below = Below(self._root, wanted.exclude, wanted.hidden)
        self._found: list[_TaggedPhoto] | None = None
        self._bad: list[str] = []

    def names(self) -> list[str]:
        """Of all persons, regions and tags, without what stands above them."""
        return sorted({tag.name for found in self._all() for tag in found.tags})

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """Those of a name, which may be given with what stands above it, as `Pets/Mila`."""
        for path, tags in self._all():
            meant = [tag for tag in tags if is_called(tag, name)]
            if meant:
                yield self._photo(path, meant)
        yield from self._below.unread()

    def _photo(self, path: Path, meant: list[Tag]) -> SourcePhoto:
        box = next((tag.box for tag in meant if tag.box), None)
        return SourcePhoto(
            key=path.relative_to(self._root).as_posix(),
            name=path.name,
            why=f"{meant[0].kind} {meant[0].text}",
            path=path,
            box=shown_box(path, box),
        )

    def _all(self) -> list[_TaggedPhoto]:
        """Every photo that has a tag, and every one that is named by a side file and not there."""
        if self._found is None:
            self._found = [found for found in self._read() if found.tags]
            self.notes += self._below.notes()
            if self._bad:
                more = f", and {len(self._bad) - 1} more" if len(self._bad) > 1 else ""
                self.notes.append(f"side files that cannot be read: {self._bad[0]}{more}")
        return self._found

    def _read(self) -> Iterator[_TaggedPhoto]:
        files = set(self._below.files())
        for file in self._progress(sorted(files), len(files), "Reading tags"):
            name = Path(file)
            if name.suffix.lower() in SUFFIXES:
                path = self._root / file
                yield _TaggedPhoto(path, [*self._beside(name, files), *_embedded(path)])
            elif name.suffix.lower() in SIDE_SUFFIXES and name.stem not in files:
                photo = name.with_suffix("")
                if photo.suffix.lower() in SUFFIXES and photo.as_posix() not in files:
                    yield _TaggedPhoto(self._root / photo, self._side(self._root / file))

    def _beside(self, photo: Path, files: set[str]) -> Iterator[Tag]:
        """What the photo's side files say: `a.jpg.xmp` and `a.xmp`, `a.jpg.json` and `a.json`."""
        for suffix in SIDE_SUFFIXES:
            for side in (photo.with_name(photo.name + suffix), photo.with_suffix(suffix)):
                if side.as_posix() in files:
                    yield from self._side(self._root / side)

    def _side(self, side: Path) -> list[Tag]:
        try:
            if side.stat().st_size > MAX_SIDE_BYTES:
                raise NotXmpError("too large for a side file")
            content = side.read_bytes()
            return read_tags(content) if side.suffix.lower() == ".xmp" else json_tags(content)
        except (NotXmpError, ValueError, RecursionError) as error:
            self._bad.append(f"{side}: {error}")
        except OSError as error:
            self._bad.append(f"{side}: {error.strerror}")
        return []


def is_called(tag: Tag, name: str) -> bool:
    """Whether a tag is that of a name, which may be given with what stands above it."""
    return same_name(tag.name, name) or same_name(
        tag.text.replace("|", "/"), name.replace("|", "/")
    )


def shown_box(path: Path, stored: Box | None) -> Box | None:
    """A box as it lies in the upright photo; None of one that is stored turned: programs do not agree on those."""
    try:
        return stored if stored and is_stored_upright(path) else None
    except PhotoError:
        return None


def _embedded(path: Path) -> list[Tag]:
    """What stands in the photo itself."""
    try:
        embedded = read_embedded(path)
        tags = read_tags(embedded.xmp) if embedded.xmp else []
    except (PhotoError, NotXmpError):  # who adds the photo says what is wrong with it
        return []
    return [
        *tags,
        *(Tag("tag", keyword.strip()) for keyword in embedded.keywords if keyword.strip()),
    ]


def json_tags(content: bytes) -> list[Tag]:
    """Who and what a JSON of exiftool's says that its photo shows; nothing of other JSON.

    Raises:
        ValueError: it is not JSON.
    """
    held = json.loads(content)
    facts = held[0] if isinstance(held, list) and held else held
    if not isinstance(facts, dict):
        return []
    plain = {str(key).rpartition(":")[2].lower(): _texts(value) for key, value in facts.items()}
    tags = _regions(plain)
    tags += [Tag(kind, text) for key, kind in KINDS.items() for text in plain.get(key, [])]
    return [tag for tag in dict.fromkeys(tags) if not tag.text.startswith(UNKNOWN)]


def _texts(value: object) -> list[str]:
    """One text or a list of them; exiftool writes a name of digits as a number."""
    values = value if isinstance(value, list) else [value]
    texts = [str(each).strip() for each in values if isinstance(each, str | int | float)]
    return [text for text in texts if text]


def _regions(facts: dict[str, list[str]]) -> list[Tag]:
    """Regions, of which exiftool lists each property by itself."""
    names = facts.get("regionname", [])
    sides = [facts.get(f"regionarea{side}", []) for side in "xywh"]
    try:
        areas = [box_around(*map(float, area)) for area in zip(*sides, strict=True)]
    except ValueError:
        areas = []
    known = len(areas) == len(names) and "pixel" not in facts.get("regionareaunit", [])
    boxes: list[Box | None] = areas if known else [None] * len(names)
    return [Tag("region", name, box) for name, box in zip(names, boxes, strict=True)]
