import os

import pytest
from conftest import draw_photo

from ismila.photos import UserError
from ismila.use.ask.library import Library, NamedRow, Pending, StateRow, sha256_of, version_of


def test_a_row_counts_while_its_file_has_the_same_size_and_time(tmp_path):
    photo = draw_photo(tmp_path / "library/a.jpg", 0, True)
    row = StateRow("a.jpg", version_of(photo), 0.9, None, sha256_of(photo), "0 0 1 1")
    with Library(tmp_path / "library", tmp_path / "state.sqlite") as library:
        library.keep("run", [row])
        library.keep("another", [row])
    with Library(tmp_path / "library", tmp_path / "state.sqlite") as library:
        assert list(library.unchanged("run")) == [row]
        assert library.known("another", ["a.jpg", "b.jpg"]) == {"a.jpg": row}
        os.utime(photo, (1, 1))
        assert list(library.unchanged("run")) == []


def test_a_time_alone_may_change_where_the_content_is_what_it_was(tmp_path):
    photo = draw_photo(tmp_path / "library/a.jpg", 0, True)
    before = version_of(photo)
    names = NamedRow("a.jpg", before, ("mila", "rex"), sha256_of(photo))
    with Library(tmp_path / "library", tmp_path / "state.sqlite") as library:
        library.keep("run", [StateRow("a.jpg", before, 0.9, None, sha256_of(photo))])
        library.keep_names("run,other", [names])
        os.utime(photo, (1, 1))
        pending = Pending(version_of(photo), sha256_of(photo))
        assert pending.is_the_same(photo)
        library.keep_times({"a.jpg": pending})
        assert [row.version.mtime_ns for row in library.unchanged("run")] == [10**9]
        assert library.names("run,other")["a.jpg"].names == ("mila", "rex")
        photo.write_bytes(b"another")
        assert not pending.is_the_same(photo)


def test_a_state_that_is_no_database_is_named(tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "state.sqlite").write_text("a text " * 1000)
    with pytest.raises(UserError, match=r"--state .*state\.sqlite"):
        Library(tmp_path / "library", tmp_path / "state.sqlite")


def test_a_state_that_can_no_longer_be_written_is_named(tmp_path):
    photo = draw_photo(tmp_path / "library/a.jpg", 0, True)
    library = Library(tmp_path / "library", tmp_path / "state.sqlite")
    library._db.execute("pragma query_only=1")  # what a disk that went read-only does
    with pytest.raises(UserError, match=r"--state .*state\.sqlite"):
        library.keep("run", [StateRow("a.jpg", version_of(photo), 0.9, None)])
