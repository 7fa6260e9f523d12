import pytest

from ismila.photos import UserError
from ismila.photos.labels import read_album
from ismila.photos.skipping import Skipping
from ismila.photos.walking import has_photos, walk

OTHERS = (
    "2020/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
    "#recycle/a.jpg",
    "2020/.thumbnails/large/a.jpg",
    "Holiday.photoslibrary/resources/derivatives/0/a.jpg",
    "old/Holiday.photoslibrary/resources/derivatives/0/a.jpg",
    "Thumbs/a.jpg",
    "upload/thumbs/a.jpg",
    ".stversions/a.jpg",
    ".ismila/a.jpg",
    ".hidden/a.jpg",
    ".a.jpg",
    "2020/._a.jpg",
)
PHOTOS = (
    "2020/a.jpg",
    "2020/private/b.jpg",
    "2020/screenshots/c.png",
    "Holiday.photoslibrary/originals/0/a.jpg",
    "thumbs.jpg",
)


@pytest.fixture
def library(tmp_path):
    for path in OTHERS + PHOTOS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    return tmp_path


def taken(library, *exclude, hidden=False):
    skipping = Skipping(library, exclude, hidden)
    paths = list(walk(library, skipping=skipping))
    every = (p for p in library.rglob("*") if p.is_file())
    looking_so = (p.relative_to(library).as_posix() for p in every if p.suffix in (".jpg", ".png"))
    assert sorted(filter(skipping.takes, looking_so)) == sorted(paths)
    return sorted(paths), skipping.words()


def test_what_programs_put_beside_photos_is_no_photo_and_how_much_was_passed_over_is_said(library):
    paths, words = taken(library)
    assert paths == sorted(PHOTOS)
    assert words == (
        "1 folder by #recycle, 2 folders by *.photoslibrary/resources/derivatives, "
        "1 folder by .stversions, 1 folder by .thumbnails, 1 folder by @eaDir, 2 folders by Thumbs, "
        "1 folder and 2 photos by hidden"
    )
    assert Skipping(library / "2020/@eaDir").words() == ""
    assert list(walk(library / "2020/@eaDir")) == ["a.jpg/SYNOPHOTO_THUMB_M.jpg"]


def test_hidden_photos_are_taken_when_asked_for_but_no_thumbnails(library):
    paths, words = taken(library, hidden=True)
    assert set(paths) - set(PHOTOS) == {".hidden/a.jpg", ".a.jpg"}
    assert "1 folder by .thumbnails" in words
    assert "1 photo by hidden" in words


def test_what_matches_exclude_is_passed_over(library):
    paths, words = taken(library, "screenshots/", "/2020/a.*", "!/Thumbs/")
    assert set(PHOTOS) - set(paths) == {"2020/a.jpg", "2020/screenshots/c.png"}
    assert "1 folder and 1 photo by --exclude screenshots/ /2020/a.* !/Thumbs/" in words


def test_an_ignore_file_says_it_as_git_does_and_the_nearest_decides(library):
    (library / ".ismilaignore").write_text("# mine\n*.png\n/2020/private\n!thumbs.jpg\n*s.jpg\n")
    (library / "2020/.ismilaignore").write_text("!screenshots/*\n")
    (library / "Holiday.photoslibrary/.ismilaignore").write_text("*\n!originals/0/a.jpg\n")
    paths, words = taken(library)
    assert paths == ["2020/a.jpg", "2020/screenshots/c.png"]
    assert "3 folders and 1 photo by .ismilaignore" in words


def test_a_pattern_that_cannot_be_followed_is_named(library):
    with pytest.raises(UserError, match=r"--exclude !: .*expected patterns as in .gitignore"):
        Skipping(library, ["!"])
    (library / ".ismilaignore").write_text("!\n")
    with pytest.raises(UserError, match=r"\.ismilaignore: "):
        list(walk(library))


def test_an_album_passes_over_the_same(library):
    (library / ".ismilaignore").write_text("private/\n")
    (library / "labels.csv").write_text(
        "path,label\n2020/private/b.jpg,mila\nThumbs/a.jpg,mila\n2020/a.jpg,mila\n"
    )
    rows = {row.path: row.label for row in read_album(library, "mila")}
    assert sorted(rows) == sorted({*PHOTOS} - {"2020/private/b.jpg"})
    assert rows["2020/a.jpg"] == "subject"
    (library / ".ismilaignore").write_text("*\n")
    assert not has_photos(library)
