"""What ismila has set on photo servers, so that it takes away that and nothing else."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ismila.extras.servers.server import Mark
from ismila.photos import UserError
from ismila.photos.names import as_cell, from_cell
from ismila.photos.sources import same_name

SETTING = "setting"
"""About to be set: a call may have been stopped before the server did it, or after."""
SET = "set"
REMOVAL_PENDING = "taking"
REMOVED_BY_USER = "let go"
"""Set once, and taken away on the server by somebody since: nobody's business but theirs."""
ENDING = ".servers.sqlite"
USUAL_PLACE = "data/cache/*"
"""Where a scan keeps its state when it is not told otherwise."""
_TABLES = (
    "create table if not exists servers (server text primary key)",
    """create table if not exists marks (server text, kind text, name text, photo text, path text,
  state text, primary key (server, kind, name, photo))""",
    """create table if not exists sums (path text primary key, size integer, mtime_ns integer,
  sha1 text)""",
)


class Carried(NamedTuple):
    """A photo that ismila has marked: where it lies in the library, and how far that is."""

    path: str
    state: str


class MarksRecord:
    """A SQLite file beside the scan's state. A change is written before the server is asked for it.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with self._writing():
            self._db = sqlite3.connect(file)
            for statement in _TABLES:
                self._db.execute(statement)

    def __enter__(self) -> MarksRecord:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{self.file}: {error}; --state FILE keeps it elsewhere") from error

    def knows(self, server: str) -> bool:
        """Whether something was ever set on this server."""
        return bool(self._db.execute("select 1 from servers where server = ?", [server]).fetchall())

    def know(self, server: str) -> None:
        """From now on, what is to be set there is set."""
        with self._writing(), self._db:
            self._db.execute("insert or ignore into servers values (?)", [server])

    def carried(self, server: str, mark: Mark) -> dict[str, Carried]:
        """What ismila did there with this mark: the photo's id on the server -> how far that is."""
        query = "select photo, path, state from marks where server = ? and kind = ? and name = ?"
        rows = self._db.execute(query, [server, mark.kind, mark.name])
        return {photo: Carried(from_cell(path), state) for photo, path, state in rows}

    def set_on(self, server: str) -> Iterator[tuple[Mark, str]]:
        """Each mark and photo of a server that carries it because of us."""
        query = "select kind, name, photo from marks where server = ? and state <> ?"
        for kind, name, photo in self._db.execute(query, [server, REMOVED_BY_USER]):
            yield Mark(kind, name), photo

    def paths(self, name: str) -> set[str]:
        """Photos of the library that carry a mark of this name on some server because of us."""
        query = "select path, name from marks where state <> ?"
        rows = self._db.execute(query, [REMOVED_BY_USER])
        return {from_cell(path) for path, marked in rows if same_name(marked, name)}

    def keep(self, server: str, mark: Mark, photos: Mapping[str, Carried]) -> None:
        """Write down how far these photos are."""
        rows = [
            (server, mark.kind, mark.name, photo, as_cell(carried.path), carried.state)
            for photo, carried in photos.items()
        ]
        with self._writing(), self._db:
            self._db.executemany("insert or replace into marks values (?, ?, ?, ?, ?, ?)", rows)

    def forget(self, server: str, mark: Mark, photos: Iterable[str]) -> None:
        """Nothing of ours is on these photos."""
        rows = [(server, mark.kind, mark.name, photo) for photo in photos]
        statement = "delete from marks where server = ? and kind = ? and name = ? and photo = ?"
        with self._writing(), self._db:
            self._db.executemany(statement, rows)

    def sha1s(self, root: Path, paths: Sequence[str]) -> dict[str, str]:
        """Path -> SHA-1 of photos in the library that can be read, once for each version."""
        known: dict[str, str] = {}
        new: list[tuple[object, ...]] = []
        for path in paths:
            try:
                stat = (root / path).stat()
            except OSError:  # gone since it was judged
                continue
            version = (as_cell(path), stat.st_size, stat.st_mtime_ns)
            sha1 = self._kept_sha1(version)
            if not sha1 and (sha1 := _sha1_of(root / path)):
                new.append((*version, sha1))
            if sha1:
                known[path] = sha1
        with self._writing(), self._db:
            self._db.executemany("insert or replace into sums values (?, ?, ?, ?)", new)
        return known

    def _kept_sha1(self, version: tuple[str | bytes, int, int]) -> str:
        query = "select sha1 from sums where path = ? and size = ? and mtime_ns = ?"
        for (sha1,) in self._db.execute(query, version):
            return str(sha1)
        return ""


def record_beside(state: Path) -> Path:
    """The record that belongs to a scan's state."""
    return state.with_name(f"{state.stem}{ENDING}")


class OwnMarks:
    """What ismila has set on a server, by all records in their usual place: nobody has said it.

    Args:
        server: its address.
        folder: the one that commands are given in.
    """

    def __init__(self, server: str, folder: Path = Path()) -> None:
        self._photos: dict[Mark, set[str]] = {}
        for file in sorted(folder.glob(f"{USUAL_PLACE}/*{ENDING}")):
            with MarksRecord(file) as record:
                for mark, photo in record.set_on(server):
                    self._photos.setdefault(mark, set()).add(photo)

    def has(self, mark: Mark, photo: str) -> bool:
        """Whether a photo carries the mark because ismila has set it."""
        return any(
            photo in photos and ours.kind == mark.kind and same_name(ours.name, mark.name)
            for ours, photos in self._photos.items()
        )


def _sha1_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha1").hexdigest()
    except OSError:
        return ""


def marked_photos(state: Path, name: str) -> set[str]:
    """Paths of the photos that a scan gave a tag on a photo server, which may write it into a side file.

    Args:
        state: the file of the scan's state.
    """
    file = record_beside(state)
    if not file.is_file():
        return set()
    with MarksRecord(file) as record:
        return record.paths(name.replace("|", "/").rpartition("/")[2])
