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
    OCCASION_MINUTES,
    Facts,
    album_digest,
    make_index,
    read_facts,
    require_both_labels,
    time_problems,
    usable,
)
from ismila.photos.labels import LabelledPhoto

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
    rows = [LabelledPhoto(path=name, label="subject", kind="mila") for name in names]
    told = make_index(rows, facts, NOTHING_FETCHED)["group"].astype(int).tolist()
    alike = [[(one ^ other).bit_count() <= 6 for other in hashes] for one in hashes]
    n, expected = connected_components(np.array(alike))
    assert told == [expected.tolist().index(label) for label in expected]
    assert 60 < n < 200


def pretended(*photos, occasion_minutes=OCCASION_MINUTES):
    """An index of made-up facts; each photo is (path, sha256, when it was taken, cells of its row)."""
    rng = np.random.default_rng(0)
    rows, facts = [], {}
    for path, sha256, taken, cells in photos:
        subject = path.startswith("mila")
        label, kind = ("subject", "mila") if subject else ("things", "things")
        rows.append(LabelledPhoto(**{"path": path, "label": label, "kind": kind, **cells}))
        facts[path] = Facts(sha256, 640, 480, taken, rng.bytes(8).hex())
    return make_index(rows, facts, NOTHING_FETCHED, occasion_minutes).set_index("path")


def groups_of(*photos, **how):
    """The first letters of the photos' groups, by the photos' names."""
    return pretended(*photos, **how)["group"].str[:1].to_dict()


def at(times):
    """Made-up photos of the subject, called a, b, c ..., by when they were taken."""
    letters = "abcdef0123456789"
    return [
        (f"mila/{letters[n]}", letters[n] * 64, when, {})
        for n, when in enumerate(times)
    ]  # fmt: skip


def test_an_occasion_is_a_group_and_a_date_without_a_time_makes_none():
    index = pretended(
        ("mila/a", "a" * 64, "2024-05-01T10:00:00", {}),
        ("mila/b", "b" * 64, "2024-05-01T11:59:59", {}),
        ("not_mila/c", "c" * 64, "2024-05-01T12:00:19", {}),
        ("mila/d", "d" * 64, "2024-05-01T14:00:20", {}),
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


def test_a_session_at_30_seconds_is_one_occasion():
    times = [f"2024-05-01T10:{n // 2:02}:{n % 2 * 30 + 1:02}" for n in range(16)]
    assert set(groups_of(*at(times)).values()) == {"0"}


@pytest.mark.parametrize(
    ("minutes", "groups"), [(120.0, "aac"), (1.0, "abc"), (240.0, "aaa"), (None, "abc")]
)
def test_the_gap_between_occasions_can_be_set(minutes, groups):
    times = ["2024-05-01T10:00:01", "2024-05-01T11:30:00", "2024-05-01T15:00:00"]
    found = groups_of(*at(times), occasion_minutes=minutes)
    assert "".join(found.values()) == groups


def test_an_occasion_ends_at_night_and_a_burst_does_not():
    every_hour = pd.date_range("2024-05-01 00:30:01", "2024-05-01 12:30:01", freq="h")
    groups = groups_of(*at([when.isoformat() for when in every_hour]))
    assert len(set(groups.values())) == 2
    burst = ["2024-05-01T03:59:58", "2024-05-01T04:00:02", "2024-05-01T04:01:02"]
    assert set(groups_of(*at(burst)).values()) == {"a"}


def test_a_zone_tears_no_occasion_apart():
    same_clock = ["2024-05-01T10:00:01", "2024-05-01T10:00:03+02:00", "2024-05-01T10:00:05Z"]
    assert set(groups_of(*at(same_clock)).values()) == {"a"}
    same_moment = ["2024-05-01T10:00:01+02:00", "2024-05-01T08:00:03Z", "2024-04-30T22:00:05-10:00"]
    assert set(groups_of(*at(same_moment)).values()) == {"a"}
    assert set(groups_of(*at(same_moment), occasion_minutes=None).values()) == {"a", "b", "c"}


def test_a_clock_that_stood_still_tells_no_occasion_and_is_named():
    default = ["2015-06-23T18:00:00"] * 4 + ["2015-06-23T18:00:01"] * 2
    index = pretended(*at(default))
    assert index["group"].str[0].tolist() == list("abcdee")
    assert (index["time_problem"] != "").tolist() == [True] * 4 + [False] * 2
    told = time_problems(index.reset_index())
    assert told.startswith(
        "4 photos: time could not be read, or is none of a photo's (mila/a: 2015-06-23 18"
    )
    assert told.endswith("; and 1 more)")
    many = [(f"mila/{n}", f"{n:016x}" * 4, "2015-06-23T18:23:45", {}) for n in range(31)]
    assert pretended(*many)["group"].nunique() == 31
    assert pretended(*many[:30])["group"].nunique() == 1


def test_names_tell_of_bursts_and_of_times_where_the_files_do_not():
    names = [
        "IMG_20180914_094602055_BURST000_COVER",
        "IMG_20180914_094602055_BURST001",
        "IMAG0123_BURST001",
        "IMAG0123_BURST002_COVER",
        "20231207_101605_001",
        "20231207_101605_002",
        "IMG-20190914-WA0001",
        "IMG-20190914-WA0002",
        "20231207_120000",
        "20231207_143000",
    ]
    index = pretended(*((f"mila/{name}.jpg", f"{n}" * 64, "", {}) for n, name in enumerate(names)))
    groups = index["group"].str[0].reindex(f"mila/{name}.jpg" for name in names)
    assert "".join(groups) == "0022446749"
    assert (index["time_problem"] == "").all()


def test_a_photo_that_takes_no_part_ties_no_groups_together():
    times = [f"2024-05-01T1{hours}:30:00" for hours in (0, 2, 4)]
    index = pretended(
        ("mila/a", "a" * 64, times[0], {}),
        ("mila/b", "b" * 64, times[1], {"dropped": True}),
        ("mila/c", "c" * 64, times[2], {}),
    )
    assert index["group"].tolist() == ["a" * 16, "", "c" * 16]
    assert index["problem"]["mila/b"] == "dropped in labels.csv"


@pytest.mark.parametrize("column", ["group", "subject_share", "box", "label", "problem"])
def test_the_digest_names_all_that_a_result_rests_on(column):
    index = pretended(*at(["", "", ""])).reset_index().assign(subject_share=[0.2, 0.4, np.nan])
    other = {"subject_share": 0.9, "problem": "cannot be read any more"}.get(column, "other")
    changed = index.copy()
    changed.loc[1, column] = other
    assert album_digest(changed) != album_digest(index)
    shaken = index.assign(subject_share=index["subject_share"] + 1e-6)
    assert album_digest(shaken) == album_digest(index)


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
    rows = [LabelledPhoto(path, "subject", "mila") for path, *_ in photos]
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
        ("burst", 5, "all 4 photos of mila are of one occasion.* ROOT/mila.*data.occasion_minutes"),
        (5, "burst", "all 4 photos without mila are of one occasion.* ROOT/not_mila"),
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
