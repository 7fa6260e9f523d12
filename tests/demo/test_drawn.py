"""The demo album: drawings with one particular dog."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ismila.demo.drawn import BROKEN, LOCK, demo_root, draw_album
from ismila.demo.shots import COUNTS
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.index import usable

SHARE = 0.08


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "album"
    draw_album(root, share=SHARE)
    return root


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def planned(share: float) -> int:
    return sum(max(1, round(count * share)) for count in COUNTS.values())


@pytest.mark.slow
def test_an_album_drawn_twice_is_the_same_byte_for_byte(album: Path, tmp_path: Path) -> None:
    draw_album(tmp_path / "again", share=SHARE)
    assert digests(tmp_path / "again") == digests(album)


def test_another_seed_draws_another_album(tmp_path: Path) -> None:
    draw_album(tmp_path / "a", seed=0, share=0.01)
    draw_album(tmp_path / "b", seed=1, share=0.01)
    assert (
        digests(tmp_path / "a")["mila/mila_001.jpg"] != digests(tmp_path / "b")["mila/mila_001.jpg"]
    )


def test_an_album_that_is_there_is_not_drawn_again(album: Path) -> None:
    def fail(drawn: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        raise AssertionError("drawn again")

    before = digests(album)
    assert draw_album(album, progress=fail) == planned(SHARE)
    assert digests(album) == before
    assert [path.name for path in album.parent.iterdir()] == ["album"]


def test_the_index_names_the_broken_files_and_takes_all_others(album: Path, tmp_path: Path) -> None:
    index = Album(album, "mila", tmp_path).update()
    broken = index[index["problem"] != ""]
    assert set(broken["path"]) == {path.format(subject="mila") for path in BROKEN}
    rows = usable(index)
    assert len(rows) == planned(SHARE)
    assert set(rows["kind"]) == {"mila", *COUNTS} - {"subject"}
    assert rows["taken_at"].notna().all()
    assert set(rows["width_px"]) | set(rows["height_px"]) <= {256, 192}


def test_groups_are_the_bursts_and_nothing_else(album: Path, tmp_path: Path) -> None:
    rows = usable(Album(album, "mila", tmp_path).update())
    scene = rows["path"].str.replace(r"[abc]?\.jpg$", "", regex=True)
    assert (scene.groupby(rows["group"]).nunique() == 1).all()
    assert (rows["group"].groupby(scene).nunique() == 1).all()
    assert scene.duplicated().any()


def test_every_drawing_of_the_subject_has_its_outline(album: Path) -> None:
    with (album / "outlines.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == max(1, round(COUNTS["subject"] * SHARE))
    for row in rows:
        mask, photo = Image.open(album / row["mask"]), Image.open(album / row["path"])
        assert mask.mode == "1" and mask.size == photo.size
        assert mask.getbbox() == tuple(int(row[side]) for side in ("x0", "y0", "x1", "y1"))
        assert 0.005 < np.asarray(mask).mean() < 0.95


def test_a_drawing_says_that_it_is_one(album: Path) -> None:
    exif = Image.open(album / "mila" / "mila_001.jpg").getexif()
    assert "drawing" in exif[0x010E]


def test_progress_sees_every_drawing(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []

    def count(drawn: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        seen.append((total, title))
        return drawn

    drawn = draw_album(tmp_path / "album", subject="rex", progress=count, share=0.01)
    assert seen == [(drawn, "Drawing the demo album")]
    assert (tmp_path / "album" / "rex" / "rex_001.jpg").is_file()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(UserError, match="empty or missing"):
        draw_album(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_an_album_of_another_subject_is_an_error(album: Path) -> None:
    with pytest.raises(UserError, match="holds drawings of mila, not rex"):
        draw_album(album, subject="rex")


SMALL = "from ismila.demo.drawn import *; draw_album(Path('album'), share=0.03)"


def test_each_subject_has_a_place_of_its_own(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(demo_root("mila")) == "data/demo"
    assert str(demo_root("rex")) == "data/demo-rex"
    draw_album(demo_root("rex"), "rex", share=0.001)
    draw_album(demo_root("mila"), "mila", share=0.001)
    assert draw_album(demo_root("rex"), "rex") == len(COUNTS)
    assert str(demo_root("mila")) == "data/demo"


def test_an_earlier_rex_below_data_demo_is_not_in_milas_way(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_album(Path("data/demo/rex"), "rex", share=0.001)
    assert str(demo_root("mila")) == "data/demo-mila"


def test_an_album_drawn_earlier_is_found(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/demo").mkdir(parents=True)
    earlier = '{"drawings": 530, "subject": "mila", "seed": 0, "what": "a demo album: drawings"}\n'
    (tmp_path / "data/demo/.drawn.json").write_text(earlier)
    assert draw_album(demo_root("mila"), "mila") == 530


def test_derived_files_alone_are_no_album(tmp_path: Path) -> None:
    (tmp_path / "album/.ismila").mkdir(parents=True)
    (tmp_path / "album/.ismila/index.parquet").write_text("derived")
    draw_album(tmp_path / "album", share=0.001)
    assert (tmp_path / "album/.ismila/index.parquet").read_text() == "derived"
    assert (tmp_path / "album/mila/mila_001.jpg").is_file()


def test_what_a_killed_drawing_left_is_drawn_anew(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SMALL], cwd=tmp_path)
    part = tmp_path / ".album.part"
    while not list(part.glob("mila/*.jpg")) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "album").exists()
    (part / "mila/of_another_album.jpg").write_text("left over")
    draw_album(tmp_path / "album", share=0.03)
    assert [path.name for path in tmp_path.iterdir()] == ["album"]
    assert not (tmp_path / "album/mila/of_another_album.jpg").exists()
    assert not (tmp_path / "album" / LOCK).exists()


@pytest.mark.slow
def test_two_that_draw_at_once_draw_it_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", SMALL], cwd=tmp_path, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["album"]
    draw_album(tmp_path / "alone", share=0.03)
    assert digests(tmp_path / "album") == digests(tmp_path / "alone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="folder that can be written"):
        draw_album(tmp_path / "album")
