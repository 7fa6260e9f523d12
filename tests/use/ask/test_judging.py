import csv
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import call, draw_photo

from ismila.photos.images import ImageSpec
from ismila.use.ask.judging import Scan, Scanned
from ismila.use.ask.library import Library, StateRow, version_of
from ismila.vision.classifier import Classifier


def ismila(folder, *args):
    return call(folder, "ismila.cli", *args)


def rows_of(file):
    with file.open(newline="", encoding="utf-8") as opened:
        return {row["path"]: row for row in csv.DictReader(opened)}


@pytest.mark.slow
def test_a_library_is_scanned_once_and_killed_it_goes_on(trained, tmp_path):
    library = tmp_path / "library"
    for i in range(60):
        draw_photo(library / f"20{i % 3}0/ü {i}.jpg", i, i % 4 == 0, (1600, 1200))
    (library / "broken.jpg").write_text("no photo")
    (library / "gone.jpg").symlink_to("nowhere.jpg")
    before = {path: path.read_bytes() for path in library.rglob("*.jpg") if path.exists()}
    command = [
        sys.executable,
        "-m",
        "ismila.cli",
        "scan",
        str(library),
        "--state",
        str(tmp_path / "killed.sqlite"),
    ]
    process = subprocess.Popen(
        command, cwd=trained, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "killed.sqlite").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.15)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for state in ("killed.sqlite", "whole.sqlite"):
        said = ismila(
            trained,
            "scan",
            library,
            "--state",
            tmp_path / state,
            "--csv",
            tmp_path / f"{state}.csv",
            "--link-to",
            tmp_path / "found",
            "--xmp",
        )
        assert said.returncode == 1, said.stderr
        assert "2 photos could not be read" in said.stderr
        assert "Traceback" not in said.stderr
    assert (tmp_path / "killed.sqlite.csv").read_text() == (
        tmp_path / "whole.sqlite.csv"
    ).read_text()
    rows = rows_of(tmp_path / "whole.sqlite.csv")
    assert len(rows) == 62
    assert rows["broken.jpg"]["error"] == "not a picture"
    assert rows["gone.jpg"]["error"] == "a link that leads nowhere"
    found = {path for path, row in rows.items() if row["verdict"] == "mila"}
    links = {
        str(p.relative_to(tmp_path / "found/mila"))
        for p in (tmp_path / "found/mila").rglob("*")
        if p.is_symlink()
    }
    assert links == found
    assert {str(p.relative_to(library))[: -len(".xmp")] for p in library.rglob("*.xmp")} == found
    assert before == {path: path.read_bytes() for path in before}
    again = ismila(trained, "scan", library, "--state", tmp_path / "whole.sqlite")
    assert re.search("0 photos judged now, 62 before", again.stdout)
    draw_photo(library / "2000/ü 0.jpg", 999, False)
    os.utime(library / "2000/ü 3.jpg", (1, 1))
    assert (
        "1 photo judged now, 61 before"
        in ismila(trained, "scan", library, "--state", tmp_path / "whole.sqlite").stdout
    )


def test_a_scan_of_nothing_says_so_in_one_line(tmp_path):
    said = ismila(tmp_path, "scan", "nowhere")
    assert said.returncode == 1
    assert len(said.stderr.strip().splitlines()) == 1


def scan_of(root, state, subject="mila"):
    """A scan of a library by a classifier that is never asked."""
    return Scan(Library(root, state), Classifier({}, {}, ImageSpec(), subject), "run")


def test_what_is_known_counts_while_the_file_is_the_same(tmp_path):
    photo = draw_photo(tmp_path / "library/a.jpg", 0, True)
    scan = scan_of(tmp_path / "library", tmp_path / "state.sqlite")
    scan.library.keep("run", [StateRow("a.jpg", version_of(photo), 0.9, None)])
    [judged] = scan.results()
    assert (judged.path, judged.verdict, judged.error) == ("a.jpg", "mila", "")
    os.utime(photo, (1, 1))
    assert list(scan.results()) == []


def test_a_link_that_leads_nowhere_is_asked_again_once_it_leads_somewhere(tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    link = library / "a.jpg"
    link.symlink_to(tmp_path / "b.jpg")
    scan = scan_of(library, tmp_path / "state.sqlite")
    assert [path for path, _ in scan.not_judged(Scanned(), {})] == ["a.jpg"]
    scan.library.keep(
        "run", [StateRow("a.jpg", version_of(link), None, "a link that leads nowhere")]
    )
    [named] = scan.results()
    assert (named.path, named.error) == ("a.jpg", "a link that leads nowhere")
    assert list(scan.not_judged(Scanned(), {})) == []
    draw_photo(tmp_path / "b.jpg", 0, True)
    assert [path for path, _ in scan.not_judged(Scanned(), {})] == ["a.jpg"]
