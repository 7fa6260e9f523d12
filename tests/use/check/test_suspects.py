import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import draw_photo
from PIL import Image, ImageFilter

from ismila.photos.album import Album
from ismila.use.check.suspects import out_of_fold, suspects_of


@pytest.fixture
def spoilt(looked_at, tmp_path):
    """The album with a wrong label, a near-duplicate under another label, a blurred and a small
    photo."""
    album = shutil.copytree(looked_at, tmp_path / "album")
    draw_photo(album / "not_mila/wrong.jpg", 700, True)
    photo = Image.open(draw_photo(album / "not_mila/first.jpg", 801, False))
    photo.resize((150, 112)).save(album / "pets/cat/second.jpg", quality=70)
    Image.open(album / "not_mila/t7.jpg").filter(ImageFilter.GaussianBlur(9)).save(
        album / "not_mila/blurred.jpg"
    )
    (album / "mila/text.jpg").write_text("no picture")
    return album


def suspects_in(root):
    album = Album.open(root, "mila")
    return suspects_of(album, album.update()).set_index("path")


@pytest.mark.slow
def test_what_is_wrong_is_found_and_said(spoilt):
    found = suspects_in(spoilt)
    assert found.loc["not_mila/wrong.jpg", ["sort", "suggested"]].tolist() == ["label", "mila"]
    assert "looks like mila" in found.loc["not_mila/wrong.jpg", "reason"]
    assert "nearly the same as" in found.loc["pets/cat/second.jpg", "reason"]
    assert "labelled" in found.loc["pets/cat/second.jpg", "reason"]
    assert "blurred" in found.loc["not_mila/blurred.jpg", "reason"]
    assert found.loc["mila/text.jpg", "reason"] == "not a picture"
    assert found["score"].is_monotonic_decreasing
    assert found.index.is_unique
    album = Album.open(spoilt, "mila")  # the order of the folder changes no judgement
    backwards = suspects_of(album, album.read().iloc[::-1].reset_index(drop=True))
    labels = found.query("sort == 'label'")["score"]
    assert len(labels)
    again = backwards.set_index("path").loc[labels.index, "score"]
    pd.testing.assert_series_equal(labels, again)


def test_what_was_dropped_is_not_shown_again(spoilt):
    (spoilt / "labels.csv").write_text("path,label,closeup,note\nnot_mila/wrong.jpg,drop,,\n")
    assert "not_mila/wrong.jpg" not in suspects_in(spoilt).index


def test_an_album_with_one_label_has_no_label_errors(tmp_path):
    for i in range(6):
        draw_photo(tmp_path / f"a/mila/{i}.jpg", i, True)
    assert set(suspects_in(tmp_path / "a")["sort"]) <= {"animal", "tiny", "far", "blurred"}
    (tmp_path / "b").mkdir()
    assert isinstance(suspects_in(tmp_path / "b"), pd.DataFrame)


@pytest.mark.parametrize("things", [0, 1])
def test_far_photos_are_found_in_an_album_without_things(tmp_path, things):
    for i in range(4):
        draw_photo(tmp_path / f"mila/{i}.jpg", i, True)
    for i in range(things):
        draw_photo(tmp_path / f"not_mila/{i}.jpg", 500 + i, False)
    lines = ["path,label,box", "mila/2.jpg,mila,0.1 0.1 0.2 0.3", "mila/3.jpg,mila,0 0 0.9 0.9"]
    (tmp_path / "labels.csv").write_text("\n".join([*lines, ""]))
    found = suspects_in(tmp_path)
    assert "mila fills 2% of it" in found.loc["mila/2.jpg", "reason"]
    assert "mila/3.jpg" not in found.index or "fills" not in found.loc["mila/3.jpg", "reason"]


def burst(folder, seed, subject, n):
    """Photos that are nearly the same: one group."""
    photo = Image.open(draw_photo(folder / "0.jpg", seed, subject))
    for at in range(1, n):
        photo.save(folder / f"{at}.jpg", quality=90 - at)


@pytest.mark.parametrize("one_burst", ["mila", "not_mila", "both"])
def test_a_side_that_is_one_burst_is_not_judged(tmp_path, one_burst):
    for name, seed in (("mila", 1), ("not_mila", 500)):
        if one_burst in (name, "both"):
            burst(tmp_path / name, seed, name == "mila", 6)
        else:
            for at in range(6):
                draw_photo(tmp_path / f"{name}/{at}.jpg", seed + at, name == "mila")
    found = suspects_in(tmp_path)
    assert set(found["sort"]) <= {"duplicate", "animal", "far", "blurred", "tiny"}
    assert "duplicate" in set(found["sort"])


def classes_of(counts, groups_of):
    labels = np.repeat(np.arange(len(counts)), counts)
    groups = np.array(
        [f"{label} {at % groups_of}" for at, label in enumerate(labels)], dtype=object
    )
    rng = np.random.default_rng(0)
    features = rng.normal(np.eye(8)[labels], 0.2).astype(np.float32)
    return features, labels, groups


@pytest.mark.parametrize("subject", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("things", [1, 2, 4, 12])
@pytest.mark.parametrize("groups", [1, 2, 12])
def test_small_and_lopsided_albums_give_probabilities_or_none(subject, things, groups):
    features, labels, group = classes_of([subject, things], groups)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = out_of_fold(features, labels, group)
    judged = np.isfinite(p).all(1)
    assert judged.any() or min(subject, things) == 1 or groups == 1
    np.testing.assert_allclose(p[judged].sum(1), 1)
    assert (p[judged].argmax(1) == labels[judged]).mean() > 0.5 if judged.sum() > 6 else True
    alone = [label for label in (0, 1) if len(set(group[labels == label])) == 1]
    assert not judged[np.isin(labels, alone)].any()  # nobody else knows its class


def test_one_class_alone_is_not_judged():
    features, labels, groups = classes_of([6], 6)
    assert np.isnan(out_of_fold(features, labels, groups)).all()
