"""An album in a bucket of a real S3 server on this machine, through the commands that a person gives."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import requests
from conftest import SMALL, call, draw_photo, draw_sides

from ismila.learning.features import Features
from ismila.photos import UserError
from ismila.photos.addresses import album_at
from ismila.photos.album import Album
from ismila.photos.buckets import file_system, listing
from ismila.photos.images import ImageSpec
from ismila.photos.remote import Mirror
from ismila.vision.encoders import OnnxBackbone
from ismila.vision.views import Viewer


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A small album; do not change it."""
    return draw_sides(tmp_path_factory.mktemp("drawn") / "album", 4, 4, 1)


@pytest.fixture
def bucket(s3, request):
    """A bucket's address."""
    name = request.node.name.replace("_", "-")[:50].strip("-")
    file_system(f"s3://{name}")[0].mkdir(name)
    return f"s3://{name}"


@pytest.fixture
def album(bucket, drawn):
    """An album's address."""
    fs, path = file_system(f"{bucket}/my album")
    fs.put(f"{drawn}/", f"{path}/", recursive=True)
    return f"{bucket}/my album"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A machine to stand at."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(address, path):
    fs, base = file_system(address)
    return fs.cat_file(f"{base}/{path}")


def write(address, path, content):
    fs, base = file_system(address)
    fs.pipe_file(f"{base}/{path}", content)


def at(machine, address):
    """The album as it is seen from a machine: each has a copy of its own."""
    return Album.open(machine / album_at(address), "mila")


@pytest.mark.slow
def test_a_run_trains_on_an_album_in_a_bucket_and_its_features_come_to_lie_there(
    bucket, enough, here
):
    fs, path = file_system(f"{bucket}/album")
    # what others derived of it, with the locks of this machine, is none of the bucket's
    unread = shutil.copytree(enough, here / "unread", ignore=shutil.ignore_patterns(".ismila"))
    fs.put(f"{unread}/", f"{path}/", recursive=True)
    said = call(here, "ismila.train", *SMALL, f"data.root={bucket}/album")
    assert said.returncode == 0, said.stderr
    assert f"{bucket}/album: 36 photos of mila, 60 of things" in said.stderr
    there = listing(f"{bucket}/album")
    assert {".ismila/facts.parquet", ".ismila/index.parquet"} <= set(there)
    assert [name for name in there if name.startswith(".ismila/features/")]
    assert not [name for name in there if name.endswith((".lock", ".part"))]

    other = at(here / "other", f"{bucket}/album")
    index = other.update()
    assert (index["problem"] == "").all()
    viewer, encoder = Viewer(ImageSpec(128)), OnnxBackbone(ImageSpec(128))
    filled = Features(other.derived, viewer, encoder)
    assert all(filled.has(sha) for sha, _ in other.photos(index)), "computed once, elsewhere"
    assert listing(f"{bucket}/album")[".ismila/facts.parquet"] == there[".ismila/facts.parquet"]


def test_commands_name_the_address_and_record_it(album, here):
    assert "things: 4 photos" in call(here, "ismila.cli", "index", album).stdout
    write(album, "labels.csv", b"path,label\nmila/none.jpg,mila\n")
    said = call(here, "ismila.cli", "check", "--json", album)
    assert said.stderr.startswith(
        f"error: {album}/labels.csv:2: path='mila/none.jpg': no such photo"
    )


def test_what_changes_or_goes_at_the_address_does_so_here(album, here):
    first = at(here, album).update()
    fs, base = file_system(album)
    fs.rm_file(f"{base}/mila/m0.jpg")
    write(album, "mila/m1.jpg", draw_photo(here / "x.jpg", 99, True).read_bytes())
    second = at(here, album).update().set_index("path")
    assert set(first["path"]) - set(second.index) == {"mila/m0.jpg"}
    before = first.set_index("path")["sha256"]
    assert [path for path in second.index if second["sha256"][path] != before[path]] == [
        "mila/m1.jpg"
    ]


def test_everything_derived_can_be_deleted_there_and_here(album, here):
    first = at(here, album).update()
    fs, base = file_system(album)
    fs.rm(f"{base}/.ismila", recursive=True)
    shutil.rmtree(here / "data")
    pd.testing.assert_frame_equal(at(here, album).update(), first)


