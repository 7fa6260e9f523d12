"""A person's answers about photos of a library, on disk."""

import pytest

from ismila.photos import UserError
from ismila.photos.reviewed import ReviewAnswer, read_answers, write_answers

FIRST = ReviewAnswer(
    "aa", "/lib", "2020/a.jpg", "mila", "0.1 0.2 0.5 0.9", "asked as found", "run", "mila/a.jpg"
)
SECOND = ReviewAnswer("bb", "/lib", "2020/b.jpg", "drop", "", "asked as doubtful", "run")


def test_answers_come_back_as_they_were_written(tmp_path):
    assert read_answers(tmp_path) == {}
    answers = {answer.sha256: answer for answer in (FIRST, SECOND)}
    write_answers(tmp_path, answers)
    assert read_answers(tmp_path) == answers
    assert [path.name for path in tmp_path.iterdir()] == ["reviewed.parquet"]


def test_a_file_that_is_none_or_cannot_be_written_is_said(tmp_path):
    (tmp_path / "reviewed.parquet").write_text("no table")
    with pytest.raises(UserError, match=r"reviewed\.parquet: cannot be read; .*delete it"):
        read_answers(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"an album that may be written"):
        write_answers(tmp_path / "file", {"aa": FIRST})
