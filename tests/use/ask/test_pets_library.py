"""A library scanned for several pets in one pass."""

import csv
import os

import numpy as np
import pytest
from conftest import BLUE, call, draw_photo

from ismila.photos.images import ImageSpec
from ismila.photos.skipping import Skipping
from ismila.use.ask.findings import link_photos, write_pets_csv, write_sidecars
from ismila.use.ask.judging import Scan
from ismila.use.ask.library import Library, StateRow, version_of
from ismila.use.ask.pets import Pets
from ismila.use.ask.pets_library import PetsScan
from ismila.vision.animals import Animal
from ismila.vision.decision import Decision
from ismila.vision.views import Viewer

WHOLE = Animal((0.0, 0.0, 1.0, 1.0), "dog", 0.9)
PHOTOS = ("both claim it.jpg", "mila.jpg", "sub/rex.jpg")


class Detector:
    spec = ImageSpec(32)
    digest = "d"
    recipe = "one dog"

    def __call__(self, images):
        return [[WHOLE] for _ in images]


class Stub:
    """Says of the photos, in the order in which they are asked about, what it was given."""

    encoder = None
    viewer = Viewer(ImageSpec(8), Detector())
    decision = Decision()
    threshold = 0.5

    def __init__(self, subject, *probabilities):
        self.subject = subject
        self.probability = dict(zip(range(len(PHOTOS)), probabilities, strict=True))
        self.asked = 0

    def probabilities(self, images):
        # a photo is known by its brightness
        self.asked += len(images)
        which = np.round(images.mean((1, 2, 3)) / 80).astype(int)
        return np.array([self.probability[number] for number in which], np.float32)


@pytest.fixture
def library(tmp_path):
    from PIL import Image

    root = tmp_path / "library"
    for number, name in enumerate(PHOTOS):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (160, 120), (number * 80,) * 3).save(root / name)
    (root / "text.jpg").write_text("no photo")
    return Library(root, tmp_path / "state.sqlite")


def scan_of(library, **stubs):
    return PetsScan(library, Pets(stubs, {name: f"run {name}" for name in stubs}))


@pytest.fixture
def stubs():
    return {"mila": Stub("mila", 0.9, 0.8, 0.1), "rex": Stub("rex", 0.95, 0.2, 0.7)}


def verdicts(scan):
    return [judged.verdict for judged in scan.results()]


def test_one_pass_judges_for_all_and_the_next_has_nothing_to_do(library, stubs):
    scan = scan_of(library, **stubs)
    first = scan.judge()
    assert (first.judged, first.before, first.broken) == (3, 0, 1)
    again = scan.judge()
    assert (again.judged, again.before, again.broken) == (0, 4, 1)
    assert [stub.asked for stub in stubs.values()] == [3, 3]
    assert stubs["mila"].asked == 3
    assert [one.box for one in scan.scans()[0].results()] == ["", "0 0 1 1", "", ""]


def test_an_animal_that_both_claim_is_the_surer_ones_and_the_rows_stay_each_runs_own(
    library, stubs
):
    scan = scan_of(library, **stubs)
    scan.judge()
    mila, rex = scan.scans()
    assert verdicts(mila) == ["not mila", "mila", "not mila", ""]
    assert verdicts(rex) == ["rex", "not rex", "rex", ""]
    alone = Scan(library, stubs["mila"], "run mila")
    assert alone.judge().before == 4
    assert verdicts(alone)[0] == "mila"
    assert [one.probability for one in alone.results()] == pytest.approx([0.9, 0.8, 0.1, None])


def test_after_scans_of_each_alone_only_what_both_claim_is_judged_again(library, stubs):
    for name, stub in stubs.items():
        for path, probability in zip(PHOTOS, stub.probability.values(), strict=True):
            version = version_of(library.root / path)
            library.keep(f"run {name}", [StateRow(path, version, probability, None)])
    scan = scan_of(library, **stubs)
    scanned = scan.judge()
    assert (scanned.judged, scanned.before, scanned.broken) == (1, 2, 1)
    assert verdicts(scan.scans()[0])[0] == "not mila"
    assert scan_of(library, **dict(reversed(stubs.items()))).judge().judged == 0


def test_names_of_a_photo_that_changed_count_no_longer(library, stubs):
    scan = scan_of(library, **stubs)
    scan.judge()
    photo = library.root / PHOTOS[0]
    photo.write_bytes((library.root / "mila.jpg").read_bytes())
    assert scan.judge().judged == 1
    assert [verdicts(one)[0] for one in scan.scans()] == ["mila", "not rex"]


def test_new_times_alone_are_no_new_photos_and_names_hold_on(library, stubs):
    scan = scan_of(library, **stubs)
    scan.judge()
    before = [verdicts(one) for one in scan.scans()]
    for path in PHOTOS:
        os.utime(library.root / path, (1, 1))
    changed = (library.root / "mila.jpg").read_bytes()[::-1]
    (library.root / "mila.jpg").write_bytes(changed)  # of the same size
    again = scan.judge()
    assert (again.judged, again.before, again.broken) == (0, 3, 2)
    assert [verdicts(one) for one in scan.scans()] == [
        [of_pet[0], "", *of_pet[2:]] for of_pet in before
    ]
    assert [stub.asked for stub in stubs.values()] == [3, 3]


