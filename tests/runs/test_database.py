import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.runtime.migration import HeadMaintainer
from conftest import empty_store
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from recorded import at_once, is_tidy

from ismila.photos import UserError
from ismila.runs import database
from ismila.runs.database import is_whole, make_whole, sqlite_file
from ismila.runs.store import connect, experiment_of

OLD_REVISION = "3500859a5d39"


def uri_of(file):
    return f"sqlite:///{file}"


def tables_of(file):
    with closing(sqlite3.connect(file)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def record(file):
    client = connect(uri_of(file))
    run = client.create_run(experiment_of(client, "mila"))
    client.set_terminated(run.info.run_id)


def runs_in(file):
    client = connect(uri_of(file))
    return client.search_runs([client.get_experiment_by_name("mila").experiment_id])


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(steps):
    """In the middle of MLflow's migrations, which are some fifty steps."""
    step = HeadMaintainer.update_to_step
    left = iter([step] * steps)
    HeadMaintainer.update_to_step = lambda self, to: next(left, die)(self, to)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store without a run; do not change it."""
    file = tmp_path_factory.mktemp("whole") / "mlflow.db"
    file.write_bytes(empty_store())
    return file


@pytest.fixture(scope="module")
def half_made(tmp_path_factory):
    """What MLflow leaves that is killed in the middle of its first migrations."""
    file = tmp_path_factory.mktemp("half") / "mlflow.db"

    def made_in_place():
        die_after(20)
        SqlAlchemyStore(uri_of(file), "mlruns")

    assert at_once(1, made_in_place) == [-signal.SIGKILL]
    os.utime(file, (0, 0))
    return file


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """A store with a run, as an MLflow of some years ago made it."""
    file = tmp_path_factory.mktemp("older") / "mlflow.db"
    engine = create_sqlalchemy_engine(uri_of(file))
    InitialBase.metadata.create_all(engine)
    config = _get_alembic_config(uri_of(file))
    with engine.begin() as config.attributes["connection"]:
        command.upgrade(config, OLD_REVISION)
    engine.dispose()
    add_run(file)
    return file


def copied(file, to):
    to.mkdir(exist_ok=True)
    return Path(shutil.copy2(file, to / file.name))


@pytest.mark.slow
def test_processes_that_meet_at_an_empty_folder_share_one_store(tmp_path):
    file = tmp_path / "mlflow.db"
    for side in database.SIDES:  # of a file that was deleted: SQLite would read them into a new one
        file.with_name(file.name + side).write_text("of another file")
    assert at_once(6, record, file) == [0] * 6
    runs = runs_in(file)
    assert len(runs) == 6
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert list(database.workplaces(file).iterdir()) == []
    assert file.with_name("mlflow.db-journal.left").read_text() == "of another file"


@pytest.mark.parametrize("steps", [25, None])
def test_killed_while_it_makes_the_store_it_leaves_none(tmp_path, steps, monkeypatch):
    file = tmp_path / "mlflow.db"

    def made():
        if steps is None:  # everything is made, and nothing renamed
            Path.replace = die
        else:
            die_after(steps)
        make_whole(file)

    assert at_once(1, made) == [-signal.SIGKILL]
    assert not file.exists()
    assert list(database.workplaces(file).iterdir())  # what it had made lies here ...
    monkeypatch.setattr(database, "_make", lambda to: shutil.copy(half_of(tmp_path), to))
    make_whole(file)  # ... and its lock is free


def half_of(tmp_path):
    (tmp_path / "stands for a new one").write_bytes(b"")
    return tmp_path / "stands for a new one"


def test_a_whole_store_is_known_by_a_look(whole, monkeypatch):
    monkeypatch.setattr(database, "_mend", None)
    make_whole(whole)
    assert is_whole(whole)
    assert is_tidy(whole)
    at_once(1, abandon, whole)
    assert not is_tidy(whole)
    connect(uri_of(whole))
    assert is_tidy(whole)


def abandon(file):
    database.Workplace(database.workplaces(file))
    os._exit(0)


def test_a_store_of_another_version_of_ours_is_looked_at_and_known_from_then_on(whole, tmp_path):
    file = copied(whole, tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 0")
    inode = file.stat().st_ino
    make_whole(file)
    assert is_whole(file)
    assert file.stat().st_ino == inode  # neither made again nor moved


def test_a_half_made_store_without_a_run_is_made_again_beside_the_old_one(
    half_made, whole, tmp_path, monkeypatch, caplog
):
    file = copied(half_made, tmp_path / "store")
    file.with_name("mlflow.db-journal").write_bytes(b"")
    assert not tables_of(file) >= tables_of(whole)
    monkeypatch.setattr(database, "_make", lambda to: shutil.copy(whole, to))
    make_whole(file)
    assert is_whole(file)
    aside = file.with_name("mlflow.db.half-made")
    assert tables_of(aside) == tables_of(half_made)
    assert str(aside) in caplog.text
    assert {path.name for path in file.parent.glob("*half-made*")} == {
        aside.name,
        f"{aside.name}-journal",
    }
    file.write_bytes(b"")  # what a process leaves that was killed even earlier
    make_whole(file)
    assert is_whole(file)
    assert len(list(file.parent.glob("*half-made*"))) == 2


def add_run(file):
    with closing(sqlite3.connect(file)) as db:
        db.execute("INSERT INTO experiments (name, lifecycle_stage) VALUES ('mila', 'active')")
        db.execute(
            "INSERT INTO runs (run_uuid, name, user_id, source_type, status, start_time, "
            "lifecycle_stage, artifact_uri, experiment_id) VALUES ('abc', 'kept', 'me', 'LOCAL', "
            "'FINISHED', 1, 'active', 'nowhere', (SELECT max(experiment_id) FROM experiments))"
        )
        db.commit()


def test_a_store_with_runs_is_upgraded_on_a_copy(older, tmp_path, caplog):
    file = copied(older, tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    make_whole(file)
    assert is_whole(file)
    [run] = runs_in(file)
    assert run.info.run_id == "abc"
    [before] = tmp_path.glob("mlflow.db.before-*")
    assert tables_of(before) == tables_of(older)
    assert str(before) in caplog.text
    assert not list(tmp_path.glob("*-wal"))


def test_what_cannot_be_mended_is_one_line_and_stays_as_it_is(half_made, whole, tmp_path):
    broken = copied(half_made, tmp_path / "broken")
    add_run(broken)
    with closing(sqlite3.connect(broken)) as db:
        db.execute("DROP TABLE alembic_version")
    newer = copied(whole, tmp_path / "newer")
    with closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA user_version = 0")
        db.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        db.commit()
    other = tmp_path / "photos.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE photos (name)")
    text = tmp_path / "text.db"
    text.write_text("no database, but long enough for SQLite to look at it" * 20)
    said = {
        broken: "which hold 1 run, are none that MLflow",
        newer: "are none that MLflow",
        other: "it is not a database of MLflow's",
        text: "SQLite cannot read it",
    }
    for file, why in said.items():
        before = file.read_bytes()
        with pytest.raises(UserError, match=why) as error:
            make_whole(file)
        assert "\n" not in str(error.value)
        assert "name another store with tracking.uri=sqlite:///FILE" in str(error.value)
        assert file.read_bytes() == before
        assert not [path for path in file.parent.iterdir() if "before" in path.name]


def test_what_another_program_is_making_is_waited_for(half_made, whole, tmp_path, monkeypatch):
    file = copied(half_made, tmp_path)
    os.utime(file)
    monkeypatch.setattr(database.time, "sleep", lambda _: shutil.copy(whole, file))
    with closing(sqlite3.connect(whole)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0]
    make_whole(file)
    assert is_whole(file)
    assert not list(tmp_path.glob("*half-made*"))


def test_a_folder_that_may_not_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="its folder cannot be written"):
        make_whole(tmp_path / "file/mlflow.db")


def test_which_stores_are_files():
    assert sqlite_file("sqlite:///mlruns/mlflow.db") == Path("mlruns/mlflow.db")
    assert sqlite_file("sqlite:////srv/a%20b.db") == Path("/srv/a b.db")
    for uri in ("sqlite://", "sqlite:///:memory:", "http://127.0.0.1:1", "postgresql://x/y"):
        assert sqlite_file(uri) is None
