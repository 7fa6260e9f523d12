import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import draw_photo
from filelock import FileLock
from PIL import Image
from somebody import somebody

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.index import album_digest, usable


def small(root, photos=4):
    for i in range(photos):
        draw_photo(root / f"mila/m{i}.jpg", i, True)
        draw_photo(root / f"not_mila/t{i}.jpg", 100 + i, False)
        draw_photo(root / f"rex/r{i}.jpg", 200 + i, False)
    return root


@pytest.fixture
def root(tmp_path):
    return small(tmp_path / "album")


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose facts were read."""
    from ismila.photos import album

    names, read = [], album.read_facts
    monkeypatch.setattr(album, "read_facts", lambda path: names.append(path.name) or read(path))
    return names


def test_only_new_and_changed_photos_are_opened(root, opened):
    album = Album.open(root, "mila")
    first = album.update()
    assert len(opened) == 12
    pd.testing.assert_frame_equal(album.update(), first)
    pd.testing.assert_frame_equal(album.read(), first)
    assert len(opened) == 12
    draw_photo(root / "mila/m9.jpg", 9, True)
    (root / "mila/m1.jpg").write_bytes((root / "mila/m1.jpg").read_bytes() + b" ")
    album.update()
    assert sorted(opened[12:]) == ["m1.jpg", "m9.jpg"]


def test_a_photo_that_was_exchanged_is_seen_though_size_and_time_are_the_same(root):
    album, photo = Album.open(root, "mila"), root / "mila/m0.jpg"
    before = album.update().set_index("path")["sha256"]
    content, stat = bytearray(photo.read_bytes()), photo.stat()
    content[-20] ^= 1
    photo.write_bytes(content)
    os.utime(photo, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = album.update().set_index("path")["sha256"]
    assert after["mila/m0.jpg"] != before["mila/m0.jpg"]


def test_what_could_not_be_read_is_tried_again(root, opened):
    (root / "mila/cut.jpg").write_bytes((root / "mila/m0.jpg").read_bytes()[:900])
    album = Album.open(root, "mila")
    assert "damaged" in album.update().set_index("path").at["mila/cut.jpg", "problem"]
    album.update()
    assert opened.count("cut.jpg") == 2


def test_whatever_is_derived_can_be_deleted_without_changing_anything(root):
    album = Album.open(root, "mila")
    album.update()
    with Image.open(root / "mila/m1.jpg") as photo:
        photo.resize((150, 112)).save(root / "mila/0 again.jpg", quality=70)
    album.update()
    (root / "mila/m1.jpg").rename(root / "mila/z.jpg")
    shutil.copy(root / "not_mila/t1.jpg", root / "not_mila/0 twin.jpg")
    (root / "labels.csv").write_text("path,label,closeup,note\nmila/m2.jpg,drop,,\n")
    with_history = album.update()
    shutil.rmtree(root / ".ismila")
    pd.testing.assert_frame_equal(Album.open(root, "mila").update(), with_history)
    pd.testing.assert_frame_equal(Album.open(root, "mila").read(), with_history)


@pytest.mark.parametrize("name", ["facts.parquet", "index.parquet"])
def test_a_damaged_derived_file_is_made_again(root, name):
    album = Album.open(root, "mila")
    before = album.update()
    for content in (b"", b"PAR1 no", (album.derived / name).read_bytes()[:-30]):
        (album.derived / name).write_bytes(content)
        pd.testing.assert_frame_equal(album.read(), before)
        pd.testing.assert_frame_equal(album.update(), before)


def test_each_subject_reads_its_own_index(root):
    mila, rex = Album.open(root, "mila"), Album.open(root, "rex")
    assert mila.derived == rex.derived
    of_mila, of_rex = mila.update(), rex.update()
    assert mila.read().equals(of_mila)
    assert rex.read().equals(of_rex)
    assert of_rex["label"].value_counts()["subject"] == 4
    folds = [table.set_index("path")["group"] for table in (of_mila, of_rex)]
    assert folds[0].equals(folds[1])


def shares_of(rows, value):
    return pd.Series(np.where(rows["label"] == "subject", value, np.nan), index=rows.index)


def test_shares_hold_for_the_photos_they_were_computed_from_and_no_others(root):
    album = Album.open(root, "mila")
    rows = usable(album.update())
    assert album.shares(rows) is None
    kept = album.keep_shares(rows, shares_of(rows, 0.25))
    is_subject = rows["label"] == "subject"
    assert (kept["subject_share"][is_subject] == 0.25).all()
    assert kept["subject_share"][~is_subject].isna().all()
    assert album.update()["subject_share"].sum() == album.read()["subject_share"].sum() == 1.0
    assert Album.open(root, "rex").update()["subject_share"].isna().all()
    draw_photo(root / "mila/m9.jpg", 9, True)
    assert album.update()["subject_share"].isna().all()
    (root / "mila/m9.jpg").unlink()
    (root / "mila/m0.jpg").rename(root / "mila/other name.jpg")
    draw_photo(root / "rex/another.jpg", 999, False)  # other animals stay out of the probe
    assert album.update()["subject_share"].sum() == 1.0


def test_shares_of_other_rows_are_our_mistake(root):
    album = Album.open(root, "mila")
    rows = usable(album.update())
    with pytest.raises(ValueError, match="other rows"):
        album.keep_shares(rows, pd.Series([0.5], index=[0]))


def test_an_update_waits_for_the_one_that_runs(root):
    album = Album.open(root, "mila")
    album.update()
    draw_photo(root / "mila/m9.jpg", 9, True)
    before = (album.derived / "index.parquet").read_bytes()
    with FileLock(album.derived / "index.lock"):
        thread = threading.Thread(target=album.update)
        thread.start()
        time.sleep(0.3)
        assert thread.is_alive()
        assert (album.derived / "index.parquet").read_bytes() == before
    thread.join(20)
    assert len(album.read()) == 13


def test_a_killed_holder_leaves_no_lock_and_nothing_half_written(root):
    album = Album.open(root, "mila")
    album.update()
    left = album.derived / ".index.parquet.1-0000beef.part"
    left.write_bytes(b"half")
    script = f"""
