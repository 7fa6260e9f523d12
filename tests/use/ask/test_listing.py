"""What lies at an address is passed over as in a folder."""

from conftest import draw_photo

from ismila.photos.skipping import Skipping
from ismila.photos.walking import walk
from ismila.use.ask.listing import photos_in, taken


def library(root):
    for path in (
        "a.jpg",
        "b/c/d.jpg",
        "b/@eaDir/x.jpg",
        "b/.h/x.jpg",
        "e/f.jpg",
        "e/g/h.png",
        "b.jpg",
    ):
        draw_photo(root / path, 1, True, (8, 8))
    (root / "e/.ismilaignore").write_text("g/\n")
    (root / "b/note.txt").write_text("no photo")
    return root


def test_a_listing_is_walked_as_a_folder_is(tmp_path):
    root = library(tmp_path)
    files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    by_walk = Skipping(root, ["b.*"])
    by_listing = Skipping(root, ["b.*"])
    walked = list(walk(root, skipping=by_walk))
    assert (
        sorted(taken(sorted(files), by_listing))
        == sorted(walked)
        == ["a.jpg", "b/c/d.jpg", "e/f.jpg"]
    )
    assert by_listing.words() == by_walk.words()


def test_a_version_changes_with_the_file(tmp_path):
    root = library(tmp_path)
    before = dict(photos_in(root, Skipping(root)))
    draw_photo(root / "a.jpg", 2, False, (9, 9))
    after = dict(photos_in(root, Skipping(root)))
    assert [path for path in before if before[path] != after[path]] == ["a.jpg"]
