import sqlite3
from contextlib import closing

import pytest
from adding import add, draw, whys

SCHEMA = """
CREATE TABLE AgLibraryRootFolder (id_local INTEGER PRIMARY KEY, id_global UNIQUE NOT NULL,
  absolutePath UNIQUE NOT NULL DEFAULT '', name NOT NULL DEFAULT '', relativePathFromCatalog);
CREATE TABLE AgLibraryFolder (id_local INTEGER PRIMARY KEY, id_global UNIQUE NOT NULL, parentId INTEGER,
  pathFromRoot NOT NULL DEFAULT '', rootFolder INTEGER NOT NULL DEFAULT 0, visibility INTEGER);
CREATE TABLE AgLibraryFile (id_local INTEGER PRIMARY KEY, id_global UNIQUE NOT NULL,
  baseName NOT NULL DEFAULT '', extension NOT NULL DEFAULT '', folder INTEGER NOT NULL DEFAULT 0,
  idx_filename NOT NULL DEFAULT '', originalFilename NOT NULL DEFAULT '', sidecarExtensions);
CREATE TABLE Adobe_images (id_local INTEGER PRIMARY KEY, id_global UNIQUE NOT NULL, copyName,
  fileFormat NOT NULL DEFAULT 'unset', masterImage INTEGER, orientation, rootFile INTEGER NOT NULL DEFAULT 0);
CREATE TABLE AgLibraryKeyword (id_local INTEGER PRIMARY KEY, id_global UNIQUE NOT NULL,
  genealogy NOT NULL DEFAULT '', keywordType, lc_name, name, parent INTEGER);
CREATE TABLE AgLibraryKeywordImage (id_local INTEGER PRIMARY KEY, image INTEGER NOT NULL DEFAULT 0,
  tag INTEGER NOT NULL DEFAULT 0);
"""
"""As dumps of catalogues published in 2024 have it; the columns that matter here among many more."""
FILES = [  # id, folder, name, what lies beside it, keywords
    (10, 1, "a", "JPG", "", (3,)),
    (11, 2, "b", "jpg", "xmp", (3, 4)),
    (12, 2, "c", "NEF", "JPG,xmp", (3,)),
    (13, 2, "d", "NEF", "xmp", (3,)),
    (14, 2, "e", "jpg", "", (4,)),
]


def make_catalogue(file, root, from_catalogue=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(SCHEMA)
        database.execute(
            "INSERT INTO AgLibraryRootFolder VALUES (1, 'r', ?, 'Bilder', ?)",
            (root, from_catalogue),
        )
        for id, path in ((1, ""), (2, "2021/05/")):
            database.execute(
                "INSERT INTO AgLibraryFolder VALUES (?, ?, NULL, ?, 1, NULL)", (id, f"f{id}", path)
            )
        for id, name, parent in ((1, None, None), (2, "Tiere", 1), (3, "Mila", 2), (4, "Rex", 2)):
            database.execute(
                "INSERT INTO AgLibraryKeyword VALUES (?, ?, '', NULL, lower(?), ?, ?)",
                (id, f"k{id}", name, name, parent),
            )
        for id, folder, name, extension, beside, tags in FILES:
            database.execute(
                "INSERT INTO AgLibraryFile VALUES (?, ?, ?, ?, ?, '', '', ?)",
                (id, f"file{id}", name, extension, folder, beside or None),
            )
            for image, master in ((id + 900, None), (id + 800, id + 900)):  # and a virtual copy
                database.execute(
                    "INSERT INTO Adobe_images (id_local, id_global, masterImage, rootFile) VALUES (?, ?, ?, ?)",
                    (image, f"i{image}", master, id),
                )
                database.executemany(
                    "INSERT INTO AgLibraryKeywordImage (image, tag) VALUES (?, ?)",
                    [(image, tag) for tag in tags],
                )


@pytest.fixture
def bilder(tmp_path):
    names = ("a.JPG", "2021/05/b.jpg", "2021/05/c.JPG", "2021/05/e.jpg")
    for seed, name in enumerate(names):
        draw(tmp_path / "Bilder" / name, seed)
    for name in ("c", "d"):
        (tmp_path / f"Bilder/2021/05/{name}.NEF").write_bytes(b"raw")
    return tmp_path / "Bilder"


def test_photos_come_by_their_keywords_and_raw_files_by_their_jpeg(tmp_path, bilder):
    make_catalogue(tmp_path / "Lightroom/Katalog.lrcat", f"{bilder}/")
    (tmp_path / "Lightroom/Katalog.lrcat.lock").touch()
    before = sorted((tmp_path / "Lightroom").iterdir())
    said = add(tmp_path, "lightroom", "Lightroom")
    assert "3 linked, 0 copied, 1 skipped" in said.stdout, said.stderr
    assert "d.NEF: not read in this format; export it as JPEG, and add that folder" in said.stderr
    assert whys(tmp_path) == dict.fromkeys(("a.JPG", "b.jpg", "c.JPG"), "tag Tiere/Mila")
    again = add(tmp_path, "lightroom", "Lightroom/Katalog.lrcat", "--name", "Tiere|Mila")
    assert "0 linked, 0 copied, 3 here already" in again.stdout
    assert sorted((tmp_path / "Lightroom").iterdir()) == before


def test_a_catalogue_that_moved_with_its_photos_finds_them(tmp_path, bilder):
    make_catalogue(tmp_path / "Lightroom/Katalog.lrcat", "C:/Users/x/Bilder/", "../Bilder/")
    assert "3 linked" in add(tmp_path, "lightroom", "Lightroom").stdout


def test_photos_that_lie_elsewhere_are_asked_for(tmp_path, bilder):
    make_catalogue(tmp_path / "Lightroom/Katalog.lrcat", "C:/Users/x/Bilder/")
    said = add(tmp_path, "lightroom", "Lightroom")
    assert "0 linked, 0 copied, 1 skipped, 3 gone" in said.stdout
    assert "C:/Users/x/Bilder is not there; say with --photos DIR" in said.stderr
    assert "3 linked" in add(tmp_path, "lightroom", "Lightroom", "--photos", tmp_path).stdout


def test_what_is_no_catalogue_is_one_line(tmp_path, bilder):
    make_catalogue(tmp_path / "Lightroom/Katalog.lrcat", f"{bilder}/")
    (tmp_path / "Lightroom/Katalog-2.lrcat").write_text("no database")
    said = add(tmp_path, "lightroom", "Lightroom")
    assert said.stderr == (
        "error: Lightroom: holds Katalog-2.lrcat, Katalog.lrcat; give one of these catalogues\n"
    )
    said = add(tmp_path, "lightroom", "Lightroom/Katalog-2.lrcat")
    assert "cannot be read as a database of Lightroom (file is not a database)" in said.stderr
    said = add(tmp_path, "lightroom", "Lightroom/Katalog.lrcat", "--name", "Milla")
    assert said.stderr.endswith("nobody is called so; there are Mila, Rex\n")


def test_an_exported_folder_is_read_by_its_tags(tmp_path, bilder):
    (bilder / "a.xmp").write_text(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:lr="http://ns.adobe.com/lightroom/1.0/"><lr:hierarchicalSubject><rdf:Bag><rdf:li>'
        "Tiere|Mila</rdf:li></rdf:Bag></lr:hierarchicalSubject></rdf:Description></rdf:RDF>"
    )
    add(tmp_path, "lightroom", "Bilder")
    assert whys(tmp_path) == {"a.JPG": "tag Tiere|Mila"}
