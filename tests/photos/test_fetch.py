import io
import os
import struct
import zlib

import pytest
from flickr_server import FlickrServer, some_photos
from PIL import Image
from test_flickr import fetch, files

from ismila.photos import UserError
from ismila.photos.fetch import Sorting, fetch_album, read_records, suffix_of, tags_of
from ismila.photos.flickr import Flickr, Keys
from ismila.photos.flickr_photo import FlickrRecord
from ismila.photos.http import FetchError

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 400 400
%%EndComments
showpage
%%EOF
"""


def picture(name, size=(340, 320), **options):
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, name, **options)
    return out.getvalue()


def png_of(width, height):
    """The beginning of a PNG that says how large it is."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def fetched_from(body, root):
    with FlickrServer(some_photos(1), body=body) as server:
        return fetch(server, root), server.calls["photo"]


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path):
    ended, downloads = fetched_from(png_of(30_000, 30_000), tmp_path / "a")
    assert ended.returncode == 1
    assert "1000: too large: 30000 x 30000 pixels" in ended.stderr
    assert downloads == 1  # another download would be as large
    assert files(tmp_path / "a") == {}


def test_only_formats_that_photos_have_are_decoded(tmp_path, monkeypatch):
    """A page of PostScript would run: Pillow hands it to Ghostscript."""
    ghostscript = tmp_path / "bin/gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:{os.environ['PATH']}")
    ended, _ = fetched_from(EPS, tmp_path / "a")
    assert ended.returncode == 1
    assert "1000: not a whole picture" in ended.stderr
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("GIF", ".gif"), ("WEBP", ".webp"), ("TIFF", ".tif")],
)
def test_the_suffix_follows_from_the_content(name, suffix):
    assert suffix_of(picture(name)) == suffix


def test_a_phones_picture_of_several_is_a_jpeg():
    more = {"save_all": True, "append_images": [Image.new("RGB", (340, 320))]}
    assert suffix_of(picture("MPO", **more)) == ".jpg"


def test_what_a_killed_fetch_left_goes_and_what_others_write_stays(tmp_path):
    root = tmp_path / "a"
    ours = [
        "mila/.1000.jpg.99-0123abcd.part",
        "not_mila/.1.png.7-0123abcd.part",
        "pets/dog/.2.jpg.7-0123abcd.part",
    ]
    ours.append(".flickr.parquet.99-0123abcd.part")
    others = [
        ".ismila/features/0a1b/.0123456789abcdef.99.part",
        ".ismila/.index.parquet.99-0123abcd.part",
        "mila/.holiday.jpg.part",
        "feedback/.0123456789abcdef.jpg.99-0123abcd.part",
        ".labels.csv.99-0123abcd.part",
        "rex/.1000.jpg.99-0123abcd.part",
    ]
    for path in (*ours, *others):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("half")
    with FlickrServer(some_photos(2)) as server:
        assert fetch(server, root).returncode == 0
    assert [path for path in ours if (root / path).exists()] == []
    assert [path for path in others if not (root / path).exists()] == []


def test_what_a_fetch_noted_is_read_again(tmp_path):
    photos = some_photos(3)
    photos[1]["datetakenunknown"] = "1"
    with FlickrServer(photos) as server:
        for _ in range(2):
            assert fetch(server, tmp_path / "a").returncode == 0
    records = read_records(tmp_path / "a").set_index("id")
    assert records["taken_at"].isna().tolist() == [False, True, False]
    assert records.loc["1000", "why"] == "tag mila"


def test_a_second_fetch_at_the_same_time_says_so(tmp_path):
    from filelock import FileLock

    (tmp_path / ".ismila").mkdir()
    with FileLock(tmp_path / ".ismila/fetch.lock"), pytest.raises(UserError, match="is running"):
        fetch_album(
            Flickr(Keys("k", ""), "http://x/"), "1@N1", Sorting("mila", ("mila",)), tmp_path
        )


def test_tags_decide_in_this_order():
    sorting = Sorting("mila", ("mila",), ("food",), ("Dog", "cat"))
    places = {
        ("mila", "dog"): "mila",
        ("mila", "food"): "",
        ("dog", "cat"): "pets/dog",
        ("beach",): "not_mila",
    }
    for tags, folder in places.items():
        assert sorting.place(FlickrRecord("1", "o", "", tags, "", None, "", ""))[0] == folder
    assert tags_of(["a, b", "c,"]) == ("a", "b", "c")
    with pytest.raises(UserError, match="--pets-tags"):
        Sorting("mila", ("mila",), (), ("!",))


def test_the_limit_is_that_of_every_photo():
    with pytest.raises(FetchError, match="too large"):
        suffix_of(png_of(20_001, 10_000))
