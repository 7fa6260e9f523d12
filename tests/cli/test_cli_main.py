import os
import subprocess
import sys
import time

import pandas as pd
import pytest
from conftest import draw_photo
from PIL import Image


def ismila(*args, folder=None, **options):
    return subprocess.run(
        [sys.executable, "-m", "ismila.cli", *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_index_names_every_problem_and_survives_odd_names(album):
    draw_photo(album / "mila/mit Leerzeichen ä ö 🐶.jpg", 77, True)
    (album / "mila/x.jpg").mkdir()
    (album / "mila/y.jpg").write_text("a text file")
    (album / "mila/zero.jpg").write_bytes(b"")
    Image.new("CMYK", (64, 64), (0, 90, 90, 0)).save(album / "mila/cmyk.jpg")
    draw_photo(album / "lost.jpg", 78, False)
    (album / "pets/around").symlink_to(album / "pets")
    said = ismila("index", album)
    assert said.returncode == 0, said.stderr
    assert "mila/y.jpg: not a picture" in said.stdout
    assert "mila/zero.jpg: empty file" in said.stdout
    assert "lost.jpg: no label" in said.stdout
    assert "mila: 26 photos" in said.stdout
    assert "Traceback" not in said.stderr


def test_index_counts_times_that_cannot_be_read_and_no_others(album):
    for number, when in enumerate(["2019:13:45", "2019:02:30 10:00:00", "", "0000:00:00 00:00:00"]):
        exif = Image.Exif()
        exif[0x0132] = when
        with Image.open(album / f"mila/m{number}.jpg") as photo:
            photo.save(album / f"mila/n{number}.jpg", exif=exif)
    lines = ismila("index", album).stdout.splitlines()
    assert (
        "2 photos: time could not be read, or is none of a photo's "
        "(mila/n0.jpg: 2019:13:45; mila/n1.jpg: 2019:02:30 10:00:00)"
    ) in lines
    assert "mila: 28 photos" in lines


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(album):
    (album / "mila/m0.jpg").chmod(0)
    assert "mila/m0.jpg: may not be read" in ismila("index", album).stdout


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        ("file,tag\na,b\n", "path,label,closeup,box,note"),
        ("path,label,closeup,note\nmila/m0.jpg,a/b,,\n", "labels.csv:2"),
        ("path,label,closeup,note\nmila/m0.jpg,,perhaps,\n", "expected yes, no or nothing"),
        ("path,label,box\nmila/m0.jpg,,0.1 0.2\n", "labels.csv:2: box='0.1 0.2': expected x0 y0"),
    ],
)
def test_a_labels_csv_that_cannot_be_followed_is_one_line(album, lines, remedy):
    (album / "labels.csv").write_text(lines)
    said = ismila("index", album)
    assert said.returncode == 1
    assert remedy in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


def test_a_root_that_cannot_be_written_keeps_its_index_elsewhere(album, tmp_path):
    cache = tmp_path / "cache"
    said = ismila("index", album, "--cache", cache, folder=tmp_path)
    assert said.returncode == 0, said.stderr
    assert (cache / "index.parquet").is_file()
    assert not (album / ".ismila").exists()


def test_wrong_usage_exits_with_2():
    assert ismila("predikt").returncode == 2


def test_help_is_quick_because_it_imports_nothing_heavy():
    heavy = "torch mlflow pandas numpy rich PIL hydra"
    code = f"import sys, ismila.cli; print([m for m in '{heavy}'.split() if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.slow
def test_killed_while_indexing_the_next_call_works(album):
    for i in range(150):
        draw_photo(album / f"not_mila/more{i}.jpg", 9000 + i, False, (900, 700))
    whole = None
    for delay_s in (0.3, 0.6, 0.9, 1.2):
        process = subprocess.Popen(
            [sys.executable, "-m", "ismila.cli", "index", str(album)], stdout=subprocess.DEVNULL
        )
        time.sleep(delay_s)
        process.kill()
        process.wait()
        if (album / ".ismila/index.parquet").exists():
            whole = pd.read_parquet(album / ".ismila/index.parquet")  # never half-written
    assert ismila("index", album).returncode == 0
    index = pd.read_parquet(album / ".ismila/index.parquet")
    assert len(index) == 226
    assert whole is None or len(whole) == 226


def test_an_unexpected_exception_shows_its_traceback(tmp_path):
    """A mistake of ours is never dressed as the user's, whatever words it uses."""
    code = (
        "import ismila.photos.album as album, ismila.cli as cli, sys\n"
        "def update(self, progress=None): raise ValueError('expected 2, got 1')\n"
        "album.Album.update = update\n"
        "sys.argv = ['ismila', 'index', '.']\n"
        "cli.start()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "error: " not in ended.stderr


def test_a_reader_that_goes_away_is_no_error(album):
    (album / "mila/zero.jpg").touch()
    piped = f"{sys.executable} -m ismila.cli index {album} | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
