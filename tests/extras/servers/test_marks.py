import pytest
from conftest import draw_photo

from ismila.extras.servers.marks import SET, Carried, MarksRecord
from ismila.extras.servers.server import TAG, Mark
from ismila.photos import UserError

MARK = Mark(TAG, "mila")


def test_what_was_set_is_kept_by_server_and_mark(tmp_path):
    with MarksRecord(tmp_path / "record.sqlite") as record:
        assert not record.knows("http://nas")
        record.know("http://nas")
        record.keep(
            "http://nas", MARK, {"1": Carried("caf\udce9.jpg", SET), "2": Carried("b.jpg", SET)}
        )
        record.forget("http://nas", MARK, ["2"])
    with MarksRecord(tmp_path / "record.sqlite") as record:
        assert record.knows("http://nas")
        assert record.carried("http://nas", MARK) == {"1": ("caf\udce9.jpg", SET)}
        assert (
            record.carried("http://nas", Mark(TAG, "rex"))
            == record.carried("http://other", MARK)
            == {}
        )


def test_a_photo_is_read_once_for_each_version(tmp_path, monkeypatch):
    draw_photo(tmp_path / "a.jpg", 1, True)
    with MarksRecord(tmp_path / "record.sqlite") as record:
        first = record.sha1s(tmp_path, ["a.jpg"])
        with monkeypatch.context() as patch:
            patch.setattr("hashlib.file_digest", None)
            assert record.sha1s(tmp_path, ["a.jpg", "gone.jpg"]) == first
        draw_photo(tmp_path / "a.jpg", 2, True)
        assert record.sha1s(tmp_path, ["a.jpg"]) != first


def test_a_record_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(UserError, match="--state FILE keeps it elsewhere"):
        MarksRecord(tmp_path / "no/such/folder/record.sqlite")
