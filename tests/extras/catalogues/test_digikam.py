import os
import sqlite3
from contextlib import closing
from urllib.parse import quote

import pytest
from adding import add, draw, whys
from PIL import Image

SCHEMA = """
CREATE TABLE AlbumRoots (id INTEGER PRIMARY KEY, label TEXT, status INTEGER NOT NULL,
  type INTEGER NOT NULL, identifier TEXT, specificPath TEXT, UNIQUE(identifier, specificPath));
CREATE TABLE Albums (id INTEGER PRIMARY KEY, albumRoot INTEGER NOT NULL, relativePath TEXT NOT NULL,
  date DATE, caption TEXT, collection TEXT, icon INTEGER, modificationDate DATETIME,
  UNIQUE(albumRoot, relativePath));
CREATE TABLE Images (id INTEGER PRIMARY KEY, album INTEGER, name TEXT NOT NULL,
  status INTEGER NOT NULL, category INTEGER NOT NULL, modificationDate DATETIME, fileSize INTEGER,
  uniqueHash TEXT, manualOrder INTEGER, UNIQUE (album, name));
CREATE TABLE ImageInformation (imageid INTEGER PRIMARY KEY, rating INTEGER, creationDate DATETIME,
  digitizationDate DATETIME, orientation INTEGER, width INTEGER, height INTEGER, format TEXT,
  colorDepth INTEGER, colorModel INTEGER);
CREATE TABLE Tags (id INTEGER PRIMARY KEY, pid INTEGER, name TEXT NOT NULL, icon INTEGER,
  iconkde TEXT, UNIQUE (name, pid));
CREATE TABLE TagsTree (id INTEGER NOT NULL, pid INTEGER NOT NULL, UNIQUE (id, pid));
CREATE TRIGGER insert_tagstree AFTER INSERT ON Tags BEGIN INSERT INTO TagsTree
  SELECT NEW.id, NEW.pid UNION SELECT NEW.id, pid FROM TagsTree WHERE id=NEW.pid; END;
CREATE TABLE ImageTags (imageid INTEGER NOT NULL, tagid INTEGER NOT NULL, UNIQUE (imageid, tagid));
CREATE TABLE ImageTagProperties (imageid INTEGER, tagid INTEGER, property TEXT, value TEXT);
"""
"""What digiKam 7.9 makes (the part of its dbconfig.xml that is read)."""
TAGS = [
    (1, 0, "_Digikam_Internal_Tags_"),
    (2, 1, "Color Label Red"),
    (3, 0, "People"),
    (4, 3, "Mila"),
    (5, 0, "Pets"),
    (6, 5, "Mila"),
    (7, 5, "Rex"),
    (8, 5, "Nobody"),
]
IMAGES = [  # id, album, name, status, tags
    (1, 1, "a.jpg", 1, (4, 2)),
    (2, 2, "b.jpg", 1, (6, 7)),
    (3, 2, "c.jpg", 1, (7,)),
    (4, 2, "in the bin.jpg", 3, (4,)),
    (5, 2, "gone.jpg", 1, (6,)),
    (6, 2, "raw.NEF", 1, (6,)),
    (7, 2, "d.jpg", 1, (4, 6)),
]


def make_database(file, identifier, specific="/"):
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(SCHEMA)
        database.execute(
            "INSERT INTO AlbumRoots VALUES (1, 'Fotos', 0, 1, ?, ?)", (identifier, specific)
        )
        for album, path in ((1, "/"), (2, "/2021/Garten")):
            database.execute(
                "INSERT INTO Albums (id, albumRoot, relativePath) VALUES (?, 1, ?)", (album, path)
            )
        database.executemany("INSERT INTO Tags (id, pid, name) VALUES (?, ?, ?)", TAGS)
        for id, album, name, status, tags in IMAGES:
            database.execute(
                "INSERT INTO Images (id, album, name, status, category) VALUES (?, ?, ?, ?, 1)",
                (id, album, name, status),
            )
            database.execute(
                "INSERT INTO ImageInformation (imageid, width, height) VALUES (?, 64, 48)", (id,)
            )
            database.executemany("INSERT INTO ImageTags VALUES (?, ?)", [(id, tag) for tag in tags])
        database.execute(
            "INSERT INTO ImageTagProperties VALUES (7, 4, 'tagRegion', ?)",
            ('<rect x="16" y="12" width="32" height="24"/>',),
        )


def draw_photos(folder):
    for seed, name in enumerate(
        ("a.jpg", "2021/Garten/b.jpg", "2021/Garten/c.jpg", "2021/Garten/d.jpg")
    ):
        draw(folder / name, seed)
    (folder / "2021/Garten/raw.NEF").write_bytes(b"raw")


@pytest.fixture
def fotos(tmp_path):
    """A collection with its database, as digiKam proposes it."""
    draw_photos(tmp_path / "Fotos & mehr")
    path = quote(str(tmp_path / "Fotos & mehr"))
    make_database(tmp_path / "Fotos & mehr/digikam4.db", f"volumeid:?path={path}&fileuuid=0815")
    return tmp_path / "Fotos & mehr"


