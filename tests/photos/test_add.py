import os
import threading
from pathlib import Path

import pillow_heif
import pytest
from conftest import call, draw_photo
from PIL import Image
from somebody import somebody

from ismila.photos import UserError
from ismila.photos.add import AddOptions, add_photos
from ismila.photos.added import read_records
from ismila.photos.album import Album
from ismila.photos.sources import GoneError, SourcePhoto
from ismila.photos.sources.folder import FolderSource


def add(root, *args):
    return call(root.parent, "ismila.cli", "add", *args, "--root", root)


@pytest.fixture
def camera(tmp_path):
    for i in range(3):
        draw_photo(tmp_path / f"camera/deep/er {i}/IMG.jpg", i, True)
    (tmp_path / "camera/notes.txt").write_text("hello")
    (tmp_path / "camera/broken.jpg").write_bytes(b"no")
    return tmp_path / "camera"


def test_photos_are_linked_once_and_nothing_is_moved(camera, tmp_path):
    said = add(tmp_path / "album", camera, "--as", "mila")
    assert said.returncode == 0, said.stderr
    assert "3 linked, 0 copied, 2 skipped" in said.stdout
    assert "notes.txt: not a photo" in said.stderr
    assert "broken.jpg: not a picture" in said.stderr
    names = sorted(p.name for p in (tmp_path / "album/mila").iterdir())
    assert names == ["IMG-2.jpg", "IMG-3.jpg", "IMG.jpg"]
    assert (tmp_path / "album/mila/IMG.jpg").stat().st_nlink == 2
    again = add(tmp_path / "album", camera, "--as", "not_mila")
    assert "0 linked, 0 copied, 5 skipped" in again.stdout
    assert "here already as mila/IMG.jpg" in again.stderr
    assert len(list(camera.rglob("*.jpg"))) == 4


def test_copies_are_whole_and_keep_their_time(camera, tmp_path):
    os.utime(camera / "deep/er 0/IMG.jpg", (1e9, 1e9))
    said = add(
        tmp_path / "album", camera / "deep/er 0/IMG.jpg", "--as", "pets/guinea pig", "--copy"
    )
    assert "1 copied" in said.stdout
    copy = tmp_path / "album/pets/guinea pig/IMG.jpg"
    assert copy.read_bytes() == (camera / "deep/er 0/IMG.jpg").read_bytes()
    assert (copy.stat().st_mtime, copy.stat().st_nlink) == (1e9, 1)


def test_photos_of_the_album_itself_and_twins_are_skipped(camera, tmp_path):
    (camera / "twin.jpg").write_bytes((camera / "deep/er 0/IMG.jpg").read_bytes())
    add(tmp_path / "album", camera, "--as", "mila")
    said = add(tmp_path / "album", tmp_path / "album/mila", "--as", "not_mila")
    assert "3 skipped" in said.stdout
    assert "in the album already" in said.stderr


def test_a_photos_format_is_what_its_content_says(tmp_path):
    draw_photo(tmp_path / "phone/IMG_2.jpg", 5, True).rename(tmp_path / "phone/IMG_2.HEIC")
    for name in ("IMG_1.HEIC", "IMG_3.jpg", "IMG_4.hif"):
        photo = Image.open(draw_photo(tmp_path / "x.jpg", int(name[4]), True))
        pillow_heif.from_pillow(photo).save(tmp_path / "phone/photo.heif")
        (tmp_path / "phone/photo.heif").rename(tmp_path / "phone" / name)
    added = add_photos(
        Album.open(tmp_path / "album", "mila"), [FolderSource(tmp_path / "phone")], "mila"
    )
    assert (added.linked, added.skipped) == (4, [])
    assert set(Album.open(tmp_path / "album", "mila").update()["problem"]) == {""}


