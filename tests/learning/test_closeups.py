import numpy as np
import pytest
from conftest import draw_sides
from PIL import Image

from ismila.learning.closeups import batched, hot_share, subject_shares
from ismila.photos.album import Album
from ismila.photos.index import usable


def opened(root):
    album = Album.open(root, "mila")
    return album, usable(album.update())


def test_only_the_subjects_photos_get_a_share_whatever_order_they_come_in(tmp_path):
    album, rows = opened(draw_sides(tmp_path / "album", 6, 8, 2))
    shares = subject_shares(album, rows)
    of_subject = rows["label"] == "subject"
    assert shares[of_subject].between(0, 1).all()
    assert shares[~of_subject].isna().all()
    shuffled = rows.sample(frac=1, random_state=0)
    again = subject_shares(album, shuffled)
    assert again.reindex(shares.index).equals(shares)


@pytest.mark.parametrize("side", ["mila", "not_mila"])
def test_a_side_in_one_burst_gets_shares_and_no_traceback(tmp_path, side):
    root = draw_sides(tmp_path / "album", 4, 4)
    [first, *rest] = sorted((root / side).iterdir())
    with Image.open(first) as one:
        for number, path in enumerate(rest):
            one.save(path, quality=60 + 5 * number)
    album, rows = opened(root)
    shares = subject_shares(album, rows)
    assert shares[rows["label"] == "subject"].notna().all()


def test_without_things_there_is_no_share(tmp_path):
    album, rows = opened(draw_sides(tmp_path / "album", 4, 0, 6))
    assert subject_shares(album, rows).isna().all()


def test_the_share_counts_cells_above_a_tenth_of_the_peak():
    heat = np.array([[1.0, 0.2], [0.05, -1.0]], np.float32)
    assert hot_share(heat) == 0.5
    assert hot_share(-np.ones((2, 2), np.float32)) == 0


def test_batches_of_what_comes():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
