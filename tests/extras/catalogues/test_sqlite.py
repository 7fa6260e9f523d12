import os
import sqlite3
from contextlib import closing

import pytest

from ismila.extras.catalogues.sqlite import ATTEMPTS, Trees, path_of, read_database
from ismila.photos import UserError


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "what? a 100 % #1.db"
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("CREATE TABLE t (x)")
        opened.execute("INSERT INTO t VALUES (1)")
    return file


def rows(connection):
    return connection.execute("SELECT x FROM t").fetchall()


def test_a_database_that_changed_while_it_was_read_is_read_again(database):
    reads = []

    def changing(connection):
        reads.append(rows(connection))
        if len(reads) == 1:
            with closing(sqlite3.connect(database)) as other, other:
                other.execute("INSERT INTO t VALUES (2)")
        return reads[-1]

    assert read_database(database, "digiKam", changing) == [(1,), (2,)]
    assert len(reads) == 2


def test_one_that_is_written_all_the_time_is_given_up(database):
    reads = []

    def changing(connection):
        reads.append(os.utime(database, ns=(0, len(reads))))

    with pytest.raises(UserError, match="written all the time; close digiKam"):
        read_database(database, "digiKam", changing)
    assert len(reads) == ATTEMPTS


def test_what_a_killed_program_left_half_written_is_taken_back_in_a_copy(
    database, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA cache_size=1")
    writer.execute("BEGIN")
    writer.execute("UPDATE t SET x = 7")
    writer.executemany("INSERT INTO t VALUES (?)", [("x" * 2000,)] * 50)  # spills into the file
    journal = database.with_name(f"{database.name}-journal")
    assert journal.stat().st_size
    before = (database.read_bytes(), journal.read_bytes())
    assert read_database(database, "digiKam", rows) == [(1,)]
    assert (database.read_bytes(), journal.read_bytes()) == before
    writer.close()


def test_a_database_that_may_not_be_written_is_read(database):
    database.chmod(0o400)
    assert read_database(database, "digiKam", rows) == [(1,)]


def test_photos_are_looked_for_where_a_person_says_first(tmp_path):
    for folder in ("here", "moved", "moved/Bilder"):
        (tmp_path / folder / "2021").mkdir(parents=True, exist_ok=True)
    root = tmp_path / "D/Bilder"
    (tmp_path / "moved/Bilder/2021/a.jpg").touch()
    trees = Trees(None)
    assert trees.find([root], "2021/a.jpg") == root / "2021/a.jpg"
    assert trees.notes() == [f"{root} is not there; say with --photos DIR where its photos lie now"]
    trees = Trees(tmp_path / "moved")
    assert trees.find([root], "2021/a.jpg") == tmp_path / "moved/Bilder/2021/a.jpg"
    (tmp_path / "moved/2021/a.jpg").touch()
    assert trees.find([root], "2021/a.jpg") == tmp_path / "moved/2021/a.jpg"
    assert trees.notes() == []


def test_a_tag_that_stands_above_itself_ends_nothing():
    assert path_of(1, {1: (2, "Mila"), 2: (1, "Pets")}) == "Pets/Mila"
    assert path_of(3, {1: (0, "Mila")}) == ""
