"""Results kept by shard: whole, resumable, hardly moved by a photo that comes."""

import pyarrow as pa
import pytest

from ismila.extras.cluster.shards import MANIFEST, SCHEMA, Shards, cut
from ismila.photos import UserError
from ismila.use.ask.listing import LibraryPhoto


def photos(count):
    return [LibraryPhoto(f"{i:05}.jpg", "1 2") for i in range(count)]


def rows_of(*paths, verdict="mila"):
    columns = {"path": paths, "probability": [0.9] * len(paths), "verdict": [verdict] * len(paths)}
    columns |= {
        "threshold": [0.5] * len(paths),
        "run": ["r"] * len(paths),
        "error": [""] * len(paths),
    }
    return pa.table(columns, schema=SCHEMA)


def test_a_photo_that_comes_changes_one_shard():
    before = {shard.name for shard in cut(photos(5000), 50)}
    new = sorted([*photos(5000), LibraryPhoto("02500-b.jpg", "1 2")])
    after = {shard.name for shard in cut(new, 50)}
    assert 1 <= len(before - after) <= 2
    assert 60 <= len(before) <= 160


def test_shards_hold_all_photos_in_order_and_none_is_huge():
    shards = list(cut(photos(3000), 20))
    assert [name.decode() for shard in shards for name in shard.paths.to_pylist()] == [
        photo.path for photo in photos(3000)
    ]
    assert max(map(len, shards)) <= 80


def test_another_version_is_another_shard():
    [one] = cut([LibraryPhoto("a.jpg", "1")], 10)
    [two] = cut([LibraryPhoto("a.jpg", "2")], 10)
    assert one.name != two.name


def test_a_name_that_is_no_text_can_be_cut():
    [shard] = cut([LibraryPhoto("\udce9.jpg", "1")], 10)
    assert shard.paths.to_pylist() == [b"\xe9.jpg"]


def test_what_a_killed_scan_left_half_is_not_taken_for_kept(tmp_path):
    with Shards.opened(tmp_path / "s") as shards:
        shards.keep("a", rows_of("2.jpg", "1.jpg"), "mila")
        shards.keep("b", rows_of("0.jpg", verdict="unsure"), "mila")
    (tmp_path / "s/b.parquet").unlink()
    (tmp_path / "s/.c.parquet.1-00000000.part").write_bytes(b"PAR1")
    with (tmp_path / "s" / MANIFEST).open("a") as manifest:
        manifest.write('{"shard": "c", "pho')
    with Shards.opened(tmp_path / "s") as shards:
        [kept] = shards.kept.values()
        assert (kept.shard, kept.photos, kept.of_subject, kept.unread) == ("a", 2, 2, 0)
        shards.keep("d", rows_of("3.jpg"), "mila")
        shards.drop_all_but(["a", "d"])
        assert [judged.path for judged in shards.results()] == ["1.jpg", "2.jpg", "3.jpg"]
    assert sorted(file.name for file in (tmp_path / "s").glob("*[!k]")) == [
        MANIFEST,
        "a.parquet",
        "d.parquet",
    ]


def test_two_scans_do_not_write_one_folder(tmp_path):
    with (
        Shards.opened(tmp_path / "s"),
        pytest.raises(UserError, match="another scan is writing it"),
        Shards.opened(tmp_path / "s"),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError, match=r"--state .*file/s: Not a directory"),
        Shards.opened(tmp_path / "file/s"),
    ):
        pass
