import numpy as np
import pytest
from conftest import draw_sides
from stand_ins import Sees

from ismila.learning import closeups
from ismila.learning.closeups import subject_shares, with_shares
from ismila.photos.album import Album
from ismila.photos.index import album_digest, usable


@pytest.fixture
def opened(tmp_path):
    album = Album.open(draw_sides(tmp_path / "album", 6, 8, 2), "mila")
    return album, usable(album.update())


def with_detector(monkeypatch, *boxes):
    detector = Sees(*boxes)
    monkeypatch.setattr(closeups, "bundled_detector", lambda: detector)
    return detector


def test_only_the_subjects_photos_are_looked_at_and_once(opened, monkeypatch):
    album, rows = opened
    detector = with_detector(monkeypatch, (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))
    shares, _ = subject_shares(album, rows)
    of_subject = rows["label"] == "subject"
    assert shares[of_subject].tolist() == [0.25] * 6
    assert shares[~of_subject].isna().all()
    shuffled = rows.sample(frac=1, random_state=0)
    assert subject_shares(album, shuffled)[0].reindex(shares.index).equals(shares)
    assert detector.looked == 6


@pytest.mark.parametrize(
    ("box", "share"),
    [("0.5 0.5 1 0.95", 0.25), ("0 0 0.2 0.5", 0.1), ("none", float("nan"))],
)
def test_a_box_in_labels_csv_settles_it_at_once(opened, monkeypatch, box, share):
    album, rows = opened
    with_detector(monkeypatch, (0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 1.0, 1.0))
    album.keep_shares(rows, subject_shares(album, rows)[0])
    before = album_digest(rows)
    album.correct("mila/m1.jpg", {"box": box})
    rows = usable(album.update())
    assert album.shares(rows) is None and album_digest(rows) != before
    kept = album.keep_shares(rows, subject_shares(album, rows)[0])
    shares = kept.set_index("path")["subject_share"]
    assert shares["mila/m1.jpg"] == pytest.approx(share, nan_ok=True)
    assert shares["mila/m2.jpg"] == pytest.approx(0.04)


def test_where_no_animal_is_seen_nothing_is_said(opened, monkeypatch):
    with_detector(monkeypatch)
    assert subject_shares(*opened)[0].isna().all()


def test_a_photo_that_cannot_be_read_has_no_share(opened, monkeypatch):
    album, rows = opened
    with_detector(monkeypatch, (0.0, 0.0, 1.0, 1.0))
    (album.root / "mila/m0.jpg").write_bytes(b"damaged meanwhile")
    shares, _ = subject_shares(album, rows)
    assert np.isnan(shares[rows["path"] == "mila/m0.jpg"]).all()
    assert shares[rows["label"] == "subject"].notna().sum() == 5


def test_a_photo_that_cannot_be_read_any_more_is_named_and_looked_at_when_it_is_back(
    opened, monkeypatch
):
    album, rows = opened
    with_detector(monkeypatch, (0.0, 0.0, 1.0, 1.0))
    photo = album.root / "mila/m0.jpg"
    content = photo.read_bytes()
    photo.unlink()
    marked = with_shares(album, rows).set_index("path")
    assert marked.loc[marked["problem"] != "", "problem"].to_dict() == {
        "mila/m0.jpg": "file not found"
    }
    assert marked["subject_share"].notna().sum() == 5
    assert album_digest(marked) == album_digest(with_shares(album, usable(album.update())))
    photo.write_bytes(content)
    rows = usable(album.update())
    assert rows["subject_share"].isna().all()
    assert with_shares(album, rows)["subject_share"].notna().sum() == 6
