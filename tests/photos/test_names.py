import os

import pytest

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.names import (
    as_cell,
    as_text,
    counted,
    from_cell,
    is_text,
    one_line,
    without_password,
)

ODD = os.fsdecode(b"caf\xe9.jpg")


def test_a_name_of_any_bytes_is_shown_as_text_and_kept_as_it_is():
    assert not is_text(ODD)
    assert as_text(ODD) == "caf\\xe9.jpg"
    assert as_cell(ODD) == b"caf\xe9.jpg"
    assert from_cell(as_cell(ODD)) == ODD
    assert as_cell("café 犬.jpg") == as_text("café 犬.jpg") == from_cell("café 犬.jpg")
    assert as_text("half \ud800") == "half \\ud800"


def test_nothing_in_a_name_ends_the_line_or_moves_the_cursor():
    assert one_line("a\nb\r\x1b[2J\x9b\u2028\u202e.jpg") == (
        "a\\nb\\r\\x1b[2J\\x9b\\u2028\\u202e.jpg"
    )
    assert one_line(ODD + "\u200d\U0001f415\u3000") == ODD + "\u200d\U0001f415\u3000"


def test_one_of_a_thing_is_no_plural():
    said = [counted(n, "usable photo") for n in range(3)]
    assert said == ["0 usable photos", "1 usable photo", "2 usable photos"]


@pytest.mark.parametrize("what", ["root", "cache"])
def test_a_folder_whose_path_no_run_could_record_is_refused(tmp_path, what):
    odd = tmp_path / os.fsdecode(b"alb\xfcm")
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    places = {"root": tmp_path, "cache": None, what: odd}
    with pytest.raises(UserError, match=rf"data.{what}=.*alb\\xfcm: its path is not UTF-8; rename"):
        Album.open(places["root"], "mila", places["cache"])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://me:***@host:5000/x"),
        (
            "uri: postgresql+psycopg2://mlflow:s@cr:et@127.0.0.1/mlflow, gone",
            "uri: postgresql+psycopg2://mlflow:***@127.0.0.1/mlflow, gone",
        ),
        ("http://:secret@host", "http://:***@host"),
        ("http://host:5000/me@home", "http://host:5000/me@home"),
        ("http://me@host", "http://me@host"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        ("s3://bucket/it is me: x@y", "s3://bucket/it is me: x@y"),
    ],
)
def test_an_address_keeps_its_password_to_itself(said, shown):
    assert without_password(said) == shown