import filelock, sys, time
filelock.FileLock({str(album.derived / "index.lock")!r}).acquire()
print("held", flush=True); time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert len(album.update()) == 12
    assert not left.exists()


def test_a_root_that_cannot_be_written_is_read_all_the_same():
    with somebody() as folder:
        root = small(folder / "album", 1)
        root.chmod(0o500)
        album = Album.open(root, "mila")
        assert album.derived.parent.as_posix() == "data/cache"
        assert len(album.update()) == len(album.read()) == 3
        with pytest.raises(UserError, match=r"labels.csv: Permission denied; corrections need"):
            album.correct("mila/m0.jpg", {"label": "drop"})
        (folder / "data").chmod(0o500)
        other = small(folder / "other", 1)
        other.chmod(0o500)
        (folder / "data/cache").chmod(0o500)
        with pytest.raises(UserError, match=r"neither .*\.ismila nor data/cache.* data.cache=DIR"):
            Album.open(other, "mila")


def test_a_derived_folder_that_cannot_be_written_is_passed_over():
    with somebody() as folder:
        root = small(folder / "album", 1)
        (root / ".ismila").mkdir(0o500)
        album = Album.open(root, "mila")
        assert album.derived.parent.as_posix() == "data/cache"
        assert len(album.update()) == 3
        album.correct("mila/m0.jpg", {"label": "drop"})
        assert album.update()["problem"].tolist()[0] == "dropped in labels.csv"
        assert not list((root / ".ismila").iterdir())


def test_a_lock_that_cannot_be_taken_is_one_line():
    with somebody() as folder:
        album = Album.open(small(folder / "album", 1), "mila")
        album.update()
        (album.derived / "index.lock").chmod(0)
        with pytest.raises(UserError, match=r"Permission denied; give data.cache=DIR"):
            album.update()


def test_data_cache_decides_where_derived_files_lie(root, tmp_path):
    album = Album.open(root, "mila", tmp_path / "a/cache")
    assert album.derived == tmp_path / "a/cache"
    album.update()
    assert not (root / ".ismila").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"data.cache=.*file/x: cannot be made"):
        Album.open(root, "mila", tmp_path / "file/x")


def test_an_album_that_is_not_there_is_an_error_that_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such folder; give the folder that holds mila/"):
        Album.open(tmp_path / "nowhere", "mila").update()
    assert not list(tmp_path.iterdir())


def fetched(root, **columns):
    pd.DataFrame(columns).to_parquet(root / "flickr.parquet")


def test_a_date_from_flickr_follows_its_photo_and_goes_with_the_listing(root):
    album = Album.open(root, "mila")
    when = pd.to_datetime(["2024-05-01 10:00:00", "2024-05-01 10:00:05"])
    (root / "mila/m0.jpg").rename(root / "mila/123.jpg")
    (root / "rex/r0.jpg").rename(root / "rex/456.jpg")
    fetched(root, id=["123", "456"], path=["mila/123.jpg", "not_mila/456.jpg"], taken_at=when)
    shutil.copy(root / "mila/123.jpg", root / "mila/0 copy.jpg")
    rows = usable(album.update()).set_index("path")
    assert rows.at["mila/0 copy.jpg", "group"] == rows.at["rex/456.jpg", "group"]
    shas = [rows.at["mila/0 copy.jpg", "sha256"], rows.at["rex/456.jpg", "sha256"]]
    fetched(root, id=["1", "2"], path=["a", "b"], taken_at=when, sha256=shas)
    (root / "rex/456.jpg").rename(root / "rex/any name.jpg")
    rows = usable(album.update()).set_index("path")
    assert rows.at["mila/0 copy.jpg", "group"] == rows.at["rex/any name.jpg", "group"]
    (root / "flickr.parquet").write_bytes(b"damaged")
    assert album.update()["taken_at"].isna().all()


def test_an_index_is_made_again_for_another_gap(root):
    album = Album.open(root, "mila")
    shorter = replace(album, occasion_minutes=1.0)
    when = pd.to_datetime(["2024-05-01 10:00:01", "2024-05-01 10:30:00"])
    fetched(root, id=["m0", "m1"], path=["mila/m0.jpg", "mila/m1.jpg"], taken_at=when)
    pair = ["mila/m0.jpg", "mila/m1.jpg"]
    album.update()
    for each, groups in ((shorter, 2), (album, 1)):  # what stands there was made for the other
        rows = usable(each.read()).set_index("path")
        assert rows.loc[pair, "group"].nunique() == groups


def test_a_listing_that_goes_takes_the_album_digest_with_it(root):
    album = Album.open(root, "mila")
    when = pd.to_datetime(["2024-05-01 10:00:01", "2024-05-01 10:00:05"])
    fetched(root, id=["m0", "m1"], path=["mila/m0.jpg", "mila/m1.jpg"], taken_at=when)
    before = album_digest(album.update())
    (root / "flickr.parquet").unlink()
    assert album_digest(album.update()) != before


def test_photos_and_corrections_are_where_the_album_says(root):
    album = Album.open(root, "mila")
    sha, photo = album.photos(album.update())[0]
    assert photo == root / "mila/m0.jpg"
    assert len(sha) == 64
    assert album.correct("mila/m0.jpg", {"label": "pets/dog"})["label"] == ""
    assert album.update().at[0, "kind"] == "dog"
