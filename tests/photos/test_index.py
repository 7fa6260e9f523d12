import shutil

import pandas as pd
from conftest import draw_photo

from ismila.photos.folds import assign_folds
from ismila.photos.index import index_album, usable


def indexed(root):
    (root / ".ismila").mkdir(exist_ok=True)
    return index_album(root, "mila", root / ".ismila")


def test_labels_and_kinds_come_from_the_folders(album):
    index = indexed(album)
    assert index["kind"].value_counts().to_dict() == {"things": 40, "mila": 24, "dog": 6, "cat": 6}
    assert (index["problem"] == "").all()


def test_a_second_indexing_opens_nothing(album, monkeypatch):
    before = indexed(album)
    monkeypatch.setattr("ismila.photos.index._scan", lambda path: 1 / 0)
    pd.testing.assert_frame_equal(before, indexed(album), check_dtype=False)


def test_every_broken_file_is_named_and_left_out(album):
    (album / "mila/zero.jpg").write_bytes(b"")
    whole = (album / "mila/m0.jpg").read_bytes()
    (album / "mila/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (album / "mila/text.jpg").write_text("hello")
    draw_photo(album / "mila/tiny.png", 1, False, (1, 1))
    (album / "loop").symlink_to(album)
    (album / "mila/folder.jpg").mkdir()
    problems = indexed(album).set_index("path")["problem"]
    left_out = problems[problems != ""].to_dict()
    assert set(left_out) == {"mila/zero.jpg", "mila/cut.jpg", "mila/text.jpg", "mila/tiny.png"}
    assert left_out["mila/zero.jpg"] == "empty file"


def test_near_duplicates_share_a_group_and_so_a_fold(album):
    from PIL import Image

    for i in range(12):
        with Image.open(album / f"mila/m{i}.jpg") as photo:
            photo.resize((150, 112)).save(album / f"mila/again{i}.jpg", quality=70)
    rows = usable(indexed(album))
    rows["fold"] = assign_folds(rows, 0)
    by_path = rows.set_index("path")
    for i in range(12):
        assert by_path.loc[f"mila/m{i}.jpg", "group"] == by_path.loc[f"mila/again{i}.jpg", "group"]
    assert rows.groupby("group")["fold"].nunique().max() == 1


def test_adding_photos_moves_no_earlier_photo_to_another_fold(album):
    rows = usable(indexed(album))
    before = dict(zip(rows["path"], assign_folds(rows, 3), strict=True))
    for i in range(30):
        draw_photo(album / f"mila/a_new{i}.jpg", 5000 + i, True)
    shutil.move(album / "mila/m3.jpg", album / "mila/renamed.jpg")
    before["mila/renamed.jpg"] = before.pop("mila/m3.jpg")
    rows = usable(indexed(album))
    after = dict(zip(rows["path"], assign_folds(rows, 3), strict=True))
    assert {path: after[path] for path in before} == before


def test_folds_are_stratified_and_drawn_by_the_seed(album):
    rows = usable(indexed(album))
    folds = [tuple(assign_folds(rows, seed)) for seed in (0, 0, 1)]
    assert folds[0] == folds[1] != folds[2]
    counts = rows.assign(fold=folds[0]).groupby(["kind", "fold"]).size()
    assert counts["mila"].to_dict() == {"test": 6, "train": 14, "val": 4}


def test_labels_csv_corrects_the_folders(album):
    (album / "labels.csv").write_text(
        "path,label,closeup,note\nmila/m0.jpg,drop,,\nmila/m1.jpg,not_mila,,\nmila/m2.jpg,,yes,\npets/cat/p0.jpg,goat,,\n"
    )
    index = indexed(album).set_index("path")
    assert index.loc["mila/m0.jpg", "problem"] == "dropped in labels.csv"
    assert index.loc["mila/m1.jpg", "label"] == "things"
    assert index.loc["mila/m2.jpg", "closeup"]
    assert index.loc["pets/cat/p0.jpg", "kind"] == "goat"
