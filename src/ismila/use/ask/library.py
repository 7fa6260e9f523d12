"""A whole library: which of its photos show the subject? Resumable; photos are never changed."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from ismila.learning.decision import pet_verdict
from ismila.learning.features import BATCH, Progress, decode_ahead
from ismila.learning.views import Views
from ismila.photos import UserError
from ismila.photos.boxes import box_text
from ismila.photos.images import PhotoError
from ismila.photos.labels import walk
from ismila.photos.names import as_cell, from_cell
from ismila.photos.skipping import Skipping
from ismila.use.ask.pets import Asked

Seen = TypeVar("Seen")
LOOKED_UP = 512
"""So many photos are looked up in the state at once."""
_TABLES = {
    "judged": """create table if not exists judged (path text, size integer, mtime_ns integer, run text,
  probability real, error text, sha256 text not null default '', box text not null default '',
  primary key (path, run))""",
    "named": """create table if not exists named (path text, size integer, mtime_ns integer, runs text,
  names text, sha256 text not null default '', primary key (path, runs))""",
}
_WRITTEN = (
    "create table if not exists written (path text, keyword text, primary key (path, keyword))"
)
"""Photos that got a keyword of ours: whoever reads the keyword back must not take it for a person's word, also when
another program has copied it elsewhere and left our own mark out."""
"""`path` is a name as `as_cell` keeps it; `sha256` and `box` are empty where an older version wrote the row."""


@dataclass
class Scanned:
    """How many photos a scan judged now, how many were judged before, how many are unreadable."""

    judged: int = 0
    before: int = 0
    broken: int = 0


@dataclass(frozen=True)
class Judged:
    """What is known of one photo.

    Attributes:
        path: below the library's root, with forward slashes.
        probability: of the subject; None when the photo could not be read.
        verdict: in words; empty when the photo could not be read.
        error: why it could not be read, otherwise empty.
        box: of the likeliest animal, as `box_text` says it; empty where the whole photo was asked.
        sha256: of the file; empty where an older version judged it.
    """

    path: str
    probability: float | None
    verdict: str
    error: str
    box: str = ""
    sha256: str = ""


class Version(NamedTuple):
    """What tells one version of a file from the next."""

    size_bytes: int
    mtime_ns: int


class Row(NamedTuple):
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

    def keep(self, run: str, rows: Iterable[Row]) -> None:
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

    def known(self, run: str, paths: list[str]) -> Mapping[str, Row]:
        """What the run has said of these photos, in whatever version they were."""
        marks = ",".join("?" * len(paths))
        query = (
            "select path, size, mtime_ns, probability, error, sha256, box from judged "
            f"where run = ? and path in ({marks})"
        )
        return {row.path: row for row in self._select(query, [run, *map(as_cell, paths)])}

    def unchanged(self, run: str) -> Iterator[Row]:
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

    def _select(self, query: str, values: Sequence[str | bytes]) -> Iterator[Row]:
        with closing(sqlite3.connect(self.state)) as db:
            for cell, size, mtime_ns, *said in db.execute(query, values):
                yield Row(from_cell(cell), Version(size, mtime_ns), *said)

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


def said_of(classifier: Asked, photos: Sequence[Views]) -> list[tuple[float, str]]:
    """The probability of each photo, and the box of its likeliest animal as text, empty where there is none."""
    return [
        (one.probability, box_text(one.animals[0][0].box) if one.animals else "")
        for one in classifier.judge(photos)
    ]


def judged_by(
    classifier: Asked, path: str, probability: float | None, error: str = "", box: str = ""
) -> Judged:
    """What a classifier, asked alone, says of a photo: its verdict, unless the photo could not be read."""
    if probability is None:
        return Judged(path, None, "", error, box)
    verdict = pet_verdict(probability, classifier.threshold, classifier.subject, is_named=True)
    return Judged(path, probability, verdict, error, box)


class Judging(Protocol[Seen]):
    """What judges a library: a run, or the runs of several pets together."""

    @property
    def library(self) -> Library: ...

    def not_judged(
        self, scanned: Scanned, pending: dict[str, Pending]
    ) -> Iterator[tuple[str, Path]]: ...

    def read(self, path: Path) -> Seen: ...

    def keep_broken(self, row: Row) -> None: ...

    def judge_batch(self, batch: dict[str, Seen], pending: dict[str, Pending]) -> int: ...


def judge_all(judging: Judging[Seen], progress: Progress | None) -> Scanned:
    """Judge what was not judged; the cores decode while the backbones run.

    Raises:
        UserError: the state cannot be written.
    """
    scanned = Scanned()
    pending: dict[str, Pending] = {}

    def read(path: str, file: Path) -> Seen | None:
        return None if pending[path].is_the_same(file) else judging.read(file)

    total = sum(1 for _ in judging.not_judged(Scanned(), {})) if progress else 0
    todo = judging.not_judged(scanned, pending)
    decoded: Iterable[tuple[str, Seen | PhotoError | None]] = decode_ahead(todo, read)
    if progress:
        decoded = progress(decoded, total, "Scanning")
    batch: dict[str, Seen] = {}
    same: dict[str, Pending] = {}
    for path, seen in decoded:
        if isinstance(seen, PhotoError):
            asked = pending.pop(path)
            judging.keep_broken(Row(path, asked.version, None, str(seen), asked.sha256))
            scanned.broken += 1
        elif seen is None:
            same[path] = pending.pop(path)
        else:
            batch[path] = seen
        if len(batch) == BATCH:
            scanned.judged += judging.judge_batch(batch, pending)
        if len(same) == BATCH:
            scanned.before += _keep_times(judging.library, same)
    scanned.judged += judging.judge_batch(batch, pending)
    scanned.before += _keep_times(judging.library, same)
    return scanned


def _keep_times(library: Library, same: dict[str, Pending]) -> int:
    """Keep the times of files that hold what they held, and forget these; returns how many it were."""
    count = len(same)
    library.keep_times(same)
    same.clear()
    return count


@dataclass(frozen=True)
class Scan:
    """A library asked by one run.

    Attributes:
        run: the id of the run that the classifier comes from.
        others: photos whose animal another pet's run claims with more right, see `PetsScan`.
    """

    library: Library
    classifier: Asked
    run: str
    others: Set[str] = frozenset()

    def judge(self, progress: Progress | None = None) -> Scanned:
        """Judge what the run has not judged; the cores decode while the backbone runs.

        Raises:
            UserError: the state cannot be written.
        """
        return judge_all(self, progress)

    def scans(self) -> list[Scan]:
        """Itself, as `PetsScan` gives one for each pet."""
        return [self]

    def results(self) -> Iterator[Judged]:
        """What is known of each photo that is there, by path."""
        for row in self.library.unchanged(self.run):
            judged = judged_by(self.classifier, row.path, row.probability, row.error or "", row.box)
            judged = replace(judged, sha256=row.sha256)
            is_others = row.probability is not None and row.path in self.others
            yield self._not_named(judged) if is_others else judged

    def _not_named(self, judged: Judged) -> Judged:
        """A photo whose animal got another pet's name."""
        probability = judged.probability or 0.0
        asked = self.classifier
        verdict = pet_verdict(probability, asked.threshold, asked.subject, is_named=False)
        return replace(judged, verdict=verdict)

    def read(self, path: Path) -> Views:
        """What the classifier is asked about. Raises PhotoError."""
        return self.classifier.viewer.read(path)

    def keep_broken(self, row: Row) -> None:
        """Keep why a photo could not be read."""
        self.library.keep(self.run, [row])

    def judge_batch(self, batch: dict[str, Views], pending: dict[str, Pending]) -> int:
        """Answer for a batch, keep that, and empty the batch; returns how many it were."""
        if not batch:
            return 0
        rows = []
        said = said_of(self.classifier, list(batch.values()))
        for path, (probability, box) in zip(batch, said, strict=True):
            asked = pending.pop(path)
            rows.append(Row(path, asked.version, probability, None, asked.sha256, box))
        self.library.keep(self.run, rows)
        batch.clear()
        return len(rows)

    def not_judged(
        self, scanned: Scanned, pending: dict[str, Pending]
    ) -> Iterator[tuple[str, Path]]:
        """Path and file of what is new or changed, all put into `pending`; counts the others in
        `scanned`."""
        library = self.library
        paths = library.photos()
        while some := list(islice(paths, LOOKED_UP)):
            known = library.known(self.run, some)
            for path in some:
                version = version_of(library.root / path)
                row = known.get(path)
                if version is None:
                    continue
                if row is not None and row.version == version:
                    scanned.before += 1
                    scanned.broken += row.error is not None
                    continue
                pending[path] = Pending(version, known_as(version, [row] if row else []))
                yield path, library.root / path


def known_as(version: Version, rows: Sequence[Row]) -> str:
    """The sha256 of what all these rows are about, where the file may still hold it; or empty.

    Of a photo that could not be read nothing is taken over: it may only have been hard to read.
    """
    if any(row.error is not None or row.version.size_bytes != version.size_bytes for row in rows):
        return ""
    digests = {row.sha256 for row in rows}
    return digests.pop() if len(digests) == 1 else ""
