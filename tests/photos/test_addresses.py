"""An address and the path of its local copy say the same."""

from pathlib import Path

from ismila.photos.addresses import address_of, album_at, as_given, place_of


def test_a_folder_stays_a_folder(tmp_path):
    assert album_at("some/album") == Path("some/album")
    assert album_at("~/album") == Path.home() / "album"
    assert address_of(tmp_path) == ""
    assert place_of(tmp_path) == str(tmp_path)


def test_a_copy_knows_its_address():
    copy = album_at("s3://bucket/my album/é/")
    assert address_of(copy) == place_of(copy) == "s3://bucket/my album/é"
    assert address_of(Path("/srv") / copy) == "s3://bucket/my album/é"
    assert address_of(copy / "mila") == ""


def test_messages_name_the_address():
    copy = album_at("s3://bucket/a b")
    assert as_given(f"data.root={copy}: empty") == "data.root=s3://bucket/a b: empty"
    assert as_given(f"{Path('/x') / copy}/labels.csv:3: no") == "s3://bucket/a b/labels.csv:3: no"
    assert as_given("data/photos: fine") == "data/photos: fine"
