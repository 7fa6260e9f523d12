import io
import os
import threading

import pandas as pd
import pytest
from PIL import Image
from wrong_album import labels

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.use.check.review import Review
from ismila.use.check.thumbnails import NotListedError

PATH = "not_mila/wr<i>ng & ünique.jpg"


@pytest.fixture
def review(suspected):
    yield Review(suspected.album, suspected.suspects, suspected.kinds)
    (suspected.album.root / "labels.csv").unlink(missing_ok=True)


def test_it_lists_the_suspects_with_what_the_page_needs(review):
    listing = review.listing()
    assert (listing.subject, listing.root) == ("mila", "album")
    assert listing.kinds == ["cat", "dog", "other"]
    first = next(photo for photo in listing.photos if photo.path == PATH)
    assert (first.label, first.sort, first.suggested, first.closeup) == (
        "things", "label", "mila", None
    )  # fmt: skip
    assert [one.score for one in listing.photos] == sorted(
        (one.score for one in listing.photos), reverse=True
    )


def test_corrections_are_undone_in_turn_to_the_line_that_was_there(review):
    root = review.album.root
    (root / "labels.csv").write_text(f"path,label,closeup,note\n{PATH},,no,mine\n")
    review.correct(PATH, "pets/dog", None)
    review.correct(PATH, None, True)
    assert labels(root)[PATH] == {
        "path": PATH, "label": "pets/dog", "closeup": "yes", "box": "", "note": "mine"
    }  # fmt: skip
    assert [review.undo(), review.undo(), review.undo()] == [PATH, PATH, None]
    assert labels(root)[PATH] == {
        "path": PATH, "label": "", "closeup": "no", "box": "", "note": "mine"
    }  # fmt: skip


def test_a_box_is_written_undone_and_refused_like_the_others(review):
    root = review.album.root
    review.correct("mila/also.jpg", None, None, "0.1 0.2 0.5 0.9")
    review.correct("mila/also.jpg", None, None, "none")
    assert labels(root)["mila/also.jpg"]["box"] == "none"
    assert review.undo() == "mila/also.jpg"
    assert labels(root)["mila/also.jpg"]["box"] == "0.1 0.2 0.5 0.9"
    with pytest.raises(UserError, match=r"box=0.1: expected x0 y0 x1 y1"):
        review.correct("mila/also.jpg", None, None, "0.1")
    assert review.undo() == "mila/also.jpg"
    assert labels(root) == {}


def test_an_undo_that_cannot_be_written_can_be_tried_again(review):
    root = review.album.root
    review.correct(PATH, "drop", None)
    good = (root / "labels.csv").read_text()
    (root / "labels.csv").write_text("not,a,table\nof,ours,x\n")
    with pytest.raises(UserError):
        review.undo()
    (root / "labels.csv").write_text(good)
    assert review.undo() == PATH


@pytest.mark.parametrize("label", ["", "../x", "pets/", "pets/unicorn", "not_rex", "Mila"])
def test_a_label_that_is_none_is_refused_with_the_choices(review, label):
    with pytest.raises(UserError, match=r"expected mila, not_mila, pets/cat, .* or drop"):
        review.correct(PATH, label, None)
    assert labels(review.album.root) == {}


def test_photos_that_are_not_listed_are_none_of_its_business(review):
    for act in (
        lambda path: review.thumbnail(path, 64),
        lambda path: review.correct(path, "drop", None),
    ):
        with pytest.raises(NotListedError):
            act("mila/../../secret.jpg")


def test_thumbnails_are_kept_and_made_again_when_the_photo_changes(review):
    first = review.thumbnail(PATH, 64)
    assert Image.open(io.BytesIO(first)).size == (64, 48)
    kept = list((review.album.derived / "thumbnails").iterdir())
    assert review.thumbnail(PATH, 64) == first
    photo = review.album.root / PATH
    before = photo.stat()
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    review.thumbnail(PATH, 64)
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(list((review.album.derived / "thumbnails").iterdir())) == len(kept) + 1


def test_a_thumbnail_that_cannot_be_kept_is_shown(suspected, tmp_path):
    (tmp_path / "file").write_text("")
    album = Album(suspected.album.root, "mila", tmp_path / "file")
    assert Review(album, suspected.suspects, suspected.kinds).thumbnail(PATH, 64)


def test_many_ask_for_the_same_thumbnail_at_once(review):
    thumbnails = []
    threads = [
        threading.Thread(target=lambda: thumbnails.append(review.thumbnail(PATH, 48)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(thumbnails) == 16 and len(set(thumbnails)) == 1


def test_corrections_from_several_threads_are_all_there(review):
    paths = [f"mila/m{at}.jpg" for at in range(20)]
    table = pd.DataFrame({"path": paths})
    several = Review(review.album, table, ["other"])
    threads = [
        threading.Thread(target=several.correct, args=(path, "drop", None)) for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(labels(review.album.root)) == sorted(paths)
