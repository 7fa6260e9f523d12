import pandas as pd
import pytest
from conftest import draw_photo
from PIL import Image, ImageFilter

from ismila.evidence.suspects import find_suspects
from ismila.photos.index import index_album


@pytest.fixture
def spoilt(album):
    """The album with a wrong label, a near-duplicate under another label, a blurred and a small photo."""
    draw_photo(album / "not_mila/wrong.jpg", 700, True)
    photo = Image.open(draw_photo(album / "not_mila/first.jpg", 801, False))
    photo.resize((150, 112)).save(album / "pets/cat/second.jpg", quality=70)
    Image.open(album / "not_mila/t7.jpg").filter(ImageFilter.GaussianBlur(9)).save(
        album / "not_mila/blurred.jpg"
    )
    (album / "mila/text.jpg").write_text("no picture")
    (album / ".ismila").mkdir()
    return album


def suspects_of(album):
    index = index_album(album, "mila", album / ".ismila")
    return find_suspects(index, album, album / ".ismila", "mila").set_index("path")


def test_what_is_wrong_is_found_and_said(spoilt):
    found = suspects_of(spoilt)
    assert found.loc["not_mila/wrong.jpg", ["sort", "suggested"]].tolist() == ["label", "mila"]
    assert "looks like mila" in found.loc["not_mila/wrong.jpg", "reason"]
    assert "nearly the same as" in found.loc["pets/cat/second.jpg", "reason"]
    assert "labelled" in found.loc["pets/cat/second.jpg", "reason"]
    assert "blurred" in found.loc["not_mila/blurred.jpg", "reason"]
    assert found.loc["mila/text.jpg", "reason"] == "not a picture"
    assert found["score"].is_monotonic_decreasing
    assert found.index.is_unique


def test_what_was_dropped_is_not_shown_again(spoilt):
    (spoilt / "labels.csv").write_text("path,label,closeup,note\nnot_mila/wrong.jpg,drop,,\n")
    assert "not_mila/wrong.jpg" not in suspects_of(spoilt).index


def test_an_album_with_one_label_has_no_label_errors(tmp_path):
    for i in range(6):
        draw_photo(tmp_path / f"a/mila/{i}.jpg", i, True)
    (tmp_path / "a/.ismila").mkdir()
    assert set(suspects_of(tmp_path / "a")["sort"]) <= {"tiny", "far", "blurred"}
    (tmp_path / "b").mkdir()
    (tmp_path / "b/.ismila").mkdir()
    assert isinstance(suspects_of(tmp_path / "b"), pd.DataFrame)
