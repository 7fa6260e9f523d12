"""The YAML files that PhotoPrism keeps of each photo: keywords and subjects, without the server.

They lie in `storage/sidecar`, in the folders of the originals: `2016/01/a.yml` is of
`originals/2016/01/a.jpg`. Labels and albums are not in them; the server knows these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import yaml

from ismila.photos import UserError
from ismila.photos.skipping import Skipping
from ismila.photos.sources import SourcePhoto, same_name
from ismila.photos.sources.opening import SourceOptions, existing_folder
from ismila.photos.walking import SUFFIXES, walk

SIDECARS = ("storage/sidecar", "sidecar", ".photoprism/sidecar", ".")
"""Where the YAML files may lie below the folder that was given."""
ORIGINALS = ("originals", "../originals", "../../originals", ".")
MAX_YAML_BYTES = 2**20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PhotoYaml(NamedTuple):
    """What a YAML file says of its photo: `stem` is the photo's path without its suffix."""

    stem: str
    people: tuple[str, ...]
    keywords: tuple[str, ...]

    def why(self, name: str) -> str:
        """What says that it shows who is asked for; empty where nothing does."""
        for kind, words in (("person", self.people), ("keyword", self.keywords)):
            for word in words:
                if same_name(word, name):
                    return f"{kind} {word}"
        return ""


class PhotoPrismFiles:
    """PhotoPrism's folder, or its `storage` or `originals`.

    Raises:
        UserError: there is no such folder, or no YAML file in it.
    """

    def __init__(self, kind: str, given: str, wanted: SourceOptions) -> None:
        self.kind = kind
        self.notes: list[str] = []
        root = existing_folder(given)
        self.where = str(root)
        self._yaml = next(root / name for name in SIDECARS if (root / name).is_dir())
        self._originals = wanted.photos or next(
            root / name for name in ORIGINALS if (root / name).is_dir()
        )
        if wanted.photos is not None and not wanted.photos.is_dir():
            raise UserError(
                f"--photos {wanted.photos}: no such folder; give PhotoPrism's originals"
            )
        self._skipping = Skipping(self._yaml, wanted.exclude, wanted.hidden)

    def names(self) -> list[str]:
        """Subjects and keywords."""
        return sorted({word for said in self._said for word in (*said.people, *said.keywords)})

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """See `Source`."""
        for said in self._said:
            if why := said.why(name):
                yield from self._files(said.stem, why)

    @cached_property
    def _said(self) -> list[_PhotoYaml]:
        said: list[_PhotoYaml] = []
        any_yaml = False
        for path in sorted(walk(self._yaml, True, skipping=self._skipping)):
            if path.endswith(".yml"):
                any_yaml = True
                said += self._read(path)
        if not any_yaml:
            raise UserError(
                f"{self.where}: no YAML file of PhotoPrism in it; give the folder that holds its "
                "storage and originals, or the server's address"
            )
        return said

    def _read(self, path: str) -> list[_PhotoYaml]:
        """What one file says; none where it is of something else; one that is damaged is noted."""
        file = self._yaml / path
        try:
            if file.stat().st_size > MAX_YAML_BYTES:
                raise ValueError("too large")
            document = yaml.load(file.read_text(encoding="utf-8"), _LOADER)
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            self.notes.append(f"{file}: not a YAML file that can be read; passed over")
            return []
        details = document.get("Details") if isinstance(document, dict) else None
        if not isinstance(details, dict):
            return []
        people = _words(details.get("Subject"))
        return [_PhotoYaml(path.removesuffix(".yml"), people, _words(details.get("Keywords")))]

    def _files(self, stem: str, why: str) -> Iterator[SourcePhoto]:
        """The photo's files among the originals: a name may have several suffixes."""
        bare = self._originals / stem
        folder = bare.parent
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        photos = [path for path in files if _is_of(path, bare.name)]
        for path in photos:
            yield SourcePhoto(key=f"{stem}{path.suffix}", name=path.name, why=why, path=path)
        if not photos:
            gone = folder / f"{bare.name}.jpg"
            yield SourcePhoto(key=stem, name=gone.name, why=why, path=gone)


def _is_of(path: Path, stem: str) -> bool:
    return path.suffix.lower() in SUFFIXES and path.name == f"{stem}{path.suffix}"


def _words(value: object) -> tuple[str, ...]:
    """Names with commas or semicolons between them."""
    if not isinstance(value, str):
        return ()
    return tuple(word.strip() for word in re.split("[,;]", value) if word.strip())
