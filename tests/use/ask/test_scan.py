import csv
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import draw_photo
from lxml import etree

from ismila.use.ask.sidecars import DC, RDF, SidecarError, set_keyword


def ismila(folder, *args, module="ismila.cli"):
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def trained(album, tmp_path):
    said = ismila(
        tmp_path, "model=cnn", f"data.root={album}", "model.epochs=3", module="ismila.train"
    )
    assert said.returncode == 0, said.stderr
    return tmp_path


def rows_of(file):
    with file.open(newline="", encoding="utf-8") as opened:
        return {row["path"]: row for row in csv.DictReader(opened)}


@pytest.mark.slow
def test_a_library_is_scanned_once_and_killed_it_goes_on(trained):
    library = trained / "library"
    for i in range(60):
        draw_photo(library / f"20{i % 3}0/ü {i}.jpg", i, i % 4 == 0, (1600, 1200))
    (library / "broken.jpg").write_text("no photo")
    before = {path: path.read_bytes() for path in library.rglob("*.jpg")}
    command = [sys.executable, "-m", "ismila.cli", "scan", str(library), "--state", "killed.sqlite"]
    process = subprocess.Popen(
        command, cwd=trained, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (trained / "killed.sqlite").exists() and process.poll() is None:
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
            state,
            "--csv",
            f"{state}.csv",
            "--link-to",
            "found",
            "--xmp",
        )
        assert said.returncode == 1, said.stderr
        assert "1 photos could not be read" in said.stderr
        assert "Traceback" not in said.stderr
    assert (trained / "killed.sqlite.csv").read_text() == (trained / "whole.sqlite.csv").read_text()
    rows = rows_of(trained / "whole.sqlite.csv")
    assert len(rows) == 61
    assert rows["broken.jpg"]["error"] == "not a picture"
    found = {path for path, row in rows.items() if row["verdict"] == "mila"}
    links = {
        str(p.relative_to(trained / "found/mila"))
        for p in (trained / "found/mila").rglob("*")
        if p.is_symlink()
    }
    assert links == found
    assert {str(p.relative_to(library))[: -len(".xmp")] for p in library.rglob("*.xmp")} == found
    assert before == {path: path.read_bytes() for path in library.rglob("*.jpg")}
    again = ismila(trained, "scan", library, "--state", "whole.sqlite")
    assert re.search("0 photos judged now, 61 before", again.stdout)
    draw_photo(library / "2000/ü 0.jpg", 999, False)
    os.utime(library / "2000/ü 3.jpg", (1, 1))
    assert (
        "2 photos judged now" in ismila(trained, "scan", library, "--state", "whole.sqlite").stdout
    )


def test_a_scan_of_nothing_says_so_in_one_line(tmp_path):
    said = ismila(tmp_path, "scan", "nowhere")
    assert said.returncode == 1
    assert len(said.stderr.strip().splitlines()) == 1


def keywords(path):
    return [
        li.text for li in etree.parse(path).iterfind(f".//{{{DC}}}subject/{{{RDF}}}Bag/{{{RDF}}}li")
    ]


def test_a_side_file_keeps_what_others_wrote(tmp_path):
    photo, side = tmp_path / "a.jpg", tmp_path / "a.xmp"
    theirs = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5" xmlns:dc="{DC}"><dc:subject><rdf:Bag>'
        "<rdf:li>beach</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    side.write_text(theirs)
    set_keyword(photo, "mila", True)
    once = side.read_bytes()
    set_keyword(photo, "mila", True)
    assert side.read_bytes() == once
    assert keywords(side) == ["beach", "mila"]
    assert b'xmp:Rating="5"' in once
    plain = [dict(li.attrib) for li in etree.parse(side).iter(f"{{{RDF}}}li")]
    assert not any(plain)  # exiv2 drops the whole file where a keyword carries an attribute
    set_keyword(photo, "mila", False)
    set_keyword(photo, "beach", False)
    assert keywords(side) == ["beach"]  # a person's own keyword is never taken out
    assert b"ismila" not in side.read_bytes()


def test_a_keyword_that_a_person_took_out_is_not_put_back(tmp_path):
    side = tmp_path / "a.jpg.xmp"
    set_keyword(tmp_path / "a.jpg", "mila", True)
    tree = etree.parse(side)
    [bag] = tree.iterfind(f".//{{{DC}}}subject/{{{RDF}}}Bag")
    bag.remove(bag[0])
    tree.write(side)
    set_keyword(tmp_path / "a.jpg", "mila", True)
    assert keywords(side) == []


def test_a_side_file_that_is_none_is_left_as_it_is(tmp_path):
    (tmp_path / "a.jpg.xmp").write_text("not xml")
    with pytest.raises(SidecarError, match="not XML"):
        set_keyword(tmp_path / "a.jpg", "mila", True)
    assert (tmp_path / "a.jpg.xmp").read_text() == "not xml"
    set_keyword(tmp_path / "b.jpg", "mila", False)
    assert not (tmp_path / "b.jpg.xmp").exists()
    set_keyword(tmp_path / "b.jpg", "mila", True)
    assert keywords(tmp_path / "b.jpg.xmp") == ["mila"]
