"""Google Photos' Takeout: folders with a JSON beside each photo, which lists the people, pets among them.

Google shortens the JSON's name, mostly to 46 characters before `.json`, and numbers names that occur twice
elsewhere than in the photo's: `IMG(1).jpg` has `IMG.jpg(1).json`, or `IMG.jpg.supplemental-metadata(1).json`.
Nothing of that is documented: the rules are what users of immich-go (issue 674), GooglePhotosTakeoutHelper
(8, 353, 449) and ente (pull request 4956) found in their Takeouts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ismila.photos.sources import SourcePhoto, same_name
from ismila.photos.sources.folder import Below
from ismila.photos.sources.opening import SourceOptions, existing_folder
from ismila.photos.walking import SUFFIXES

MAX_JSON_BYTES = 2**22
LONG = 40
"""UTF-16 units from which a JSON's name may have been shortened: Google keeps 46, and sometimes fewer."""
SUPPLEMENT = ".supplemental-metadata"
_SUPPLEMENT = re.compile(
    "(?:" + "|".join(re.escape(SUPPLEMENT[:n]) for n in range(len(SUPPLEMENT), 0, -1)) + ")$"
)
_NUMBER = re.compile(r"\(\d+\)$")
OF_A_PHOTO = {"photoTakenTime", "creationTime", "people", "imageViews", "url"}
"""What the JSON of a photo holds some of, and that of an album none: its name is translated (`Metadaten.json`)."""


@dataclass(frozen=True)
class _PhotoJson:
    """What a JSON says of its photo.

    Attributes:
        title: what the photo was called before its name was shortened.
        taken: when, in seconds since 1970; with the title it tells the photo from others.
    """

    people: tuple[str, ...]
    title: str
    taken: str


@dataclass
class _TakeoutFolder:
    """One folder of a Takeout.

    Attributes:
        photos: names of files.
        jsons: by the name of the photo, without its number, and the number: `("IMG.jpg", "(1)")`.
        album: its title; empty where the folder is none.
    """

    photos: list[str] = field(default_factory=list)
    jsons: dict[tuple[str, str], _PhotoJson] = field(default_factory=dict)
    album: str = ""

    def said(self, photo: str) -> _PhotoJson | None:
        """What the JSON that is about a photo says."""
        originals = (photo, _edited_from(photo))
        found = (self._exact(name) or self._shortened(name) for name in originals if name)
        return next((said for said in found if said), None)

    def _exact(self, photo: str) -> _PhotoJson | None:
        return self.jsons.get(_numbered(photo)) or self.jsons.get((photo, ""))

    def _shortened(self, photo: str) -> _PhotoJson | None:
        """By the longest beginning of the photo's name that a JSON has; its suffix may be lost, too."""
        for name, number in dict.fromkeys((_numbered(photo), (photo, ""))):
            for length in range(len(name) - 1, 0, -1):
                begun = name[:length]
                if length < len(Path(name).stem) and _units(begun) < LONG:
                    break
                if said := self.jsons.get((begun, number)):
                    return said
        return None


def _numbered(photo: str) -> tuple[str, str]:
    """`IMG(1).jpg` -> `("IMG.jpg", "(1)")`."""
    path = Path(photo)
    number = _NUMBER.search(path.stem)
    return (path.stem[: number.start()] + path.suffix, number[0]) if number else (photo, "")


def _about(stem: str) -> tuple[str, str]:
    """The photo that a JSON is about, by its name without `.json`."""
    number = _NUMBER.search(stem)
    bare = stem[: number.start()] if number else stem
    return _SUPPLEMENT.sub("", bare), number[0] if number else ""


def _edited_from(photo: str) -> str:
    """`IMG-edited(1).jpg` -> `IMG(1).jpg`, in any language (`-bearbeitet`, `-modifié`); else empty."""
    bare, number = _numbered(photo)
    path = Path(bare)
    original, _, word = path.stem.rpartition("-")
    is_word = word.replace(" ", "").isalpha()
    return f"{original}{number}{path.suffix}" if original and is_word else ""


