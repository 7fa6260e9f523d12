"""A whole library: which of its photos show the subject? Resumable; photos are never changed."""

from __future__ import annotations

import csv
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ismila.learning.classifier import Classifier
from ismila.learning.decision import verdict_of
from ismila.learning.features import BATCH, Progress, decode_ahead
from ismila.photos import UserError
from ismila.photos.images import PhotoError, Pixels
from ismila.photos.labels import walk
from ismila.use.ask.sidecars import SidecarError, set_keyword

COLUMNS = ("path", "probability", "verdict", "threshold", "run", "error")
"""Of the CSV."""
LOOKED_UP = 512
_TABLE = """create table if not exists judged (path text, size integer, mtime_ns integer, run text,
  probability real, error text, primary key (path, run))"""


@dataclass
class Scanned:
    """What a scan found: photos judged now and before, and (path, reason) of those that could not be read."""

    judged: int = 0
    before: int = 0
    broken: int = 0


class Library:
    """A folder of photos and what classifiers have said of them.

    The state is one SQLite file, a row a photo and run, that counts while the photo's size and time of change are the
    same. Each batch is committed: a killed scan loses at most the batch it was at.

    Args:
        state: the file; by default it lies under `data/cache`, since a library is often read-only.

    Raises:
        UserError: no such folder, or the state cannot be written.
    """

    def __init__(self, root: Path, state: Path | None = None) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; give the folder of a photo library")
        self.root = root
        name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
        self.state = state or Path("data/cache") / name / "scan.sqlite"
        try:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.state)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"--state {self.state}: {error}; give a file that may be written"
            ) from error

    def close(self) -> None:
        """Let go of the state file."""
        self._db.close()

    def scan(self, classifier: Classifier, run: str, progress: Progress | None = None) -> Scanned:
        """Judge every photo that this run has not judged yet; the cores decode while the backbone runs."""
        scanned = Scanned()
        todo: Iterable[tuple[str, Path]] = self._not_judged(run, scanned)
        total = sum(1 for _ in self._not_judged(run, Scanned())) if progress else 0
        found: Iterable[tuple[str, Pixels | PhotoError]] = decode_ahead(todo, classifier.spec)
        if progress:
            found = progress(found, total, "Scanning")
        waiting: list[tuple[str, Pixels]] = []
        for path, image in found:
            if isinstance(image, PhotoError):
                self._keep(run, [(path, None, str(image))])
                scanned.broken += 1
                continue
            waiting.append((path, image))
            if len(waiting) == BATCH:
                scanned.judged += self._judge(classifier, run, waiting)
        scanned.judged += self._judge(classifier, run, waiting)
        return scanned

    def _judge(self, classifier: Classifier, run: str, waiting: list[tuple[str, Pixels]]) -> int:
        if not waiting:
            return 0
        probabilities = classifier.probabilities(np.stack([image for _, image in waiting]))
        self._keep(
            run,
            [(path, float(p), None) for (path, _), p in zip(waiting, probabilities, strict=True)],
        )
        count = len(waiting)
        waiting.clear()
        return count

    def _keep(self, run: str, rows: list[tuple[str, float | None, str | None]]) -> None:
        kept = []
        for path, probability, error in rows:
            stat = _stat(self.root / path)
            if stat is not None:
                kept.append((path, *stat, run, probability, error))
        with self._db:
            self._db.executemany("insert or replace into judged values (?, ?, ?, ?, ?, ?)", kept)

    def _not_judged(self, run: str, scanned: Scanned) -> Iterator[tuple[str, Path]]:
        paths = walk(self.root)
        with closing(sqlite3.connect(self.state)) as db:
            while some := list(islice(paths, LOOKED_UP)):
                marks = ",".join("?" * len(some))
                query = f"select path, size, mtime_ns, error from judged where run = ? and path in ({marks})"
                known = {
                    path: (size, mtime, error)
                    for path, size, mtime, error in db.execute(query, [run, *some])
                }
                for path in some:
                    stat = _stat(self.root / path)
                    if stat is None or (path in known and known[path][:2] == stat):
                        scanned.before += 1
                        scanned.broken += path in known and known[path][2] is not None
                        continue
                    yield path, self.root / path

    def results(self, run: str) -> Iterator[tuple[str, float | None, str | None]]:
        """(path, probability, error) of the photos that are there and unchanged, by path."""
        with closing(sqlite3.connect(self.state)) as db:
            query = "select path, size, mtime_ns, probability, error from judged where run = ? order by path"
            for path, size, mtime_ns, probability, error in db.execute(query, [run]):
                if _stat(self.root / path) == (size, mtime_ns):
                    yield path, probability, error


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def write_csv(file: Path, library: Library, classifier: Classifier, run: str) -> int:
    """Write a line for each photo, aside and then renamed; returns how many show the subject."""
    aside, count = file.with_name(f".{file.name}.{os.getpid()}.part"), 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
            table = csv.writer(out, lineterminator="\n")
            table.writerow(COLUMNS)
            for path, p, error in library.results(run):
                verdict = (
                    "" if p is None else verdict_of(p, classifier.threshold, classifier.subject)
                )
                count += verdict == classifier.subject
                shown = "" if p is None else f"{p:.6f}"
                table.writerow(
                    (path, shown, verdict, f"{classifier.threshold:.6f}", run, error or "")
                )
        aside.replace(file)
    except OSError as error:
        raise UserError(
            f"--csv {file}: {error.strerror}; give a file that may be written"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return count


def link_photos(album: Path, library: Library, classifier: Classifier, run: str) -> int:
    """Make `album/SUBJECT/...` and `album/unsure/...`: symbolic links with the library's own folders.

    A link of an earlier scan that no longer holds is taken away; anything that is not such a link stays.

    Returns:
        How many photos of the subject are linked.
    """
    top = library.root.resolve()
    wanted: dict[Path, Path] = {}
    for path, p, _ in library.results(run):
        verdict = "" if p is None else verdict_of(p, classifier.threshold, classifier.subject)
        if verdict in (classifier.subject, "unsure"):
            wanted[album / verdict / path] = top / path
    try:
        for folder in (classifier.subject, "unsure"):
            for link in (album / folder).rglob("*"):
                if link.is_symlink() and link not in wanted and link.readlink().is_relative_to(top):
                    link.unlink()
        for link, photo in wanted.items():
            if link.is_symlink() and link.readlink() == photo:
                continue
            if link.exists():
                raise UserError(f"--link-to {album}: {link} is in the way; give an empty folder")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(photo)
    except OSError as error:
        raise UserError(
            f"--link-to {album}: {error.strerror}; give a folder that may be written"
        ) from error
    return sum(classifier.subject == link.relative_to(album).parts[0] for link in wanted)


def write_sidecars(
    library: Library, classifier: Classifier, run: str
) -> tuple[int, list[tuple[str, str]]]:
    """Put the subject's name among the keywords of XMP side files; take it out where an earlier scan put it.

    Returns:
        How many photos carry it, and (path, reason) of side files that could not be written.
    """
    count, failed = 0, []
    for path, p, _ in library.results(run):
        wanted = (
            p is not None
            and verdict_of(p, classifier.threshold, classifier.subject) == classifier.subject
        )
        try:
            set_keyword(library.root / path, classifier.subject, wanted)
            count += wanted
        except SidecarError as error:
            failed.append((path, str(error)))
    return count, failed
