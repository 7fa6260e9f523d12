"""`ismila compare --library`: what a run says against what a library's own tags say."""

import json
import re
import shutil

import pandas as pd
import pytest
from conftest import call, draw_photo
from PIL import Image
from tagged_library import PHOTOS, XMP, compared, tag, tagged_scan

from ismila.evidence.intervals import rate_of
from ismila.photos import UserError
from ismila.use.ask.agreement import Compared, LabelAgreement, seen_by
from ismila.use.ask.agreement_page import left_out, write_agreement
from ismila.use.ask.findings import write_sidecars
from ismila.use.ask.library import StateRow, version_of
from ismila.use.ask.sidecars import set_keyword


@pytest.fixture
def scan(tmp_path):
    return tagged_scan(tmp_path)


def test_both_kinds_of_disagreement_are_named_and_what_trained_is_left_out(scan):
    (scan.library.root / "ours.jpg").unlink()
    agreement = compared(scan)
    assert (agreement.both, agreement.neither) == (1, 1)
    assert agreement.missed == [Compared("missed.jpg", 0.2, "tag Mila")]
    assert agreement.untagged == [Compared("untagged.jpg", 0.95)]
    assert (agreement.in_training, agreement.ours, agreement.unread) == (1, 0, 1)
    rates = agreement.rates()
    agree = rates["they agree"]
    assert (agree.hits, agree.n, agree.groups) == (2, 4, 4)
    assert (agree.low, agree.high) == pytest.approx((0.15, 0.85), abs=0.01)
    assert rates["tagged photos that are found"] == rate_of([True, False])
    assert compared(scan, "garden").both == 1


def test_photos_of_one_day_are_one_occasion(scan):
    root = scan.library.root
    (root / "ours.jpg").unlink()
    for name in ("both", "missed", "untagged", "neither"):
        photo = Image.open(root / f"{name}.jpg")
        exif = Image.Exif()
        exif[0x0132] = f"2024:05:{2 if name == 'neither' else 1:02d} 12:{len(name):02d}:00"
        photo.save(root / f"{name}.jpg", exif=exif)
        version = version_of(root / f"{name}.jpg")
        scan.library.keep("run", [StateRow(f"{name}.jpg", version, PHOTOS[name], None)])
    agree = compared(scan).rates()["they agree"]
    assert (agree.hits, agree.n, agree.groups) == (2, 4, 2)
    assert agree.high - agree.low > 0.75


def test_a_keyword_that_a_scan_wrote_is_not_the_librarys_word(scan):
    side = scan.library.root / "ours.jpg.xmp"
    set_keyword(side, "mila", True)
    assert compared(scan).ours == 1
    # copied into the photo's other side file by a program that leaves the mark out
    (scan.library.root / "ours.xmp").write_text(XMP.format("mila"))
    assert compared(scan).ours == 1
    # a person took it out: that is their word
    (scan.library.root / "ours.xmp").unlink()
    side.write_text(
        side.read_text().replace("<rdf:Bag><rdf:li>mila</rdf:li></rdf:Bag>", "<rdf:Bag/>", 1)
    )
    agreement = compared(scan)
    assert (agreement.ours, [one.path for one in agreement.untagged]) == (
        0,
        ["ours.jpg", "untagged.jpg"],
    )


def test_it_is_known_also_where_another_program_wrote_the_side_file_anew(scan):
    write_sidecars(scan)
    side = scan.library.root / "ours.jpg.xmp"
    assert "ismila" in side.read_text()
    side.write_text(XMP.format("mila"))
    agreement = compared(scan)
    assert agreement.ours == 2  # this one, and the one that was found but not tagged
    assert agreement.both == 1  # a person had tagged it before


def test_of_copies_one_counts_with_the_tag_that_any_has(scan):
    root = scan.library.root
    shutil.copy(root / "untagged.jpg", root / "copy.jpg")
    tag(root / "copy.jpg", "Pets/Mila")
    scan.library.keep("run", [StateRow("copy.jpg", version_of(root / "copy.jpg"), 0.95, None)])
    assert compared(scan).both == 2


def test_a_threshold_was_chosen_on_validation_photos_too():
    table = pd.DataFrame(
        {"sha256": list("abcd"), "used": [True, False, False, False],
         "held_out_by": ["", "val", "test", "crossval 1"]}
    )  # fmt: skip
    assert seen_by(table) == {"a", "b", "d"}


def test_the_page_shows_each_with_its_threshold_and_escapes_names(scan, tmp_path):
    agreement = LabelAgreement("mila", 0.9, both=1, ours=2)
    agreement.missed = [Compared("missed.jpg", 0.2, "tag <b>"), Compared("<gone>.jpg", 0.1)]
    write_agreement(agreement, scan.library.root, "0123456789", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "data:image/jpeg;base64," in page and "file not found" in page
    assert "tag &lt;b&gt;" in page and "<gone>" not in page
    assert 'style="left: 90.00%"' in page and "1 of 3" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert left_out(agreement) == "Left out: 2 since ismila itself wrote the tag."
    assert left_out(LabelAgreement("mila", 0.9)) == "No photo was left out."
    with pytest.raises(UserError, match=r"--html .*give a file that may be written"):
        write_agreement(agreement, scan.library.root, "run", tmp_path / "page.html/page.html")


def test_the_command_judges_and_compares(trained, tmp_path):
    library = tmp_path / "library"
    for seed in range(3):
        draw_photo(library / f"{seed}.jpg", 8000 + seed, seed < 2)
    shutil.copy(trained / "album/mila/m0.jpg", library / "old.jpg")
    tag(library / "0.jpg")
    words = ("compare", "--library", library, "--state", tmp_path / "state")
    said = call(trained, "ismila.cli", *words, "--html", tmp_path / "page.html")
    assert said.returncode == 0, said.stderr
    assert "mila: tagged photos that are found: 1 of 1, 100.0 % (20.7" in said.stdout.replace(
        "%", " %"
    )
    assert "Left out: 1 since the run has seen them." in said.stderr
    assert "Found, but not tagged (1 photo)" in (tmp_path / "page.html").read_text()
    told = json.loads(call(trained, "ismila.cli", *words, "--json").stdout)
    assert told["untagged"][0]["path"] == "1.jpg" and told["rates"]["they agree"][:2] == [2, 3]
    for wrong in (("--html", "x"), ("--library", library, "--subject", "mila,rex")):
        assert call(trained, "ismila.cli", "compare", *wrong).returncode == 2
