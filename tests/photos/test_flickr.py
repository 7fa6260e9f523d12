import os
import random
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from conftest import call
from flickr_server import NSID, FlickrServer, bomb, some_photos

from ismila.cli.fetch import print_fetched
from ismila.photos import UserError
from ismila.photos.fetch import Fetched, read_records
from ismila.photos.files import aside_path
from ismila.photos.flickr import Downloads, Flickr, Keys
from ismila.photos.http import FetchError


def command(server, root, *args):
    said = [
        sys.executable,
        "-m",
        "ismila.cli",
        "fetch",
        "--user",
        NSID,
        "--tags",
        "mila",
        "--pets-tags",
        "dog,cat",
    ]
    return [*said, "--root", str(root), *args]


def env(server, **more):
    keys = {
        "FLICKR_API_KEY": "goodkey",
        "FLICKR_API_INTERVAL_S": "0.01",
        "FLICKR_API_URL": server and server.address,
    }
    home = {"HOME": os.environ.get("HOME", "/")}
    return {k: v for k, v in {**os.environ, **home, **keys, **more}.items() if v}


def fetch(server, root, *args, **more):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env(server, **more).items():
            patch.setenv(name, value)
        return call(root.parent, *command(server, root, *args)[2:])


def files(root):
    paths = (p for p in root.rglob("*") if p.is_file() and ".ismila" not in p.parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths if p.suffix != ".parquet"}


def test_photos_are_sorted_by_tag_and_their_records_kept(tmp_path):
    with FlickrServer(some_photos(24)) as server:
        said = fetch(server, tmp_path / "a")
        assert said.returncode == 0, said.stderr
        assert "6 to mila" in said.stdout
        assert server.calls == {"flickr.people.getPhotos": 1, "photo": 24}
        again = fetch(server, tmp_path / "a")
        assert "new: none; here already: 24" in again.stdout
        assert server.calls["photo"] == 24
    found = files(tmp_path / "a")
    assert {path.rpartition("/")[0] for path in found} == {
        "mila",
        "not_mila",
        "pets/dog",
        "pets/cat",
    }
    records = read_records(tmp_path / "a").set_index("id")
    assert records.loc["1000", ["label", "why", "licence", "tags"]].tolist() == [
        "mila",
        "tag mila",
        "4",
        "mila dog",
    ]
    assert str(records.loc["1001", "taken_at"]) == "2016-05-02 10:01:00"
    assert "goodkey" not in said.stdout + said.stderr


def test_the_date_taken_reaches_the_index(tmp_path):
    from ismila.photos.album import Album

    with FlickrServer(some_photos(8)) as server:
        fetch(server, tmp_path / "a")
    index = Album.open(tmp_path / "a", "mila").update()
    assert index["taken_at"].notna().all()


def test_balance_limit_and_not_tags(tmp_path):
    with FlickrServer(some_photos(40)) as server:
        fetch(server, tmp_path / "a", "--balance")
        fetch(server, tmp_path / "b", "--limit", "7")
        fetch(server, tmp_path / "c", "--not-tags", "dog,food")
    folders = pd.Series([path.rpartition("/")[0] for path in files(tmp_path / "a")]).value_counts()
    assert folders["mila"] == folders["not_mila"] == 10
    assert len(files(tmp_path / "b")) == 7
    assert len(files(tmp_path / "c")) == 25


@pytest.mark.parametrize(
    "user", [NSID, "Mila's human", "https://www.flickr.com/photos/milashuman/"]
)
def test_a_user_may_be_given_in_three_ways(user):
    with FlickrServer(some_photos(1)) as server:
        assert Flickr(Keys("goodkey", ""), server.address, 0).user_id(user) == NSID


def test_nine_thousand_photos_each_once(tmp_path):
    with FlickrServer(some_photos(9000)) as server:
        server.faults["page repeated"] = 2
        listed = [
            record.id for record in Flickr(Keys("goodkey", ""), server.address, 0).photos(NSID)
        ]
    assert len(listed) == len(set(listed)) == 9000
    assert (
        sum(server.calls.values()) <= 18 + 2 + 2
    )  # 500 a call, two repeated pages, two queries begun anew


def test_a_server_that_lists_in_another_order_loses_nothing():
    with FlickrServer(some_photos(5000)) as server:
        server.order = 1
        listed = [
            record.id for record in Flickr(Keys("goodkey", ""), server.address, 0).photos(NSID)
        ]
    assert len(listed) == len(set(listed)) == 5000


