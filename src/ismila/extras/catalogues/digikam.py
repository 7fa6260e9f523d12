"""digiKam's database, `digikam4.db`: photos by their tags, those below People among them.

The tables are those of its `dbconfig.xml`; what stands in them, that of its sources (`coredb.cpp`,
`collectionmanager.cpp`, `tagregion.cpp`).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from ismila.extras.catalogues.sqlite import DatabaseSource, catalogued, marks, path_of
from ismila.photos.boxes import Box
from ismila.photos.sources import Source, SourcePhoto
from ismila.photos.sources.opening import SourceOptions, existing
from ismila.photos.sources.tagged import Tagged, is_called, shown_box
from ismila.photos.xmp import Tag

DATABASE = "digikam4.db"
VISIBLE = 1
"""`Images.status` of a photo that is neither hidden behind another version nor in the bin."""
ROOT = "_Digikam_root_tag_"
INTERNAL = "_Digikam_"
"""How tags begin that digiKam keeps for itself."""
_SIDE = re.compile(r'\b(x|y|width|height)="(-?\d+)"')


class _Image(NamedTuple):
    id: int
    name: str
    below: str
    album_root: int
    width_px: int
    height_px: int
    tag: int
    region: str


def open_digikam(kind: str, given: str, wanted: SourceOptions) -> Source:
    """The database where there is one, in the folder or by its own name; else the tags that digiKam wrote."""
    path = existing(given)
    file = path / DATABASE if path.is_dir() else path
    return DigikamDatabase(kind, file, wanted) if file.is_file() else Tagged(kind, given, wanted)


class DigikamDatabase(DatabaseSource):
    """Photos by the tags of a digiKam database."""

    program = "digiKam"

    def names(self) -> list[str]:
        """Of all tags that some photo has, without what stands above them."""
        return sorted({tag.name for tag in self._read(_used_tags).values()})

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """Those with the tag, which may be given with what stands above it, as `People/Mila`."""
        tags = {id: tag for id, tag in self._read(_used_tags).items() if is_called(tag, name)}
        roots = self._read(_roots)
        images = self._read(lambda connection: _images(connection, list(tags)))
        for image in images.values():
            places = _places(*roots.get(image.album_root, ("", "")), self._file.parent)
            path = self._trees.find(places, f"{image.below}/{image.name}".lstrip("/"))
            photo = catalogued(str(image.id), path, f"tag {tags[image.tag].text}")
            yield replace(photo, box=shown_box(path, _box(image)))
        self.notes += self._trees.notes()


def _used_tags(connection: sqlite3.Connection) -> Mapping[int, Tag]:
    """Tags that a visible photo has, by id."""
    rows = connection.execute("SELECT id, pid, name FROM Tags").fetchall()
    tags = {int(id): (int(pid or 0), str(name)) for id, pid, name in rows if name != ROOT}
    used = connection.execute(
        "SELECT DISTINCT tagid FROM ImageTags JOIN Images ON Images.id = imageid WHERE status = ?",
        (VISIBLE,),
    )
    paths = {int(id): path_of(int(id), tags) for (id,) in used if int(id) in tags}
    return {id: Tag("tag", path) for id, path in paths.items() if not path.startswith(INTERNAL)}


def _roots(connection: sqlite3.Connection) -> Mapping[int, tuple[str, str]]:
    rows = connection.execute("SELECT id, identifier, specificPath FROM AlbumRoots").fetchall()
    return {int(id): (str(identifier), str(path or "")) for id, identifier, path in rows}


def _images(connection: sqlite3.Connection, tags: list[int]) -> Mapping[int, _Image]:
    """Visible photos with one of the tags, by id, each once."""
    rows = connection.execute(
        f"""
        SELECT Images.id, Images.name, Albums.relativePath, Albums.albumRoot,
               ImageInformation.width, ImageInformation.height, ImageTags.tagid,
               (SELECT value FROM ImageTagProperties AS region
                WHERE region.imageid = Images.id AND region.tagid = ImageTags.tagid
                  AND region.property = 'tagRegion' LIMIT 1)
        FROM ImageTags
        JOIN Images ON Images.id = ImageTags.imageid
        JOIN Albums ON Albums.id = Images.album
        LEFT JOIN ImageInformation ON ImageInformation.imageid = Images.id
        WHERE Images.status = ? AND ImageTags.tagid IN ({marks(tags)})
        ORDER BY Albums.albumRoot, Albums.relativePath, Images.name
        """,
        (VISIBLE, *tags),
    )
    images = (
        _Image(int(id), name, below, int(root), int(w or 0), int(h or 0), int(tag), region or "")
        for id, name, below, root, w, h, tag, region in rows
    )
    found: dict[int, _Image] = {}
    for image in images:
        if image.id not in found or image.region:
            found[image.id] = image
    return found


def _places(identifier: str, specific: str, database: Path) -> list[Path]:
    """Where a collection may lie, the likeliest first.

    digiKam knows a folder (`volumeid:?path=`), a share by where it may be mounted
    (`networkshareid:?mountpath=`), or a disk by its UUID (`volumeid:?uuid=`); the database often lies in the
    collection, or on its disk.
    """
    parts = [part.partition("=") for part in identifier.partition("?")[2].split("&")]
    named = [unquote(value) for key, _, value in parts if key in ("path", "mountpath")]
    disks = [mount for key, _, value in parts if key == "uuid" for mount in _mounts(unquote(value))]
    above = [] if named else [database, *database.absolute().parents]
    below = specific.strip("/")
    folders = [*map(Path, named), *disks, *above]
    places = [folder / below for folder in folders]
    there = [place for place in places if place.is_dir()]
    return there or places[:1] or [database]


def _mounts(uuid: str) -> list[Path]:
    """Where the disk is mounted, as Linux tells it; nowhere on another system."""
    try:
        device = (Path("/dev/disk/by-uuid") / uuid).resolve(strict=True)
        lines = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    mounts = [(disk, place) for disk, place, *_ in (line.split(" ") for line in lines)]
    return [Path(_unescaped(place)) for disk, place in mounts if Path(disk).resolve() == device]


def _unescaped(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place)


def _box(image: _Image) -> Box | None:
    """The region of a tag, which digiKam notes in pixels."""
    sides = {side: int(value) for side, value in _SIDE.findall(image.region)}
    if len(sides) < 4 or not image.width_px or not image.height_px:
        return None
    corners = (
        sides["x"] / image.width_px,
        sides["y"] / image.height_px,
        (sides["x"] + sides["width"]) / image.width_px,
        (sides["y"] + sides["height"]) / image.height_px,
    )
    x0, y0, x1, y1 = (min(max(corner, 0.0), 1.0) for corner in corners)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