def test_two_machines_that_start_at_once_agree(album, here):
    viewer, encoder = Viewer(ImageSpec(64)), OnnxBackbone(ImageSpec(64))

    def work(name):
        opened = at(here / name, album)
        index = opened.update()
        assert not Features(opened.derived, viewer, encoder).fill(opened.photos(index))
        return index

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(work, ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    third = at(here / "three", album)
    filled = Features(third.derived, viewer, encoder)
    assert all(filled.has(sha) for sha, _ in third.photos(third.read()))


def test_corrections_made_on_two_machines_at_once_are_all_kept(album, here):
    machines = [at(here / name, album) for name in ("one", "two")]

    def correct(number):
        machines[number % 2].correct(f"not_mila/t{number}.jpg", {"note": f"seen {number}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(correct, range(4)))
    lines = read(album, "labels.csv").decode().splitlines()
    assert sorted(lines[1:]) == [f"not_mila/t{n}.jpg,,,,seen {n}" for n in range(4)]


def test_a_correction_that_does_not_arrive_is_not_kept_here_either(album, here, monkeypatch):
    opened = at(here, album)
    opened.correct("mila/m0.jpg", {"note": "arrived"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"Could not connect .*; are the address, AWS_ENDPOINT_URL"):
        opened.correct("mila/m0.jpg", {"note": "lost"})
    monkeypatch.undo()
    assert b"arrived" in read(album, "labels.csv")
    assert "arrived" in (at(here, album).root / "labels.csv").read_text()


def test_photos_are_added_there_and_none_is_written_over(album, here):
    new = draw_photo(here / "phone/m0.jpg", 77, True)
    said = call(here, "ismila.cli", "add", here / "phone", "--as", "mila", "--root", album)
    assert said.stdout == f"{album}/mila: 1 linked, 0 copied, 0 skipped\n", said.stderr
    assert read(album, "mila/m0-2.jpg") == new.read_bytes()
    opened = at(here / "other", album)
    write(album, "mila/mine.jpg", b"somebody else's")
    (opened.root / "mila/mine.jpg").write_bytes(new.read_bytes())
    with pytest.raises(UserError, match=r"mila/mine.jpg: somebody else has put another file"):
        Mirror(album, opened.root).push()
    assert read(album, "mila/mine.jpg") == b"somebody else's"


def test_a_name_that_leads_out_of_the_folder_is_refused(bucket, here, s3):
    sent = requests.put(f"{s3}/{bucket.removeprefix('s3://')}/a/..%2Fb.jpg", data=b"x", timeout=10)
    assert sent.ok
    with pytest.raises(UserError, match=r"'../b.jpg': no name of a file in a folder"):
        at(here, f"{bucket}/a")


def refused(folder, address):
    said = call(folder, "ismila.cli", "index", address)
    assert said.returncode == 1
    [line] = said.stderr.splitlines()
    return line


def test_what_is_wrong_with_an_address_is_said_in_a_line(s3, here, monkeypatch):
    assert "s3://nobody-has-it/a: The specified bucket does not exist; give a place" in refused(
        here, "s3://nobody-has-it/a"
    )
    assert "File name too long" in refused(here, f"s3://b/{'x' * 250}")
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        assert "Unable to locate credentials; are the address" in refused(here, "s3://bucket/a")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "other")  # the opened file system is kept by these
        patch.setitem(sys.modules, "s3fs", None)
        patch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
        assert "needs a package that is not here; pip install 'ismila[s3]'" in refused(
            here, "s3://bucket/a"
        )


@pytest.mark.parametrize("protocol", ["sftp", "ftp", "http", "memory", "qq"])
def test_what_is_no_bucket_is_refused_and_leaves_nothing_behind(here, protocol):
    """A password in its address stays where it was."""
    said = refused(here, f"{protocol}://me:secret@127.0.0.1/album")
    assert (
        f"{protocol}://me:***@127.0.0.1/album: no bucket; give s3://BUCKET/ALBUM, or mount" in said
    )
    assert not (here / "data").exists()