def test_what_is_passed_over_is_counted_for_each_source(camera, tmp_path):
    draw_photo(camera / "@eaDir/a.jpg", 7, True)
    draw_photo(camera / ".trip/b.jpg", 8, True)
    album = Album.open(tmp_path / "album", "mila")
    added = add_photos(album, [FolderSource(camera, ["deep/er 0/", "*.txt"])], "mila")
    assert added.linked == 2
    assert [Path(photo).name for photo, _ in added.skipped] == ["broken.jpg"]
    assert added.notes == [
        f"passed over: {camera}: 1 folder by --exclude deep/er 0/ *.txt, 1 folder by @eaDir, 1 folder by hidden"
    ]
    assert add_photos(album, [FolderSource(camera, hidden=True)], "mila").linked == 2


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        (["camera", "--as", "../x"], "expected mila, not_mila or pets/KIND"),
        (["camera", "--as", "pets/../x"], "expected mila"),
        (["nowhere", "--as", "mila"], "no such file or folder"),
    ],
)
def test_what_a_person_can_put_right_is_one_line(args, remedy, camera, tmp_path):
    said = add(tmp_path / "album", tmp_path / args[0], *args[1:])
    assert said.returncode == 1
    assert remedy in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_two_who_add_at_once_lose_no_photo(tmp_path):
    cameras = [tmp_path / f"camera{i}" for i in range(3)]
    for i, folder in enumerate(cameras):
        draw_photo(folder / "IMG.jpg", i, True)
    threads = [
        threading.Thread(
            target=add_photos,
            args=(
                Album.open(tmp_path / "album", "mila"),
                [FolderSource(folder)],
                "mila",
                AddOptions(means="copy"),
            ),
        )
        for folder in cameras
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    added = {path.read_bytes() for path in (tmp_path / "album/mila").iterdir()}
    assert added == {(folder / "IMG.jpg").read_bytes() for folder in cameras}


def test_what_a_killed_copy_left_is_cleared_and_nobody_elses(camera, tmp_path):
    folder = tmp_path / "album/mila"
    folder.mkdir(parents=True)
    (folder / ".0123.add.part").write_bytes(b"half")
    (folder / ".IMG.jpg.part").write_bytes(b"of another program")
    add_photos(
        Album.open(tmp_path / "album", "mila"),
        [FolderSource(camera)],
        "mila",
        AddOptions(means="copy"),
    )
    assert [path.name for path in folder.glob(".*")] == [".IMG.jpg.part"]


def test_names_and_folders_of_any_length_and_bytes_that_a_disk_takes_come_once(tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    long = "ü" * 125 + ".jpg"  # 254 bytes: no room for a number
    for i, folder in enumerate((odd, tmp_path / "b")):
        draw_photo(folder / "x.jpg", i, True, (64, 48)).rename(folder / long)
    album = Album.open(tmp_path / "album", "mila")
    for counts in ((2, 0), (0, 2)):
        added = add_photos(album, [FolderSource(odd), FolderSource(tmp_path / "b")], "mila")
        assert (added.linked, added.here_already, added.skipped) == (*counts, [])
    names = sorted(path.name for path in (album.root / "mila").iterdir())
    assert names == ["ü" * 124 + "-2.jpg", long]
    assert len(read_records(album.root)) == 2


def test_links_that_lead_nowhere_are_named_as_gone(tmp_path):
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera/a.jpg").symlink_to("a.jpg")
    (tmp_path / "camera/b.jpg").symlink_to("nowhere")
    added = add_photos(
        Album.open(tmp_path / "album", "mila"), [FolderSource(tmp_path / "camera")], "mila"
    )
    assert added.gone == [str(tmp_path / "camera" / name) for name in ("a.jpg", "b.jpg")]


def test_a_name_that_leads_nowhere_is_not_overwritten(camera, tmp_path):
    (tmp_path / "album/mila").mkdir(parents=True)
    (tmp_path / "album/mila/IMG.jpg").symlink_to("a disk that is not mounted")
    added = add_photos(
        Album.open(tmp_path / "album", "mila"),
        [FolderSource(camera / "deep/er 0")],
        "mila",
        AddOptions(means="copy"),
    )
    assert added.copied == 1
    assert (tmp_path / "album/mila/IMG.jpg").is_symlink()
    assert (tmp_path / "album/mila/IMG-2.jpg").is_file()


def test_a_folder_that_cannot_be_read_and_a_pipe_are_named():
    with somebody() as folder:
        draw_photo(folder / "camera/a.jpg", 0, True)
        (folder / "camera/secret").mkdir(0)
        os.mkfifo(folder / "camera/pipe.jpg")
        added = add_photos(
            Album.open(folder / "album", "mila"), [FolderSource(folder / "camera")], "mila"
        )
        assert added.linked + added.copied == 1
        reasons = {Path(photo).name: reason for photo, reason in added.skipped}
        assert reasons == {
            "secret": "this folder cannot be read: Permission denied",
            "pipe.jpg": "not a regular file",
        }


@pytest.mark.parametrize("place", ["pets/Mila", "pets/things", "Mila"])
def test_a_place_that_would_mean_something_else_is_refused(camera, tmp_path, place):
    with pytest.raises(UserError, match=r"--as .*: expected"):
        add_photos(Album.open(tmp_path / "album", "mila"), [FolderSource(camera)], place)
    assert not (tmp_path / "album").exists()


class Named:
    """A source that sends photos, as a server does: who is in each is what its name says."""

    kind = "server"
    where = "http://photos"

    def __init__(self, photos):
        self.held = photos
        self.notes = ["asked twice"]
        self.sent = []

    def names(self):
        return sorted({name for key in self.held for name in key.split("+")})

    def photos(self, name):
        for key, content in self.held.items():
            if name in key.split("+"):
                yield SourcePhoto(
                    key=key,
                    name=f"{key}.jpg",
                    why=f"person {name}",
                    fetch=self.fetcher(key, content),
                )

    def fetcher(self, key, content):
        def fetch():
            self.sent.append(key)
            if isinstance(content, Exception):
                raise content
            return content

        return fetch


@pytest.fixture
def contents(tmp_path):
    photos = [draw_photo(tmp_path / "x.jpg", i, True, (64, 48)).read_bytes() for i in range(4)]
    return dict(zip(("mila", "mila+rex", "rex", "max"), photos, strict=True))


def test_what_a_server_sends_comes_once_and_is_not_asked_for_again(contents, tmp_path):
    source = Named({**contents, "mila+gone": GoneError("404"), "mila+broken": b"no"})
    album = Album.open(tmp_path / "album", "mila")
    dry = add_photos(album, [source], "mila", AddOptions(dry_run=True))
    assert [why for _, why in dry.would] == ["person mila"] * 4
    assert (source.sent, album.root.exists()) == ([], False)
    added = add_photos(album, [source], "mila")
    assert (added.copied, added.gone, added.notes) == (2, ["mila+gone.jpg"], ["asked twice"])
    assert added.skipped == [("mila+broken.jpg", "not a picture")]
    (album.root / "mila/mila.jpg").rename(album.root / "mila/renamed.jpg")
    source.sent.clear()
    again = add_photos(album, [source], "mila")
    assert (again.here_already, source.sent) == (2, ["mila+gone", "mila+broken"])
    assert add_photos(album, [source], "mila", AddOptions(means="link")).copied == 0


def test_a_server_that_goes_away_keeps_what_came(contents, tmp_path):
    source = Named({"mila": contents["mila"], "mila+x": UserError("the server is away")})
    album = Album.open(tmp_path / "album", "mila")
    with pytest.raises(UserError, match="is away"):
        add_photos(album, [source], "mila")
    [record] = read_records(album.root).values()
    assert (record.id, record.why, record.path) == ("mila", "person mila", "mila/mila.jpg")


def test_photos_that_show_the_subject_too_are_no_negatives(contents, tmp_path):
    album = Album.open(tmp_path / "album", "mila")
    added = add_photos(album, [Named(contents)], "pets/dog", AddOptions(name="rex"))
    assert added.copied == 1
    assert added.skipped == [("mila+rex.jpg", "mila is in it, too: person mila")]
    assert (album.root / "pets/dog/rex.jpg").is_file()


def test_a_kill_leaves_what_the_same_command_completes(camera, tmp_path):
    album = Album.open(tmp_path / "album", "mila")
    add_photos(album, [FolderSource(camera)], "mila")
    (album.root / "added.parquet").unlink()  # killed before it was written
    (album.root / "mila/IMG-2.jpg").unlink()
    again = add_photos(album, [FolderSource(camera)], "mila")
    assert (again.linked, again.here_already) == (1, 2)
    assert len(read_records(album.root)) == 3
