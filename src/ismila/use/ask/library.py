"""A library of photos, which are never changed, and what was said of each: a scan goes on where it ended."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ismila.photos import UserError
from ismila.photos.names import as_cell, from_cell
from ismila.photos.skipping import Skipping
from ismila.photos.walking import walk

LOOKED_UP = 512
"""So many photos are looked up in the state at once."""
_TABLES = {
    "judged": """create table if not exists judged (path text, size integer, mtime_ns integer, run text,
  probability real, error text, sha256 text not null default '', box text not null default '',
  primary key (path, run))""",
    "named": """create table if not exists named (path text, size integer, mtime_ns integer, runs text,
  names text, sha256 text not null default '', primary key (path, runs))""",
}
"""`path` is a name as `as_cell` keeps it; `sha256` and `box` are empty where an older version wrote the row."""
_WRITTEN = (
    "create table if not exists written (path text, keyword text, primary key (path, keyword))"
)
"""Photos that got a keyword of ours: whoever reads the keyword back must not take it for a person's word, also when
another program has copied it elsewhere and left our own mark out."""


class Version(NamedTuple):
    """What tells one version of a file from the next."""

    size_bytes: int
    mtime_ns: int


class StateRow(NamedTuple):
    """One line of the state; `sha256` is that of the file, empty where it is not known."""

    path: str
    version: Version
    probability: float | None
    error: str | None
    sha256: str = ""
    box: str = ""


class NamedRow(NamedTuple):
    """Who is in a photo that several runs claim."""

    path: str
    version: Version
    names: tuple[str, ...]
    sha256: str = ""


@dataclass
class Pending:
    """A file that a scan has to open.

    Attributes:
        version: before it was opened: one that changes meanwhile is judged again by the next scan.
        known_as: sha256 of what was judged, where the file has its size still and another time.
        sha256: of what it holds now; empty until it was read, and where it cannot be.
    """

    version: Version
    known_as: str = ""
    sha256: str = ""

    def is_the_same(self, file: Path) -> bool:
        """Read the file: it holds what was judged, and only its time has changed."""
        self.sha256 = sha256_of(file)
        return self.sha256 != "" and self.sha256 == self.known_as


def sha256_of(file: Path) -> str:
    """Of what a file holds; empty where it is none, or cannot be read."""
    try:
        if not file.is_file():  # a pipe would never end
            return ""
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


class Library:
    """A folder of photos and what classifiers have said of them.

    The state is one SQLite file, a row a photo and run, that counts while the photo's size and time
    of change are the same; where only the time is another one, the content decides. Each batch is
    committed: a killed scan loses the batch it was at. A row holds what the run says by itself,
    whoever else was asked in the same pass; beside these rows stand the names that several runs gave
    together where more than one of them claimed a photo.

    Args:
        root: the folder.
        state: the file; by default it lies under `data/cache`, since a library is often read-only.
        skipping: what is passed over, and where it is counted.

    Raises:
        UserError: no such folder, or the state cannot be written.
    """

    def __init__(
        self, root: Path, state: Path | None = None, skipping: Skipping | None = None
    ) -> None:
        if not os.path.isdir(root):  # noqa: PTH112 - which no name is too long for
            raise UserError(f"{root}: no such folder; give the folder of a photo library")
        self.root = root
        self.skipping = skipping or Skipping(root)
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
        self.state = state or Path("data/cache") / name[:16] / "scan.sqlite"
        try:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.state)
            self._db.execute("pragma journal_mode=wal")
            for table, statement in _TABLES.items():
                self._db.execute(statement)
                self._bring_up_to_date(table)
            self._db.execute(_WRITTEN)
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_write(error) from error

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _bring_up_to_date(self, table: str) -> None:
        columns = [name for _, name, *_ in self._db.execute(f"pragma table_info({table})")]
        if table == "judged" and "box" not in columns:
            self._db.execute("alter table judged add column box text not null default ''")
        if "sha256" not in columns:
            self._db.execute(f"alter table {table} add column sha256 text not null default ''")
            if table == "judged":  # by a version that could not read all that this one can
                self._db.execute("delete from judged where error is not null")
                self._db.commit()

    def photos(self) -> Iterator[str]:
        """The photos that are there, by path; counts anew what is passed over."""
        self.skipping.clear()
        return walk(self.root, skipping=self.skipping)

    def keep(self, run: str, rows: Iterable[StateRow]) -> None:
        """Write down what a run says.

        Raises:
            UserError: the state cannot be written: the disk is full, or another scan holds it.
        """
        values = [(as_cell(row.path), *row.version, run, *row[2:]) for row in rows]
        columns = "path, size, mtime_ns, run, probability, error, sha256, box"
        self._insert(
            f"insert or replace into judged ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?)", values
        )

    def keep_names(self, runs: str, rows: Iterable[NamedRow]) -> None:
        """Write down who is in photos that several runs claim.

        Raises:
            UserError: the state cannot be written.
        """
        values = [
            (as_cell(row.path), *row.version, runs, json.dumps(row.names), row.sha256)
            for row in rows
        ]
        self._insert("insert or replace into named values (?, ?, ?, ?, ?, ?)", values)

    def keep_times(self, same: Mapping[str, Pending]) -> None:
        """Write down the new times of files that hold what they held.

        What any run has said of this content holds on.

        Raises:
            UserError: the state cannot be written.
        """
        values = [
            (one.version.mtime_ns, as_cell(path), one.version.size_bytes, one.sha256)
            for path, one in same.items()
        ]
        for table in _TABLES:
            self._insert(
                f"update {table} set mtime_ns = ? where path = ? and size = ? and sha256 = ?",
                values,
            )

    def keep_written(self, keyword: str, photos: Mapping[str, bool]) -> None:
        """Write down whether each photo carries this keyword because a scan put it there.

        Raises:
            UserError: the state cannot be written.
        """
        for statement, is_ours in (
            ("insert or replace into written values (?, ?)", True),
            ("delete from written where path = ? and keyword = ?", False),
        ):
            paths = [path for path, ours in photos.items() if ours == is_ours]
            self._insert(statement, [(as_cell(path), keyword) for path in paths])

    def written(self, keyword: str) -> set[str]:
        """The photos that a scan gave this keyword."""
        query = "select path from written where keyword = ?"
        with closing(sqlite3.connect(self.state)) as db:
            return {from_cell(cell) for (cell,) in db.execute(query, [keyword])}

    def _insert(self, statement: str, values: Sequence[tuple[object, ...]]) -> None:
        try:
            with self._db:
                self._db.executemany(statement, values)
        except sqlite3.Error as error:
            raise self._cannot_write(error) from error

    def known(self, run: str, paths: list[str]) -> Mapping[str, StateRow]:
        """What the run has said of these photos, in whatever version they were."""
        marks = ",".join("?" * len(paths))
        query = (
            "select path, size, mtime_ns, probability, error, sha256, box from judged "
            f"where run = ? and path in ({marks})"
        )
        return {row.path: row for row in self._select(query, [run, *map(as_cell, paths)])}

    def unchanged(self, run: str) -> Iterator[StateRow]:
        """What the run has said of the photos that are still there and the same, by path."""
        query = (
            "select path, size, mtime_ns, probability, error, sha256, box from judged "
            "where run = ? order by path"
        )
        for row in self._select(query, [run]):
            is_there = version_of(self.root / row.path) == row.version
            if is_there and self.skipping.takes(row.path):
                yield row

    def names(self, runs: str) -> dict[str, NamedRow]:
        """Who is in the photos that several of these runs claimed, in whatever version they were."""
        query = "select path, size, mtime_ns, names, sha256 from named where runs = ?"
        named: dict[str, NamedRow] = {}
        with closing(sqlite3.connect(self.state)) as db:
            for cell, size, mtime_ns, names, sha256 in db.execute(query, [runs]):
                path = from_cell(cell)
                version = Version(size, mtime_ns)
                named[path] = NamedRow(path, version, tuple(json.loads(names)), sha256)
        return named

    def _select(self, query: str, values: Sequence[str | bytes]) -> Iterator[StateRow]:
        with closing(sqlite3.connect(self.state)) as db:
            for cell, size, mtime_ns, *said in db.execute(query, values):
                yield StateRow(from_cell(cell), Version(size, mtime_ns), *said)

    def _cannot_write(self, error: Exception) -> UserError:
        return UserError(f"--state {self.state}: {error}; give a file that may be written")


def version_of(path: Path) -> Version | None:
    """The file's size and time of change, the link's own where that leads nowhere; None when it is gone."""
    try:
        stat = path.stat()
    except OSError:
        try:
            stat = path.lstat()
        except OSError:
            return None
    return Version(stat.st_size, stat.st_mtime_ns)
