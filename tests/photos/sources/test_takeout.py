import json

import pytest
from adding import add, draw, whys

YEAR = "Takeout/Google Fotos/Fotos von 2021"
LONG = "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_PXL"
"""49 characters: with its suffix more than Google leaves of a JSON's name."""


def say(path, title, *people, taken="1600000000"):
    """A JSON as Google writes it beside a photo."""
    held = {
        "title": title,
        "description": "",
        "imageViews": "3",
        "creationTime": {"timestamp": "1600000001", "formatted": "13.09.2020, 12:26:41 UTC"},
        "photoTakenTime": {"timestamp": taken, "formatted": "13.09.2020, 12:26:40 UTC"},
        "geoData": {"latitude": 0.0, "longitude": 0.0},
        "url": "https://photos.google.com/photo/x",
    }
    if people:
        held["people"] = [{"name": name} for name in people]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(held), encoding="utf-8")


@pytest.fixture
def takeout(tmp_path):
    return tmp_path / YEAR


NAMES = [
    ("IMG_1.jpg", "IMG_1.jpg.json"),
    ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
    ("IMG_20210101_120000123.jpg", "IMG_20210101_120000123.jpg.supplemental-metada.json"),
    ("IMG_1(2).jpg", "IMG_1.jpg(2).json"),
    ("IMG_1(2).jpg", "IMG_1.jpg.supplemental-metadata(2).json"),
    ("IMG_1(2).jpg", "IMG_1(2).jpg.json"),
    ("Peanut Butter Balls.jpg", "Peanut Butter Balls.supplemental-metadata.json"),
    ("IMG_1-edited.jpg", "IMG_1.jpg.json"),
    ("IMG_1-bearbeitet.jpg", "IMG_1.jpg.supplemental-metadata.json"),
    ("IMG_1-ha editado(1).jpg", "IMG_1.jpg(1).json"),
    (
        "Urlaub in Knaufspesch in der Schneifel (38).jpg",
        "Urlaub in Knaufspesch in der Schneifel (38).jp.json",
    ),
    (f"{LONG[:47]}.jpg", f"{LONG[:46]}.json"),
    (f"{LONG[:47]}(1).jpg", f"{LONG[:46]}.json"),
    (f"{'😀' * 24}.jpg", f"{'😀' * 23}.json"),
    (
        "123456789123456789123456789123456789_DSCN0095.JPG",
        "123456789123456789123456789123456789_DSCN0095.JP.supplemental.json",
    ),
]


@pytest.mark.parametrize(("photo", "side"), NAMES, ids=[side for _, side in NAMES])
def test_a_photos_json_is_found_by_whatever_name_google_gave_it(tmp_path, takeout, photo, side):
    from ismila.photos.sources.opening import SourceOptions
    from ismila.photos.sources.takeout import Takeout

    takeout.mkdir(parents=True)
    (takeout / photo).touch()
    (takeout / "IMG_9.jpg").touch()
    say(takeout / side, "what.jpg", "Mila")
    say(takeout / "IMG_9.jpg.json", "IMG_9.jpg", "Rex")
    source = Takeout("takeout", str(tmp_path), SourceOptions())
    assert [found.name for found in source.photos("mila")] == [photo]
    assert source.names() == ["Mila", "Rex"]


def test_people_and_albums_come_each_photo_once_and_why_is_kept(tmp_path, takeout):
    draw(takeout / "a.jpg", 1)
    draw(takeout / "b.jpg", 2)
    draw(takeout / "c.jpg", 3)
    (takeout / "film.mp4").write_bytes(b"a film")
    say(takeout / "a.jpg.json", "a.jpg", "Mila", "Rex")
    say(takeout / "b.jpg.json", "b.jpg", "Rex", taken="2")
    say(takeout / "c.jpg.json", "c.jpg", taken="3")
    say(takeout / "film.mp4.json", "film.mp4", "Mila")
    album = takeout.with_name("Mila")
    album.mkdir()
    (album / "Metadaten.json").write_text(
        '{"title": "Mila", "description": "", "access": "protected"}'
    )
    (album / "a.jpg").write_bytes((takeout / "a.jpg").read_bytes())
    say(album / "a.jpg.json", "a.jpg", "Mila", "Rex")
    draw(album / "d.jpg", 4)
    say(album / "c.jpg.json", "c.jpg", taken="3")  # the photo itself lies in the year's folder
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    dry = add(tmp_path, "takeout", "Takeout", "--dry-run")
    assert "3 would come (album Mila: 2, person Mila: 1), 1 here already, 0 skipped" in dry.stdout
    assert not (tmp_path / "album").exists()
    once = add(tmp_path, "takeout", "Takeout")
    assert (once.returncode, once.stderr) == (0, "")
    assert whys(tmp_path) == {"a.jpg": "person Mila", "c.jpg": "album Mila", "d.jpg": "album Mila"}
    again = add(tmp_path, "takeout", "Takeout")
    assert "0 linked, 0 copied, 4 here already, 0 skipped" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_photo_that_google_names_and_that_is_gone_is_named(tmp_path, takeout):
    draw(takeout / "a.jpg", 1)
    say(takeout / "a.jpg.json", "a.jpg", "Mila")
    say(takeout / "b.jpg.json", "../../b.jpg", "Mila", taken="2")
    said = add(tmp_path, "takeout", "Takeout")
    assert said.returncode == 0
    assert "1 linked, 0 copied, 0 skipped, 1 gone" in said.stdout
    assert f"not there any more: {YEAR}/b.jpg" in said.stderr


def test_broken_json_ends_nothing_and_is_named(tmp_path, takeout):
    draw(takeout / "a.jpg", 1)
    say(takeout / "a.jpg.json", "a.jpg", "Mila")
    for name, content in (
        ("b", b'{"people": ['),
        ("c", b"\xff\xfe\xff"),
        ("d", b"[" * 100_000),
        ("e", b'{"people": [3, null, {"name": 7}, {}], "title": 5, "photoTakenTime": []}'),
        ("f", b'[{"title": "Mila"}]'),
        ("g", b'"Mila"'),
    ):
        (takeout / f"{name}.jpg.json").write_bytes(content)
    said = add(tmp_path, "takeout", "Takeout")
    assert (said.returncode, len(said.stderr.splitlines())) == (0, 1)
    assert "JSON that cannot be read" in said.stderr
    assert "and 2 more" in said.stderr
    assert list(whys(tmp_path)) == ["a.jpg"]


@pytest.mark.parametrize(
    ("source", "name", "remedy"),
    [
        ("Takeout", "Mia", "--name Mia: nobody is called so; there are Mila, Rex"),
        ("takeout-001.zip", "Mila", "not a folder; unpack it, all of its parts into one folder"),
        ("nowhere", "Mila", "no such file or folder"),
        ("empty", "Mila", "nobody is called so; it names nobody"),
    ],
)
def test_what_a_person_can_put_right_is_one_line(tmp_path, takeout, source, name, remedy):
    say(takeout / "a.jpg.json", "a.jpg", "Mila", "Rex")
    (tmp_path / "takeout-001.zip").touch()
    (tmp_path / "empty").mkdir()
    said = add(tmp_path, "takeout", source, "--name", name)
    assert said.returncode == 1
    assert remedy in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert not (tmp_path / "album").exists()