def test_calls_are_at_most_one_in_an_interval():
    with FlickrServer(some_photos(1600)) as server:
        list(Flickr(Keys("goodkey", ""), server.address, 0.3).photos(NSID))
    assert min(b - a for a, b in zip(server.times, server.times[1:], strict=False)) > 0.25


def test_passing_faults_cost_time_not_photos(tmp_path):
    with FlickrServer(some_photos(30)) as server:
        server.faults.update(
            {"api 429": 1, "api 500": 1, "api html": 1, "photo 429": 2, "photo 503": 2, "cut": 3}
        )
        said = fetch(server, tmp_path / "a")
        assert said.returncode == 0, said.stderr
    assert len(files(tmp_path / "a")) == 30


def test_a_photo_that_cannot_be_had_is_listed_and_the_others_come(tmp_path):
    with FlickrServer(some_photos(12)) as server:
        server.faults.update({"unavailable": 1003, "broken": 1005})
        said = fetch(server, tmp_path / "a")
    assert said.returncode == 1
    assert "1003: no longer available on Flickr" in said.stderr
    assert "1005: not a whole picture" in said.stderr
    assert "Traceback" not in said.stderr
    assert len(files(tmp_path / "a")) == 10


def test_what_changed_on_flickr_is_said_and_nothing_deleted(tmp_path):
    photos = some_photos(8)
    with FlickrServer(photos) as server:
        fetch(server, tmp_path / "a")
        del photos[1]
        photos[0]["tags"] = "beach"
        said = fetch(server, tmp_path / "a")
    assert "no longer on Flickr, kept here: pets/dog/1001.jpg" in said.stderr
    assert "mila/1000.jpg: fetched as mila, on Flickr it is not_mila now" in said.stderr
    assert len(files(tmp_path / "a")) == 8


def test_hostile_listings_never_leave_the_album(tmp_path):
    photos = some_photos(4)
    photos[0] |= {"id": "../../evil", "title": "../../evil"}
    photos[1] |= {"title": "../../../etc/passwd\x1b[31m\0", "tags": "../../dog \x1b]0;x dog"}
    photos[2] |= {
        "tags": None,
        "title": {"_content": "x"},
        "dateupload": photos[2]["dateupload"],
        "datetaken": "soon",
    }
    photos[3] |= {"id": "12.5"}
    with FlickrServer(photos) as server:
        said = fetch(server, tmp_path / "a")
    assert set(files(tmp_path / "a")) == {"pets/dog/1001.jpg", "not_mila/1002.jpg"}
    assert {p.name for p in tmp_path.iterdir()} == {"a", "mlruns"}
    assert "\x1b" not in said.stderr + said.stdout
    assert "the photo's id is not a number" in said.stderr


@pytest.mark.parametrize(
    ("more", "args", "remedy"),
    [
        ({"FLICKR_API_KEY": ""}, [], "no FLICKR_API_KEY"),
        ({"FLICKR_API_KEY": "wrong"}, [], "code 100"),
        ({"FLICKR_API_URL": "http://127.0.0.1:9/"}, [], "cannot reach 127.0.0.1"),
        ({}, ["--user", "nobody"], "no such user"),
        ({}, ["--user", "99@N99"], "no such user"),
        ({}, ["--tags", "!!"], "expected tags"),
        ({}, ["--login"], "FLICKR_API_SECRET"),
        ({}, ["--root", "/proc/nowhere"], "folder that may be written"),
    ],
)
def test_what_a_person_can_put_right_is_one_line(more, args, remedy, tmp_path):
    with FlickrServer(some_photos(3)) as server:
        said = fetch(server, tmp_path / "a", *args, **more)
    assert said.returncode == 1
    assert remedy in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


def test_an_empty_or_private_album_and_a_full_disk_are_said(tmp_path):
    with FlickrServer([]) as server:
        said = fetch(server, tmp_path / "a")
        assert "empty or private" in said.stderr
    with FlickrServer(some_photos(5), body=big_jpeg()) as server:
        limited = [
            "bash",
            "-c",
            'trap "" XFSZ; ulimit -f 1; exec "$@"',
            "x",
            *command(server, tmp_path / "b"),
        ]
        said = subprocess.run(
            limited, capture_output=True, text=True, check=False, env=env(server), cwd=tmp_path
        )
    assert said.returncode == 1
    assert "disk full" in said.stderr
    assert "Traceback" not in said.stderr
    assert files(tmp_path / "b") == {}