def test_a_name_of_any_bytes_is_judged_and_its_line_is_escaped(library, stubs, tmp_path):
    odd = library.root / os.fsdecode(b"caf\xe9/\xff\n.png")
    try:
        odd.parent.mkdir()
        (library.root / "mila.jpg").rename(odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    scan = scan_of(library, **stubs)
    assert scan.judge().judged == 3
    assert scan.judge().before == 4
    write_pets_csv(tmp_path / "found.csv", scan.scans())
    with (tmp_path / "found.csv").open(newline="", encoding="utf-8") as lines:
        [row] = [row for row in csv.DictReader(lines) if row["path"] == "caf\\xe9/\\xff\n.png"]
    assert row["mila_verdict"] == "mila"
    link_photos(tmp_path / "to", *scan.scans())
    assert (tmp_path / "to/mila" / odd.relative_to(library.root)).readlink() == odd
    assert write_sidecars(scan.scans()[0]).photos == 1


def test_what_is_excluded_later_is_no_longer_among_the_results(library, stubs):
    scan = scan_of(library, **stubs)
    scan.judge()
    (library.root / ".ismilaignore").write_text("sub/\ntext.jpg\n")
    later = scan_of(
        Library(library.root, library.state, Skipping(library.root, ["both*"])), **stubs
    )
    assert later.judge().before == 1
    assert [judged.path for judged in later.scans()[0].results()] == ["mila.jpg"]
    assert later.library.skipping.words() == (
        "1 photo by --exclude both*, 1 folder and 1 photo by .ismilaignore"
    )


def test_a_state_of_an_older_version_is_read_on(library, stubs):
    scan = scan_of(library, **stubs)
    scan.judge()
    for table in ("judged", "named"):
        library._db.execute(f"alter table {table} drop column sha256")
    library._db.execute("alter table judged drop column box")
    library._db.commit()
    again = scan_of(Library(library.root, library.state), **stubs).judge()
    assert (again.judged, again.before, again.broken) == (0, 3, 1)


def test_table_links_and_keywords_of_each(library, stubs, tmp_path):
    scan = scan_of(library, **stubs)
    scan.judge()
    scans = scan.scans()
    assert write_pets_csv(tmp_path / "found.csv", scans) == {"mila": 1, "rex": 2}
    with (tmp_path / "found.csv").open(newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == ["path", "mila", "mila_verdict", "rex", "rex_verdict", "error"]
    assert rows[1] == [PHOTOS[0], "0.900000", "not mila", "0.950000", "rex", ""]
    assert rows[4] == ["text.jpg", "", "", "", "", "not a picture"]
    assert link_photos(tmp_path / "to", *scans) == {"mila": 1, "rex": 2}
    links = [p.relative_to(tmp_path / "to").as_posix() for p in (tmp_path / "to").rglob("*.jpg")]
    assert sorted(links) == ["mila/mila.jpg", f"rex/{PHOTOS[0]}", "rex/sub/rex.jpg"]
    assert [write_sidecars(one).photos for one in scans] == [1, 2]
    assert ">mila<" not in (library.root / f"{PHOTOS[0]}.xmp").read_text()


@pytest.mark.slow
def test_scan_and_compare_of_both(both_trained, tmp_path):
    library = tmp_path / "library"
    draw_photo(library / "mila.jpg", 901, True)
    draw_photo(library / "nobody.jpg", 902, False)
    draw_photo(library / "rex.jpg", 903, True, colour=BLUE)
    table, found, state = (tmp_path / name for name in ("t.csv", "found", "s.sqlite"))
    words = ["scan", library, "--state", state]
    both = ["--subject", "mila,rex", "--csv", table, "--link-to", found, "--xmp"]
    said = call(both_trained, "ismila.cli", *words, *both)
    assert said.returncode == 0, said.stderr
    assert "3 photos judged now, 0 before" in said.stdout
    assert f"{table}: 1 photo of mila, 1 photo of rex" in said.stdout
    assert sorted(p.relative_to(found).as_posix() for p in found.rglob("*.jpg")) == [
        "mila/mila.jpg",
        "rex/rex.jpg",
    ]
    assert "rex" in (library / "rex.jpg.xmp").read_text()
    alone = call(both_trained, "ismila.cli", *words, "--subject", "rex")
    assert "0 photos judged now, 3 before" in alone.stdout
    compared = call(both_trained, "ismila.cli", "compare", "--subject", "mila,rex")
    assert compared.returncode == 0, compared.stderr
    assert "mila: held-out photos" in compared.stdout
    assert "taken for rex" in compared.stdout
    as_json = call(both_trained, "ismila.cli", "compare", "--json", "--subject", "mila,rex")
    assert '{"shows": "mila", "mila": ' in as_json.stdout
