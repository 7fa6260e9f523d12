"""The demo album: drawings with one particular dog."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ismila.demo.scenes import BROKEN, COUNTS, draw_album, plan_album
from ismila.photos import UserError
from ismila.photos.index import index_album, usable

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


def test_the_whole_album_has_at_least_500_drawings() -> None:
    shots = list(plan_album("mila", 0, 1.0))
    assert len(shots) == planned(1.0) >= 500
    assert len({shot.path for shot in shots}) == len(shots)
    first, last = min(shot.taken_at for shot in shots), max(shot.taken_at for shot in shots)
    assert 650 < (last - first).days < 731


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
    index = index_album(album, "mila", tmp_path)
    broken = index[index["problem"] != ""]
    assert set(broken["path"]) == {path.format(subject="mila") for path in BROKEN}
    rows = usable(index)
    assert len(rows) == planned(SHARE)
    assert set(rows["kind"]) == {"mila", *COUNTS} - {"subject"}
    assert rows["taken_at"].notna().all()
    assert set(rows["width_px"]) | set(rows["height_px"]) <= {256, 192}


def test_groups_are_the_bursts_and_nothing_else(album: Path, tmp_path: Path) -> None:
    rows = usable(index_album(album, "mila", tmp_path))
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
