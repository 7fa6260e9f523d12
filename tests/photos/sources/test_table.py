import pytest
from adding import add, draw, whys


@pytest.fixture
def photos(tmp_path):
    for seed, name in enumerate(("a.jpg", "deep/b.jpg", "c.jpg")):
        draw(tmp_path / "labels" / name, seed)
    return tmp_path / "labels"


@pytest.mark.parametrize(
    "text",
    [
        b"path,name\na.jpg,Mila\ndeep/b.jpg,mila\nc.jpg,Rex\n",
        b"name;path\nMila;a.jpg\n\nMila ; deep\\b.jpg\nMila;a.jpg\n",
        "\ufeffFile\tLabel\na.jpg\tMila\ndeep/b.jpg\tMila\nc.jpg\t\n".encode("utf-16-le"),
        b"\xef\xbb\xbfid,filename,pet\r\n1,a.jpg,Mila\r\n2,./deep/b.jpg,Mila\r\n",
    ],
    ids=["plain", "spreadsheet", "unicode text", "other columns"],
)
def test_rows_of_a_name_come_from_beside_the_table(tmp_path, photos, text):
    (photos / "who.csv").write_bytes(text)
    said = add(tmp_path, "csv", "labels/who.csv")
    assert (said.returncode, said.stderr) == (0, "")
    assert list(whys(tmp_path)) == ["a.jpg", "b.jpg"]
    assert whys(tmp_path)["a.jpg"] == "name Mila in who.csv"


def test_photos_of_another_place_boxes_and_what_is_gone(tmp_path, photos):
    table = tmp_path / "who.csv"
    table.write_text("path,name,box\na.jpg,Mila,0.1 0.2 0.3 0.4\nx.jpg,Mila,\nc.jpg,Mila\n")
    said = add(tmp_path, "csv", "who.csv", "--photos", "labels")
    assert "2 linked, 0 copied, 1 with a box, 0 skipped, 1 gone" in said.stdout
    assert "mila/a.jpg,,,0.1 0.2 0.3 0.4," in (tmp_path / "album/labels.csv").read_text()


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"", "empty; expected a first line path,name"),
        (b"\n , \n", "empty"),
        (b"where,who\na.jpg,Mila\n", "its columns are where, who; expected path (or file,"),
        (b"path,who\na.jpg,Mila\n", "its columns are path, who; expected name (or label,"),
        (b"path,name\n\xe9.jpg,Mila\n", "not a CSV in UTF-8"),
        (b'path,name\n"a.jpg,Mila\n', "not a CSV in UTF-8"),
        (b"path,name,box\na.jpg,Mila,left\n", "who.csv:2: box='left': expected x0 y0 x1 y1"),
        (b"path,name\na.jpg,Rex\n", "--name mila: nobody is called so; there are Rex"),
    ],
)
def test_a_table_that_cannot_be_followed_is_one_line(tmp_path, photos, content, remedy):
    (photos / "who.csv").write_bytes(content)
    said = add(tmp_path, "csv", "labels/who.csv")
    assert said.returncode == 1
    assert remedy in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_a_folder_is_no_table(tmp_path, photos):
    said = add(tmp_path, "csv", "labels")
    assert said.returncode == 1
    assert "labels: Is a directory; give a CSV with the columns path and name" in said.stderr
