"""Another program's sqlite database, read while that program may be running, and never changed.

Opened as immutable, sqlite takes no lock and makes no file beside it; what it reads is then whole only where
nobody writes at that moment, which is looked at afterwards. What a program has not yet written back into the
database (`-wal`, `-journal`) is seen in a copy aside.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar
from urllib.parse import quote

from ismila.photos import UserError
from ismila.photos.sources import SourcePhoto
from ismila.photos.sources.opening import SourceOptions
from ismila.photos.walking import SUFFIXES
from ismila.photos.workplace import Workplace, abandoned

T = TypeVar("T")
ATTEMPTS = 5
PENDING = ("-wal", "-journal")
"""How files end in which sqlite keeps what is not in the database yet, or not for good."""


def read_database(file: Path, program: str, read: Callable[[sqlite3.Connection], T]) -> T:
    """What `read` gets from the database of a program.

    Raises:
        UserError: it cannot be read, is of another program, or is written all the time.
    """
    problem = f"is being written all the time; close {program}, and give the same command again"
    for _ in range(ATTEMPTS):
        before = _state(file)
        try:
            with _connected(file) as connection:
                result = read(connection)
        except sqlite3.DatabaseError as error:
            problem = f"cannot be read as a database of {program} ({error}); give that"
            if _state(file) == before:
                break
            continue
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}; put that right") from error
        if _state(file) == before:
            return result
    raise UserError(f"{file}: {problem}")


def _state(file: Path) -> list[tuple[int, int]]:
    """What changes when somebody writes into the database or beside it."""
    stats = []
    for suffix in ("", *PENDING):
        try:
            stat = Path(f"{file}{suffix}").stat()
            stats.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            stats.append((0, 0))
    return stats


@contextmanager
def _connected(file: Path) -> Iterator[sqlite3.Connection]:
    pending = [path for path in (Path(f"{file}{suffix}") for suffix in PENDING) if _holds(path)]
    if not pending:
        with _opened(file, "mode=ro&immutable=1") as connection:
            yield connection
        return
    place = _cache() / "databases"
    for _ in abandoned(place):
        pass
    with Workplace(place) as folder:
        copies = [Path(shutil.copyfile(path, folder / path.name)) for path in (file, *pending)]
        with _opened(copies[0], "mode=rw") as connection:
            yield connection


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


@contextmanager
def _opened(file: Path, how: str) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(os.fsencode(file.absolute()))}?{how}"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        connection.text_factory = os.fsdecode  # file names of any bytes
        yield connection


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ismila"


def marks(values: Sequence[object]) -> str:
    """`?, ?, ?` for as many values."""
    return ", ".join("?" * len(values))


def path_of(id: int, parents: Mapping[int, tuple[int, str]]) -> str:
    """A tag with those above it: `People/Mila`.

    Args:
        parents: id -> (id of the one above, name).
    """
    names: list[str] = []
    seen = set()
    while id in parents and id not in seen:
        seen.add(id)
        id, name = parents[id]
        names.append(name)
    return "/".join(name for name in reversed(names) if name)


class Trees:
    """Where photos lie that a database knows by a folder and what comes below it.

    Args:
        photos: where they lie now; None: where the database says.
    """

    def __init__(self, photos: Path | None) -> None:
        self._photos = photos
        self._missing: set[Path] = set()

    def find(self, roots: Sequence[Path], below: str) -> Path:
        """The photo's file, below the first of the roots where it is; the first where it is in none."""
        candidates = [root / below for root in roots]
        if self._photos:
            moved = [self._photos / below, *(self._photos / root.name / below for root in roots)]
            candidates = [*moved, *candidates]
        path = next((path for path in candidates if os.path.exists(path)), None)  # noqa: PTH110
        if path is None and not any(root.is_dir() for root in roots):
            self._missing.update(roots[:1])
        return path or candidates[0]

    def notes(self) -> list[str]:
        """What a person can do about folders that are not there."""
        remedy = "is not there; say with --photos DIR where its photos lie now"
        return [f"{root} {remedy}" for root in sorted(self._missing)] if not self._photos else []


class DatabaseSource:
    """What is the same of sources that are a program's database.

    Attributes:
        program: what a person calls it.
        kind, where, notes: see `Source`.
    """

    program: ClassVar[str]

    def __init__(self, kind: str, file: Path, wanted: SourceOptions) -> None:
        self.kind = kind
        self.where = str(file.absolute())
        self.notes: list[str] = []
        self._file = file
        self._trees = Trees(wanted.photos)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return read_database(self._file, self.program, read)


def catalogued(key: str, path: Path, why: str) -> SourcePhoto:
    """A photo of a database, which may hold raw files and films, too."""
    is_read = path.suffix.lower() in SUFFIXES
    problem = "" if is_read else "not read in this format; export it as JPEG, and add that folder"
    return SourcePhoto(key=key, name=path.name, why=why, path=path, problem=problem)
