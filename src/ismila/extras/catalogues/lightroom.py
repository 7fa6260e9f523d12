"""Lightroom Classic's catalogue, `*.lrcat`: photos by their keywords."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ismila.extras.catalogues.sqlite import DatabaseSource, catalogued, marks, path_of
from ismila.photos import UserError
from ismila.photos.sources import Source, SourcePhoto
from ismila.photos.sources.opening import SourceOptions, existing
from ismila.photos.sources.tagged import Tagged, is_called
from ismila.photos.walking import SUFFIXES
from ismila.photos.xmp import Tag


class _File(NamedTuple):
    id: str
    root: str
    root_from_catalogue: str
    folder: str
    stem: str
    extension: str
    beside: str
    tag: int

    @property
    def name(self) -> str:
        """Of the photo; of the JPEG that was taken with it where it is a raw file."""
        extensions = [self.extension, *self.beside.split(",")]
        photos = [each for each in extensions if f".{each.strip().lower()}" in SUFFIXES]
        return f"{self.stem}.{(photos or extensions)[0].strip()}"


def open_lightroom(kind: str, given: str, wanted: SourceOptions) -> Source:
    """The catalogue where there is one, in the folder or by its own name; else the tags of what was exported."""
    path = existing(given)
    catalogues = sorted(path.glob("*.lrcat")) if path.is_dir() else [path]
    if len(catalogues) > 1:
        names = ", ".join(each.name for each in catalogues)
        raise UserError(f"{given}: holds {names}; give one of these catalogues")
    return Catalogue(kind, catalogues[0], wanted) if catalogues else Tagged(kind, given, wanted)


class Catalogue(DatabaseSource):
    """Photos by the keywords of a Lightroom catalogue."""

    program = "Lightroom"

    def names(self) -> list[str]:
        """Of all keywords that some photo has, without what stands above them."""
        tags = self._read(_used_keywords)
        return sorted({tag.name for tag in tags.values()})

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """Those with the keyword, which may be given with what stands above it, as `Pets/Mila`."""
        used = self._read(_used_keywords)
        tags = {id: tag for id, tag in used.items() if is_called(tag, name)}
        files = self._read(lambda opened: _files(opened, list(tags)))
        for file in files:
            path = self._trees.find(self._roots(file), f"{file.folder}{file.name}")
            yield catalogued(file.id, path, f"tag {tags[file.tag].text}")
        self.notes += self._trees.notes()

    def _roots(self, file: _File) -> list[Path]:
        """By the catalogue's machine, then as seen from the catalogue, which may have moved with its photos."""
        moved = [self._file.parent / file.root_from_catalogue] if file.root_from_catalogue else []
        return [Path(file.root), *moved]


def _used_keywords(connection: sqlite3.Connection) -> Mapping[int, Tag]:
    """Keywords that a photo has, by id."""
    rows = connection.execute("SELECT id_local, parent, name FROM AgLibraryKeyword").fetchall()
    keywords = {int(id): (int(parent or 0), str(name or "")) for id, parent, name in rows}
    used = connection.execute("SELECT DISTINCT tag FROM AgLibraryKeywordImage").fetchall()
    paths = {int(id): path_of(int(id), keywords) for (id,) in used if int(id) in keywords}
    return {id: Tag("tag", path) for id, path in paths.items() if path}


def _files(connection: sqlite3.Connection, tags: list[int]) -> list[_File]:
    """Files with one of the keywords, each once: virtual copies are of the same file."""
    rows = connection.execute(
        f"""
        SELECT file.id_global, root.absolutePath, ifnull(root.relativePathFromCatalog, ''),
               folder.pathFromRoot, file.baseName, file.extension,
               ifnull(file.sidecarExtensions, ''), keyword.tag
        FROM AgLibraryKeywordImage AS keyword
        JOIN Adobe_images AS image ON image.id_local = keyword.image
        JOIN AgLibraryFile AS file ON file.id_local = image.rootFile
        JOIN AgLibraryFolder AS folder ON folder.id_local = file.folder
        JOIN AgLibraryRootFolder AS root ON root.id_local = folder.rootFolder
        WHERE keyword.tag IN ({marks(tags)})
        ORDER BY root.absolutePath, folder.pathFromRoot, file.baseName
        """,
        tags,
    )
    files = [_File(*row) for row in rows]
    return list({file.id: file for file in files}.values())
