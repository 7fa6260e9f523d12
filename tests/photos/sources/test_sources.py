import unicodedata
from pathlib import Path

import pytest

from ismila.photos.images import PhotoError
from ismila.photos.sources import MAX_BYTES, GoneError, SourcePhoto, same_name


def test_names_are_the_same_however_their_accents_and_letters_are_written():
    assert same_name("Zoé", unicodedata.normalize("NFD", " ZOÉ "))
    assert same_name("Groß", "GROSS")
    assert not same_name("Mila", "Milan")


def photo(path=None, **facts):
    return SourcePhoto(key="1", name="a.jpg", why="person Mila", path=path, **facts)


def test_a_photo_is_read_from_where_it_is(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"photo")
    assert photo(tmp_path / "a.jpg").read() == b"photo"
    assert photo(fetch=lambda: b"fetched").read() == b"fetched"


def test_what_cannot_be_read_says_why(tmp_path):
    with pytest.raises(GoneError, match="not there any more"):
        photo(tmp_path / "a.jpg").read()
    with pytest.raises(PhotoError, match="not a regular file"):
        photo(tmp_path).read()
    with pytest.raises(PhotoError, match="too large a file"):
        with (tmp_path / "b.jpg").open("wb") as sparse:
            sparse.truncate(MAX_BYTES + 1)
        photo(tmp_path / "b.jpg").read()
    with pytest.raises(PhotoError, match="on another disk"):
        photo(Path("x"), problem="on another disk").read()
