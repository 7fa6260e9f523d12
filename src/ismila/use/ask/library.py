"""A whole library: which of its photos show the subject? Resumable; photos are never changed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from ismila.learning.decision import pet_verdict
from ismila.learning.features import BATCH, Progress, decode_ahead
from ismila.learning.views import Views
from ismila.photos import UserError
from ismila.photos.images import PhotoError
from ismila.photos.labels import walk
from ismila.use.ask.pets import Asked

Seen = TypeVar("Seen")
LOOKED_UP = 512
"""So many photos are looked up in the state at once."""
_TABLE = """create table if not exists judged (path text, size integer, mtime_ns integer, run text,
  probability real, error text, primary key (path, run))"""
_NAMES = """create table if not exists named (path text, size integer, mtime_ns integer, runs text,
  names text, primary key (path, runs))"""


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
    """

    path: str
    probability: float | None
    verdict: str
    error: str


class Version(NamedTuple):
    """What tells one version of a file from the next."""

    size_bytes: int
    mtime_ns: int


class Row(NamedTuple):
    """One line of the state."""

    path: str
    version: Version
    probability: float | None
    error: str | None


class NamedRow(NamedTuple):
    """Who is in a photo that several runs claim."""

    path: str
    version: Version
    names: tuple[str, ...]


class Library:
    """A folder of photos and what classifiers have said of them.

    The state is one SQLite file, a row a photo and run, that counts while the photo's size and time
    of change are the same. Each batch is committed: a killed scan loses the batch it was at. A row
    holds what the run says by itself, whoever else was asked in the same pass; beside these rows
    stand the names that several runs gave together where more than one of them claimed a photo.

    Args:
        root: the folder.
        state: the file; by default it lies under `data/cache`, since a library is often read-only.

    Raises:
        UserError: no such folder, or the state cannot be written.
    """

    def __init__(self, root: Path, state: Path | None = None) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; give the folder of a photo library")
        self.root = root
        name = hashlib.sha256(str(root.resolve()).encode(errors="surrogateescape")).hexdigest()
        self.state = state or Path("data/cache") / name[:16] / "scan.sqlite"
        try:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.state)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute(_TABLE)
            self._db.execute(_NAMES)
        except (OSError, sqlite3.Error) as error:
            raise self._cannot_write(error) from error

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def keep(self, run: str, rows: Iterable[Row]) -> None:
        """Write down what a run says.

        Raises:
            UserError: the state cannot be written: the disk is full, or another scan holds it.
        """
        values = [(row.path, *row.version, run, row.probability, row.error) for row in rows]
        self._insert("insert or replace into judged values (?, ?, ?, ?, ?, ?)", values)

    def keep_names(self, runs: str, rows: Iterable[NamedRow]) -> None:
        """Write down who is in photos that several runs claim.

        Raises:
            UserError: the state cannot be written.
        """
        values = [(row.path, *row.version, runs, json.dumps(row.names)) for row in rows]
        self._insert("insert or replace into named values (?, ?, ?, ?, ?)", values)

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
            "select path, size, mtime_ns, probability, error from judged "
            f"where run = ? and path in ({marks})"
        )
        return {row.path: row for row in self._select(query, [run, *paths])}

    def unchanged(self, run: str) -> Iterator[Row]:
        """What the run has said of the photos that are still there and the same, by path."""
        query = (
            "select path, size, mtime_ns, probability, error from judged "
            "where run = ? order by path"
        )
        for row in self._select(query, [run]):
            if version_of(self.root / row.path) == row.version:
                yield row

    def names(self, runs: str) -> dict[str, NamedRow]:
        """Who is in the photos that several of these runs claimed, in whatever version they were."""
        query = "select path, size, mtime_ns, names from named where runs = ?"
        with closing(sqlite3.connect(self.state)) as db:
            return {
                path: NamedRow(path, Version(size, mtime_ns), tuple(json.loads(names)))
                for path, size, mtime_ns, names in db.execute(query, [runs])
            }

    def _select(self, query: str, values: list[str]) -> Iterator[Row]:
        with closing(sqlite3.connect(self.state)) as db:
            for path, size, mtime_ns, probability, error in db.execute(query, values):
                yield Row(path, Version(size, mtime_ns), probability, error)

    def _cannot_write(self, error: Exception) -> UserError:
        return UserError(f"--state {self.state}: {error}; give a file that may be written")


def version_of(path: Path) -> Version | None:
    """The file's size and time of change; None when it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Version(stat.st_size, stat.st_mtime_ns)


class Judging(Protocol[Seen]):
    """What judges a library: a run, or the runs of several pets together."""

    def not_judged(
        self, scanned: Scanned, versions: dict[str, Version]
    ) -> Iterator[tuple[str, Path]]: ...

    def read(self, path: Path) -> Seen: ...

    def keep_broken(self, row: Row) -> None: ...

    def judge_batch(self, batch: dict[str, Seen], versions: dict[str, Version]) -> int: ...


def judge_all(judging: Judging[Seen], progress: Progress | None) -> Scanned:
    """Judge what was not judged; the cores decode while the backbones run.

    Raises:
        UserError: the state cannot be written.
    """
    scanned = Scanned()
    versions: dict[str, Version] = {}
    total = sum(1 for _ in judging.not_judged(Scanned(), {})) if progress else 0
    todo = judging.not_judged(scanned, versions)
    decoded: Iterable[tuple[str, Seen | PhotoError]] = decode_ahead(
        todo, lambda _, path: judging.read(path)
    )
    if progress:
        decoded = progress(decoded, total, "Scanning")
    batch: dict[str, Seen] = {}
    for path, seen in decoded:
        if isinstance(seen, PhotoError):
            judging.keep_broken(Row(path, versions.pop(path), None, str(seen)))
            scanned.broken += 1
            continue
        batch[path] = seen
        if len(batch) == BATCH:
            scanned.judged += judging.judge_batch(batch, versions)
    scanned.judged += judging.judge_batch(batch, versions)
    return scanned


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
        threshold = self.classifier.threshold
        subject = self.classifier.subject
        for row in self.library.unchanged(self.run):
            verdict = ""
            if row.probability is not None:
                is_named = row.path not in self.others
                verdict = pet_verdict(row.probability, threshold, subject, is_named)
            yield Judged(row.path, row.probability, verdict, row.error or "")

    def read(self, path: Path) -> Views:
        """What the classifier is asked about. Raises PhotoError."""
        return self.classifier.viewer.read(path)

    def keep_broken(self, row: Row) -> None:
        """Keep why a photo could not be read."""
        self.library.keep(self.run, [row])

    def judge_batch(self, batch: dict[str, Views], versions: dict[str, Version]) -> int:
        """Answer for a batch, keep that, and empty the batch; returns how many it were."""
        if not batch:
            return 0
        judgements = self.classifier.judge(list(batch.values()))
        rows = [
            Row(path, versions.pop(path), judgement.probability, None)
            for path, judgement in zip(batch, judgements, strict=True)
        ]
        self.library.keep(self.run, rows)
        batch.clear()
        return len(rows)

    def not_judged(
        self, scanned: Scanned, versions: dict[str, Version]
    ) -> Iterator[tuple[str, Path]]:
        """Path and file of what is new or changed; counts the others in `scanned`.

        A file's version is put into `versions` before it is read: one that changes meanwhile is
        judged again by the next scan.
        """
        library = self.library
        paths = walk(library.root)
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
                versions[path] = version
                yield path, library.root / path
