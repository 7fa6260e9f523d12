from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import draw_photo
from PIL import Image
from scipy.sparse.csgraph import connected_components

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.index import (
    Facts,
    album_digest,
    make_index,
    read_facts,
    require_both_labels,
    usable,
)
from ismila.photos.labels import Row

NOTHING_FETCHED = pd.DataFrame(columns=["id", "path", "taken_at"])


def indexed(root):
    return Album.open(root, "mila").update()


def test_labels_and_kinds_come_from_the_folders(album):
    index = indexed(album)
    assert index["kind"].value_counts().to_dict() == {"things": 40, "mila": 24, "dog": 6, "cat": 6}
    assert (index["problem"] == "").all()


def test_every_broken_file_is_named_and_left_out(album):
    (album / "mila/zero.jpg").write_bytes(b"")
    whole = (album / "mila/m0.jpg").read_bytes()
    (album / "mila/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (album / "mila/text.jpg").write_text("hello")
    draw_photo(album / "mila/tiny.png", 1, False, (1, 1))
    (album / "loop").symlink_to(album)
    (album / "mila/gone.jpg").symlink_to("nowhere.jpg")
    (album / "mila/folder.jpg").mkdir()
    index = indexed(album).set_index("path")
    left_out = index[index["problem"] != ""]
    assert left_out["problem"]["mila/zero.jpg"] == "empty file"
    assert sorted(Path(path).stem for path in left_out.index) == [
        "cut",
        "gone",
        "text",
        "tiny",
        "zero",
    ]
    assert (left_out["group"] == "").all()


def test_near_duplicates_share_a_group(album):
    for i in range(12):
        with Image.open(album / f"mila/m{i}.jpg") as photo:
            photo.resize((150, 112)).save(album / f"mila/again{i}.jpg", quality=70)
    groups = usable(indexed(album)).set_index("path")["group"]
    for i in range(12):
        assert groups[f"mila/m{i}.jpg"] == groups[f"mila/again{i}.jpg"]


def test_groups_of_near_duplicates_are_those_that_comparing_each_with_each_finds():
    rng = np.random.default_rng(0)
    hashes = [int(rng.integers(0, 2**64, dtype=np.uint64)) for _ in range(60)]
    for _ in range(240):  # of an earlier one, with 0 to 9 bits turned
        turned = rng.choice(64, rng.integers(0, 10), replace=False)
        hashes.append(hashes[rng.integers(len(hashes))] ^ sum(1 << int(bit) for bit in turned))
    names = [f"mila/{number:03}" for number in range(len(hashes))]
    facts = {
        name: Facts(f"{number:016}{0:048}", 640, 480, "", f"{value:016x}")
        for number, (name, value) in enumerate(zip(names, hashes, strict=True))
    }
    rows = [Row(path=name, label="subject", kind="mila") for name in names]
    told = make_index(rows, facts, NOTHING_FETCHED)["group"].astype(int).tolist()
    alike = [[(one ^ other).bit_count() <= 6 for other in hashes] for one in hashes]
    n, expected = connected_components(np.array(alike))
    assert told == [expected.tolist().index(label) for label in expected]
    assert 60 < n < 200


def pretended(*photos):
    """An index of made-up facts; each photo is (path, sha256, when it was taken, cells of its row)."""
    rng = np.random.default_rng(0)
    rows, facts = [], {}
    for path, sha256, taken, cells in photos:
        subject = path.startswith("mila")
        label, kind = ("subject", "mila") if subject else ("things", "things")
        rows.append(Row(**{"path": path, "label": label, "kind": kind, **cells}))
        facts[path] = Facts(sha256, 640, 480, taken, rng.bytes(8).hex())
    return make_index(rows, facts, NOTHING_FETCHED).set_index("path")


def test_a_burst_is_a_group_and_a_date_without_a_time_makes_none():
    index = pretended(
        ("mila/a", "a" * 64, "2024-05-01T10:00:00", {}),
        ("mila/b", "b" * 64, "2024-05-01T10:00:09", {}),
        ("not_mila/c", "c" * 64, "2024-05-01T10:00:19", {}),
        ("mila/d", "d" * 64, "2024-05-01T10:00:30", {}),
        ("mila/e", "e" * 64, "2024-05-02T00:00:00", {}),
        ("mila/f", "f" * 64, "2024-05-02T00:00:00", {}),
        ("mila/g", "9" * 64, "0001-01-01T00:00:00", {}),
    )
    assert index["group"].str[0].to_dict() == {
        "mila/a": "a",
        "mila/b": "a",
        "mila/d": "d",
        "mila/e": "e",
        "mila/f": "f",
        "mila/g": "9",
        "not_mila/c": "a",
    }


def test_a_photo_that_takes_no_part_ties_no_groups_together():
    times = [f"2024-05-01T10:00:{second:02}" for second in (0, 8, 16)]
    index = pretended(
        ("mila/a", "a" * 64, times[0], {}),
        ("mila/b", "b" * 64, times[1], {"dropped": True}),
        ("mila/c", "c" * 64, times[2], {}),
    )
    assert index["group"].tolist() == ["a" * 16, "", "c" * 16]
    assert index["problem"]["mila/b"] == "dropped in labels.csv"


def test_a_box_given_to_one_copy_holds_and_two_that_differ_are_a_problem():
    index = pretended(
        ("mila/a", "a" * 64, "", {}),
        ("mila/b", "a" * 64, "", {"box": "0 0 0.5 1"}),
        ("mila/c", "c" * 64, "", {"box": "none"}),
        ("mila/d", "c" * 64, "", {"box": "0 0 0.5 1"}),
        ("mila/e", "e" * 64, "", {}),
    )
    assert index["box"].tolist()[:2] == ["0 0 0.5 1"] * 2
    assert index["box"]["mila/e"] == ""
    assert index["problem"].str.contains("with different boxes: .* labels.csv").tolist()[2:4] == [
        True, True
    ]  # fmt: skip


def test_one_content_under_several_names_counts_once():
    index = pretended(
        ("mila/a", "a" * 64, "", {}),
        ("mila/b", "a" * 64, "", {"closeup": True}),
        ("mila/c", "c" * 64, "", {}),
        ("not_mila/c", "c" * 64, "", {}),
        ("mila/d", "d" * 64, "", {"closeup": True}),
        ("mila/e", "d" * 64, "", {"closeup": False}),
    )
    assert index["problem"]["mila/b"] == "same photo as mila/a"
    assert index["closeup"]["mila/a"]
    for path, what in (("mila/c", "different labels"), ("mila/e", "a closeup and none")):
        assert what in index["problem"][path]
    assert usable(index.reset_index())["path"].tolist() == ["mila/a"]


def test_the_order_of_rows_and_their_names_change_nothing():
    photos = [(f"mila/{i}", f"{i:016x}" * 4, "", {}) for i in range(9)]
    renamed = [(f"mila/{9 - i}", f"{i:016x}" * 4, "", {}) for i in range(9)]
    indices = [pretended(*photos).reset_index(), pretended(*renamed).reset_index()]
    assert album_digest(indices[0]) == album_digest(indices[1])
    rows = [Row(path, "subject", "mila") for path, *_ in photos]
    facts = {path: Facts(sha, phash="0" * 16) for path, sha, *_ in photos}
    there = make_index(rows, facts, NOTHING_FETCHED)
    assert make_index(rows[::-1], facts, NOTHING_FETCHED).equals(there)
    assert there["group"].nunique() == 1


def test_an_empty_album_is_an_empty_index(tmp_path):
    index = indexed(tmp_path)
    assert len(index) == 0
    with pytest.raises(UserError, match="no photo that can be used; put photos into"):
        require_both_labels(index, tmp_path, "mila")


@pytest.mark.parametrize(
    ("subject", "things", "problem"),
    [
        (0, 5, "0 usable photos of mila; put at least 3 into ROOT/mila"),
        (2, 5, "2 usable photos of mila"),
        (5, 2, "2 usable photos without mila; put at least 3 into ROOT/not_mila"),
        ("burst", 5, "all 4 photos of mila are one burst or nearly the same.* ROOT/mila"),
        (5, "burst", "all 4 photos without mila are one burst.* ROOT/not_mila"),
        (3, 3, None),
    ],
)
def test_an_album_too_small_to_learn_from_is_told_what_it_lacks(subject, things, problem):
    photos = []
    for folder, many in (("mila", subject), ("not_mila", things)):
        for i in range(4 if many == "burst" else many):
            taken = f"2024-05-01T10:00:0{i}" if many == "burst" else ""
            photos.append((f"{folder}/{i}", f"{len(photos):016x}" * 4, taken, {}))
    index = pretended(*photos).reset_index()
    if problem is None:
        require_both_labels(index, Path("ROOT"), "mila")
    else:
        with pytest.raises(UserError, match=problem):
            require_both_labels(index, Path("ROOT"), "mila")


def test_facts_of_a_photo_are_upright_and_say_when(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0132] = "2024:05:01 10:00:00"
    with Image.open(draw_photo(tmp_path / "a.jpg", 0, True)) as photo:
        photo.save(tmp_path / "b.jpg", exif=exif)
    facts = read_facts(tmp_path / "b.jpg")
    assert (facts.width_px, facts.height_px, facts.damage) == (120, 160, "")
    assert facts.taken == "2024-05-01T10:00:00"
    assert read_facts(tmp_path).damage == "not a regular file"
