"""A local tracking store is whole before MLflow opens it: made, or mended, aside and renamed.

MLflow makes the tables of an empty file by some fifty migrations, in place. Killed meanwhile, or
done by two processes at once, they leave a file that no later run can open.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from ismila.photos import UserError
from ismila.photos.names import counted, first_line
from ismila.photos.workplace import Workplace

DATABASE = Path("mlruns/mlflow.db")
"""The tracking store, unless another is named."""
SIDES = ("-journal", "-wal", "-shm")
"""SQLite keeps them beside its file, and takes them for part of whatever file has its name."""
WAIT_S = 20.0
"""So long MLflow, too, waits for another writer."""
SETTLED_S = 3.0
"""A half-made file that nobody has written to for so long is nobody's work in progress."""
ELSEWHERE = "name another store with tracking.uri=sqlite:///FILE"


def sqlite_file(uri: str) -> Path | None:
    """The file of a local tracking store; None for a server, or for one in memory."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database or ":memory:"
    return None if name == ":memory:" or name.startswith("file:") else Path(name)


def is_whole(file: Path) -> bool:
    """Its tables are known to be those of the MLflow that is installed; one tiny read tells it."""
    try:
        # read only: a folder of runs may be somebody else's, and nothing is made by looking
        with closing(_opened(f"file:{quote(str(file))}?mode=ro", uri=True)) as db:
            return bool(db.execute("PRAGMA user_version").fetchone()[0] == _mark())
    except sqlite3.Error:  # no such file, or a killed writer's journal lies beside it
        return False


def make_whole(file: Path) -> None:
    """Make the store where there is none, mend one that is half-made or of an older MLflow.

    Nothing is deleted: what has to go is moved aside, and a line says where to.

    Raises:
        UserError: it cannot be made or mended.
    """
    if is_whole(file):
        return
    with locked(file, "made"):
        _mend(file)


@contextmanager
def locked(file: Path, what: str) -> Iterator[None]:
    """Hold a lock beside the store, which the system takes from a holder that dies.

    Raises:
        UserError: the store's folder cannot be written.
    """
    lock = FileLock(file.with_name(f".{file.name}.{what}.lock"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _refused(file, f"its folder cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def workplaces(file: Path) -> Path:
    """Where processes keep what is on its way into the store."""
    return file.with_name(f".{file.name}.working")


@dataclass(frozen=True)
class _FileContent:
    """What is in a file.

    Attributes:
        tables: their names.
        revision: of MLflow's tables, empty when none is noted.
        runs: how many are recorded.
    """

    tables: frozenset[str]
    revision: str
    runs: int


def _mend(file: Path) -> None:
    """Make the store whole, whatever is there; the caller holds the lock."""
    if not _is_there(file):
        _make(file)
        return
    found = _look(file)
    if _is_at_head(found):
        _note_whole(file)
    elif found.tables and "experiments" not in found.tables:
        raise _refused(file, "it is not a database of MLflow's")
    elif found.runs or _is_newer(found.revision):
        _upgrade(file, found)
    else:
        found = _settled(file, found)
        if _is_at_head(found):  # somebody else was making it, and has
            _note_whole(file)
            return
        aside = _free_name(file, "half-made")
        _move(file, aside)
        _say(f"{file} was half-made and held no run: it is made again; it was moved to {aside}")
        _make(file)


def _is_there(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _look(file: Path) -> _FileContent:
    try:
        with closing(_opened(str(file))) as db:
            names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            tables = frozenset(name for (name,) in names)
            noted = "alembic_version" in tables
            revision = db.execute("SELECT * FROM alembic_version").fetchone() if noted else None
            runs = "SELECT count(*) FROM runs"
            count = db.execute(runs).fetchone()[0] if "runs" in tables else 0
            return _FileContent(tables, revision[0] if revision else "", count)
    except sqlite3.Error as error:
        remedy = f"move it away (mv {file} {_free_name(file, 'damaged')}) or {ELSEWHERE}"
        raise UserError(f"{file}: SQLite cannot read it ({error}); {remedy}") from error


def _settled(file: Path, found: _FileContent) -> _FileContent:
    """What is in a half-made file as soon as nobody writes to it: another program may be at it."""
    while not _is_at_head(found) and time.time() - file.stat().st_mtime < SETTLED_S:
        time.sleep(0.2)
        found = _look(file)
    return found


def _is_at_head(found: _FileContent) -> bool:
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_latest_schema_revision

    return found.revision == _get_latest_schema_revision() and found.tables >= set(
        Base.metadata.tables
    )


def _is_newer(revision: str) -> bool:
    """The MLflow that is installed does not know the revision."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db.utils import _get_alembic_config

    if not revision:
        return False
    try:
        ScriptDirectory.from_config(_get_alembic_config("")).get_revision(revision)
    except CommandError:
        return True
    return False


