import csv

import pytest
from conftest import draw_photo
from PIL import Image

from ismila.photos import UserError
from ismila.photos.images import ImageSpec
from ismila.use.ask.findings import link_photos, write_csv, write_sidecars
from ismila.use.ask.judging import Scan
from ismila.use.ask.library import Library, StateRow, version_of
from ismila.vision.classifier import Classifier


@pytest.fixture
def library(tmp_path):
    """Photos of which a run has said: a.jpg and b/c.jpg are the subject, the others are not."""
    root = tmp_path / "library"
    probabilities = {"a.jpg": 0.9, "a.png": 0.01, "b/c.jpg": 0.95, "d.jpg": 0.02, "e.jpg": 0.5}
    root.mkdir()
    library = Library(root, tmp_path / "state.sqlite")
    for number, (path, probability) in enumerate(probabilities.items()):
        photo = draw_photo(root / path, number, True)
        library.keep("run", [StateRow(path, version_of(photo), probability, None)])
    return library


def scan_of(library):
    return Scan(library, Classifier({}, {}, ImageSpec(), "mila"), "run")


def judge(library, path, probability):
    library.keep("run", [StateRow(path, version_of(library.root / path), probability, None)])


def xmp_of(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.xmp")}


def test_the_table_has_a_line_for_each_photo(library, tmp_path):
    assert write_csv(tmp_path / "out/found.csv", scan_of(library)) == 2
    with (tmp_path / "out/found.csv").open(newline="") as lines:
        rows = {row["path"]: row for row in csv.DictReader(lines)}
    assert {path: row["verdict"] for path, row in rows.items()} == {
        "a.jpg": "mila",
        "a.png": "not mila",
        "b/c.jpg": "mila",
        "d.jpg": "not mila",
        "e.jpg": "unsure",
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["found.csv"]


def test_links_that_no_longer_hold_go_and_others_stay(library, tmp_path):
    to = tmp_path / "found"
    assert link_photos(to, scan_of(library)) == {"mila": 2}
    assert (to / "mila/b/c.jpg").resolve() == (library.root / "b/c.jpg").resolve()
    assert (to / "unsure/e.jpg").is_symlink()
    (to / "mila/mine.txt").write_text("mine")
    judge(library, "a.jpg", 0.01)
    assert link_photos(to, scan_of(library)) == {"mila": 1}
    assert not (to / "mila/a.jpg").is_symlink()
    assert (to / "mila/mine.txt").read_text() == "mine"


def test_links_in_the_library_itself_are_refused(library):
    with pytest.raises(UserError, match="lies in the library"):
        link_photos(library.root / "found", scan_of(library))
    assert not (library.root / "found").exists()


def test_a_side_file_that_two_photos_share_is_theirs_together(library):
    shared = library.root / "a.xmp"
    shared.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
    )
    assert write_sidecars(scan_of(library)).photos == 2
    assert b"mila" in shared.read_bytes()  # a.jpg shows her, a.png does not
    first = xmp_of(library.root)
    assert set(first) == {"a.xmp", "b/c.jpg.xmp"}
    assert write_sidecars(scan_of(library)).photos == 2
    assert xmp_of(library.root) == first
    judge(library, "a.jpg", 0.01)
    judge(library, "a.png", 0.99)
    write_sidecars(scan_of(library))
    assert xmp_of(library.root) == first
    judge(library, "a.png", 0.01)
    write_sidecars(scan_of(library))
    assert b"mila" not in shared.read_bytes()


def test_a_side_file_that_cannot_be_written_is_named_and_the_others_are_written(library):
    (library.root / "a.jpg.xmp").write_text("not xml")
    written = write_sidecars(scan_of(library))
    assert written.photos == 1
    [line] = written.failed
    assert line.startswith("a.jpg: a.jpg.xmp: not XML")


REGIONS = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"><mwg-rs:Regions>
<mwg-rs:RegionList><rdf:Bag/></mwg-rs:RegionList></mwg-rs:Regions></rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_a_box_is_written_where_a_side_file_has_regions_and_the_photo_is_stored_upright(library):
    for path, orientation in (("b/c.jpg", 1), ("d.jpg", 6), ("e.jpg", 1)):
        photo = library.root / path
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.open(photo).save(photo, exif=exif)
        photo.with_suffix(".xmp").write_text(REGIONS)
        box = "" if path == "e.jpg" else "0.1 0.2 0.5 0.8"
        library.keep("run", [StateRow(path, version_of(photo), 0.9, None, "", box)])
    assert write_sidecars(scan_of(library)).photos == 4
    with_region = {name for name, content in xmp_of(library.root).items() if b'"Pet"' in content}
    assert with_region == {"b/c.xmp"}
    assert write_sidecars(scan_of(library)).photos == 4


def test_a_new_side_file_is_called_as_asked_for(library):
    (library.root / "b/c.jpg.xmp").write_text(REGIONS)
    write_sidecars(scan_of(library), "a.xmp")
    assert set(xmp_of(library.root)) == {"a.xmp", "b/c.jpg.xmp"}