def state(folder):
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def test_photos_come_by_their_tags_with_the_boxes_of_faces(tmp_path, fotos):
    before = state(fotos)
    said = add(tmp_path, "digikam", "Fotos & mehr")
    assert said.returncode == 0, said.stderr
    assert "3 linked, 0 copied, 1 with a box, 1 skipped, 1 gone" in said.stdout
    assert "raw.NEF: not read in this format; export it as JPEG" in said.stderr
    assert "not there any more: " in said.stderr
    assert "gone.jpg" in said.stderr
    assert whys(tmp_path) == {
        "a.jpg": "tag People/Mila",
        "b.jpg": "tag Pets/Mila",
        "d.jpg": "tag People/Mila",
    }
    assert "mila/d.jpg,,,0.25 0.25 0.75 0.75," in (tmp_path / "album/labels.csv").read_text()
    assert (
        "0 linked, 0 copied, 3 here already, 1 skipped, 1 gone"
        in add(tmp_path, "digikam", "Fotos & mehr/digikam4.db").stdout
    )
    assert state(fotos) == before


def test_a_tag_is_given_with_what_stands_above_it_where_two_have_its_name(tmp_path, fotos):
    dry = add(tmp_path, "digikam", "Fotos & mehr", "--name", "people/mila", "--dry-run")
    assert "2 would come (tag People/Mila: 2)" in dry.stdout


def test_names_are_those_of_tags_that_photos_have(tmp_path, fotos):
    said = add(tmp_path, "digikam", "Fotos & mehr", "--name", "Mia")
    assert said.returncode == 1
    assert said.stderr.endswith("nobody is called so; there are Mila, Rex\n")


def test_what_digikam_has_not_written_back_yet_is_seen_and_left(tmp_path, fotos, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with closing(sqlite3.connect(fotos / "digikam4.db")) as running:
        running.execute("PRAGMA journal_mode=WAL")
        running.execute("INSERT INTO ImageTags VALUES (3, 4)")
        running.commit()
        before = state(fotos)
        assert (fotos / "digikam4.db-wal").stat().st_size
        said = add(tmp_path, "digikam", "Fotos & mehr")
        assert "4 linked" in said.stdout
        assert state(fotos) == before
        running.execute("DELETE FROM ImageTags")  # digiKam is not in anybody's way
        running.commit()
    assert not list((tmp_path / "cache/ismila/databases").iterdir())


def test_a_closed_database_in_wal_mode_is_read_and_no_file_is_made_beside_it(tmp_path, fotos):
    with closing(sqlite3.connect(fotos / "digikam4.db")) as closed:
        closed.execute("PRAGMA journal_mode=WAL")
    before = state(fotos)
    assert "3 linked" in add(tmp_path, "digikam", "Fotos & mehr").stdout
    assert state(fotos) == before


@pytest.mark.parametrize(
    ("identifier", "specific"),
    [
        ("networkshareid:?mountpath=%2Fmnt%2Fnowhere&mountpath={here}", "/"),
        ("volumeid:?uuid=0815-no-such-disk", "/disk/Fotos"),
        ("volumeid:?path=/home/somebody else/Fotos", "/"),
    ],
    ids=["share", "disk", "another machine"],
)
def test_a_collection_is_found_where_it_is_mounted(tmp_path, identifier, specific):
    folder = tmp_path / "disk/Fotos"
    draw_photos(folder)
    make_database(folder / "digikam4.db", identifier.format(here=quote(str(folder))), specific)
    elsewhere = "somebody" in identifier
    if elsewhere:
        said = add(tmp_path, "digikam", "disk/Fotos", "--dry-run")
        assert "/home/somebody else/Fotos is not there; say with --photos DIR" in said.stderr
    said = add(
        tmp_path, "digikam", "disk/Fotos", *(("--photos", "disk/Fotos") if elsewhere else ())
    )
    assert "3 linked" in said.stdout, said.stderr


def test_a_turned_photo_gets_no_box(tmp_path, fotos):
    path = fotos / "2021/Garten/d.jpg"
    photo = Image.open(path)
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(path, exif=exif)
    assert "3 linked, 0 copied, 1 skipped" in add(tmp_path, "digikam", "Fotos & mehr").stdout


def test_another_programs_database_is_one_line(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE Images (id, name)")
    (tmp_path / "text.db").write_text("no database at all, but longer than its header would be" * 9)
    for name, reason in (
        ("other.db", "no such table: Tags"),
        ("text.db", "file is not a database"),
    ):
        said = add(tmp_path, "digikam", name)
        assert said.returncode == 1
        assert said.stderr == (
            f"error: {name}: cannot be read as a database of digiKam ({reason}); give that\n"
        )


def test_a_folder_without_a_database_is_read_by_the_tags_in_its_photos(tmp_path):
    draw(tmp_path / "Fotos/a.jpg", 1)
    (tmp_path / "Fotos/a.jpg.xmp").write_text(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:digiKam="http://www.digikam.org/ns/1.0/"><digiKam:TagsList><rdf:Seq><rdf:li>'
        "Pets/Mila</rdf:li></rdf:Seq></digiKam:TagsList></rdf:Description></rdf:RDF>"
    )
    assert add(tmp_path, "digikam", "Fotos").returncode == 0
    assert whys(tmp_path) == {"a.jpg": "tag Pets/Mila"}


def test_names_of_any_bytes_are_named(tmp_path, fotos):
    (fotos / "a.jpg").rename(fotos / os.fsdecode(b"caf\xe9.jpg"))
    with closing(sqlite3.connect(fotos / "digikam4.db")) as database, database:
        database.execute("UPDATE Images SET name = CAST(x'636166e92e6a7067' AS TEXT) WHERE id = 1")
        database.execute("UPDATE Tags SET name = CAST(x'5065e9' AS TEXT) WHERE id = 5")
    said = add(tmp_path, "digikam", "Fotos & mehr")
    assert whys(tmp_path)["b.jpg"] == r"tag Pe\xe9/Mila"
    assert r"caf\xe9.jpg: its name is not UTF-8; rename it" in said.stderr