def _make(file: Path) -> None:
    """As MLflow would, but under another name until it is done."""
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for side in SIDES:  # of a file that is gone
        left = file.with_name(file.name + side)
        if left.exists():
            left.rename(_free_name(left, "left"))
    with Workplace(workplaces(file)) as folder:
        new = folder / "new.db"
        store = SqlAlchemyStore(f"sqlite:///{new}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
        store.engine.dispose()
        _note_whole(new)
        new.replace(file)


def _upgrade(file: Path, found: _FileContent) -> None:
    """Bring a store with runs to today's tables: a copy, which then takes its place.

    Raises:
        UserError: MLflow cannot, or somebody is writing into it.
    """
    kept = _free_name(file, f"before-{version('mlflow')}")
    with Workplace(workplaces(file)) as folder, closing(_opened(str(file))) as db:
        try:
            db.execute("PRAGMA journal_mode = DELETE")  # else a WAL would be read into the new one
            db.execute("BEGIN IMMEDIATE")  # what others write from here on would be lost
            for name in ("old.db", "new.db"):
                _copy(file, folder / name)
        except sqlite3.Error as error:
            raise _refused(file, f"it cannot be copied to be upgraded: {error}") from error
        _migrate(folder / "new.db", file, found)
        (folder / "old.db").rename(kept)
        (folder / "new.db").replace(file)
    _say(f"{file} was upgraded to MLflow {version('mlflow')}; as it was before it is {kept}")


def _copy(file: Path, to: Path) -> None:
    """By a connection that only reads: SQLite does not copy through one that is about to write."""
    with closing(_opened(str(file))) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


def _migrate(copy: Path, file: Path, found: _FileContent) -> None:
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{copy}")
    try:
        _upgrade_db(engine)
    except Exception as error:  # alembic's, SQLAlchemy's, or whatever a migration raises
        why = (
            f"its tables ({found.revision or 'half-made'}), which hold {counted(found.runs, 'run')}, "
            f"are none that MLflow {version('mlflow')} can upgrade ({first_line(error)}); "
            "install the MLflow that made them, bring back a copy"
        )
        raise UserError(f"{file}: {why} or {ELSEWHERE}") from error
    finally:
        engine.dispose()
    _note_whole(copy)


def _mark() -> int:
    """Names the MLflow that is installed, in the 31 bits that SQLite has room for."""
    return zlib.crc32(version("mlflow").encode()) & 0x7FFFFFFF


def _note_whole(file: Path) -> None:
    """For `is_whole`, in the number that SQLite keeps for a file's program; MLflow has no use for
    it."""
    try:
        with closing(_opened(str(file))) as db:
            db.execute(f"PRAGMA user_version = {_mark()}")
    except sqlite3.OperationalError:  # it may only be read: the next process looks closely, too
        return


def _opened(name: str, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=WAIT_S, isolation_level=None, uri=uri)


def _move(file: Path, to: Path) -> None:
    """With its sides, and the file first: alone at its place they are moved by `_make`."""
    file.rename(to)
    for side in SIDES:
        beside = file.with_name(file.name + side)
        if beside.exists():
            beside.rename(to.with_name(to.name + side))


def _free_name(file: Path, why: str) -> Path:
    """`<file>.<why>`, with a number when that is taken."""
    name = f"{file.name}.{why}"
    taken = {path.name for path in file.parent.iterdir()}
    free = (name if not n else f"{name}-{n}" for n in range(len(taken) + 1))
    return file.with_name(next(one for one in free if one not in taken))


def _refused(file: Path, why: str) -> UserError:
    return UserError(f"{file}: {why}; {ELSEWHERE}")


def _say(line: str) -> None:
    logging.getLogger(__name__).warning(line)