def big_jpeg():
    import io

    import numpy as np
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)).save(
        out, "JPEG"
    )
    return out.getvalue()


def test_what_a_killed_fetch_was_writing_is_removed_and_nothing_else(tmp_path):
    """The pattern once lacked what `write_aside` had come to put into the name."""
    root = tmp_path / "a"
    (root / "mila").mkdir(parents=True)
    mine = root / "mila/.holiday.jpg.part"
    left = [aside_path(root / name) for name in ("mila/1000.jpg", "flickr.parquet")]
    for path in [mine, *left]:
        path.write_bytes(b"half")
    with FlickrServer(some_photos(8)) as server:
        assert fetch(server, root).returncode == 0
    assert mine.exists()
    assert not [path for path in left if path.exists()]


@pytest.mark.slow
def test_killed_eight_times_the_album_ends_the_same(tmp_path):
    with FlickrServer(some_photos(160)) as server:
        fetch(server, tmp_path / "whole")
        server.slow_s = 0.3
        draw = random.Random(0)
        for _ in range(8):
            process = subprocess.Popen(
                command(server, tmp_path / "killed"),
                env=env(server),
                cwd=tmp_path,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(draw.uniform(0.6, 1.6))
            process.kill()
            process.wait()
        server.slow_s = 0
        said = fetch(server, tmp_path / "killed")
        assert said.returncode == 0, said.stderr
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert read_records(tmp_path / "killed").equals(read_records(tmp_path / "whole"))


def test_an_answer_without_end_is_cut_off(tmp_path):
    """Unpacked: a few kilobytes of gzip may be gigabytes."""
    with FlickrServer(some_photos(3)) as server:
        server.faults["api endless"] = 1
        ended = fetch(server, tmp_path / "a")
    assert ended.returncode == 1
    assert "an answer larger than 16 MiB" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("fault", "times", "outcome"),
    [
        ("photo leads on", 1, "a photo"),
        ("photo leads on", 9, "leads from address to address"),
        ("photo endless", 1, "larger than 64 MiB"),
    ],
)
def test_no_body_is_unpacked_beyond_its_bound(fault, times, outcome):
    bomb()
    with FlickrServer(some_photos(1)) as server:
        server.faults[fault] = times
        tracemalloc.start()
        try:
            got = Downloads().get(f"{server.address}/1000_w.jpg")
            said = "a photo" if got == server.body_of("1000") else "something else"
        except FetchError as error:
            said = str(error)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert outcome in said
    assert peak < 90 * 2**20


def test_brackets_without_end_are_no_answer(monkeypatch):
    flickr = Flickr(Keys("goodkey", ""), "http://127.0.0.1:1/services/rest/", 0)
    monkeypatch.setattr(flickr, "_answer", lambda method, params: b"[" * 100_000)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match="an answer that is not JSON"):
        flickr.call("flickr.people.getPhotos")


def listed(server):
    flickr = Flickr(Keys("goodkey", ""), f"{server.address}/services/rest/", 0)
    found = [record.id for record in flickr.photos(NSID)]
    return flickr, found


def test_pages_that_shift_between_calls_lose_nothing():
    with FlickrServer(some_photos(1200)) as server:
        server.faults["shuffled"] = 10_000
        flickr, found = listed(server)
    assert len(found) == len(set(found)) == flickr.promised == flickr.came == 1200


def test_a_listing_that_promises_more_than_it_gives_is_asked_once_more_and_that_is_said(capsys):
    with FlickrServer(some_photos(3)) as server:
        assert listed(server)[0].came == 3
        assert server.calls["flickr.people.getPhotos"] == 1
        server.faults["never listed"] = 2
        flickr, found = listed(server)
        assert (flickr.promised, len(found)) == (5, 3)
        assert server.calls["flickr.people.getPhotos"] < 10
    print_fetched(Fetched(promised=5, came=3), Path("a"))
    assert "listing promised 5 photos and gave 3" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [[], {"user": None}, {"user": "x"}, {"user": {"nsid": ""}}])
def test_an_answer_of_another_shape_is_one_line(answer, tmp_path):
    with FlickrServer([]) as server:
        server.answer = {**answer, "stat": "ok"} if isinstance(answer, dict) else answer
        ended = fetch(server, tmp_path / "a", "--user", "somebody")
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1