def _units(text: str) -> int:
    """How Google counts: in units of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Takeout:
    """Photos by the people that Google says are in them, and by the album that they are in.

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
        self._folders: Mapping[str, _TakeoutFolder] | None = None

    def names(self) -> list[str]:
        """Of all people and albums."""
        names = {folder.album for folder in self._all().values()}
        for folder in self._all().values():
            names.update(name for said in folder.jsons.values() for name in said.people)
        return sorted(names - {""})

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """Those with a person, or in the album, of the name; also the edited ones."""
        known: dict[_PhotoJson, SourcePhoto] = {}
        for place, folder in self._all().items():
            for photo in folder.photos:
                said = folder.said(photo)
                why = _why(folder, said, name)
                one = self._photo(place, photo, why)
                if said:
                    known.setdefault(said, one)
                if why:
                    yield one
        yield from self._alone(name, known)
        yield from self._below.unread()

    def _alone(self, name: str, known: Mapping[_PhotoJson, SourcePhoto]) -> Iterator[SourcePhoto]:
        """Photos of JSONs that have none beside them: an album's may lie in the year's folder only."""
        for place, folder in self._all().items():
            beside = {folder.said(photo) for photo in folder.photos}
            for said in dict.fromkeys(folder.jsons.values()):
                why = _why(folder, said, name)
                if not why or said in beside or Path(said.title).suffix.lower() not in SUFFIXES:
                    continue
                elsewhere = known.get(said)
                if elsewhere is None:
                    yield self._photo(place, said.title, why)
                elif not elsewhere.why:
                    yield replace(elsewhere, why=why)

    def _photo(self, place: str, photo: str, why: str) -> SourcePhoto:
        path = self._root / place / photo
        return SourcePhoto(key=str(Path(place) / photo), name=photo, why=why, path=path)

    def _all(self) -> Mapping[str, _TakeoutFolder]:
        if self._folders is None:
            self._folders = self._read()
            self.notes += self._below.notes()
        return self._folders

    def _read(self) -> Mapping[str, _TakeoutFolder]:
        folders: defaultdict[str, _TakeoutFolder] = defaultdict(_TakeoutFolder)
        bad: list[str] = []
        files = self._below.files()
        for file in self._progress(files, len(files), "Reading what Google says"):
            path = Path(file)
            folder = folders[path.parent.as_posix()]
            if path.suffix.lower() == ".json":
                try:
                    _note_json(folder, path.stem, _read_json(self._root / path))
                except (OSError, ValueError, RecursionError) as error:
                    bad.append(f"{self._root / path}: {error}")
            elif path.suffix.lower() in SUFFIXES:
                folder.photos.append(path.name)
        if bad:
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            self.notes.append(f"JSON that cannot be read: {bad[0]}{more}")
        return folders


def _why(folder: _TakeoutFolder, said: _PhotoJson | None, name: str) -> str:
    """Why a photo is one of the name; empty where it is none."""
    people = said.people if said else ()
    person = next((each for each in people if same_name(each, name)), None)
    if person is not None:
        return f"person {person}"
    return f"album {folder.album}" if folder.album and same_name(folder.album, name) else ""


def _read_json(path: Path) -> object:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError("too large for a side file")
    return json.loads(path.read_bytes())


def _note_json(folder: _TakeoutFolder, stem: str, held: object) -> None:
    """Note what a JSON says; one that is of neither a photo nor an album says nothing."""
    if not isinstance(held, dict):
        return
    if OF_A_PHOTO & held.keys():
        said = _PhotoJson(tuple(_people(held.get("people"))), *_title_and_time(held))
        folder.jsons.setdefault((stem, ""), said)
        folder.jsons[_about(stem)] = said
        return
    album = held.get("albumData")  # as it was before 2020
    title = (album if isinstance(album, dict) else held).get("title")
    if isinstance(title, str):
        folder.album = title.strip()


def _people(held: object) -> Iterator[str]:
    for one in held if isinstance(held, list) else []:
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name.strip():
            yield name.strip()


def _title_and_time(held: Mapping[str, object]) -> tuple[str, str]:
    taken = held.get("photoTakenTime")
    timestamp = taken.get("timestamp") if isinstance(taken, dict) else None
    # a title is what somebody's camera or program wrote: no folder is left by it
    return Path(str(held.get("title") or "")).name, str(timestamp or "")
