import pytest

from ismila.photos import UserError
from ismila.photos.labels_csv import COLUMNS, Table, csv_of, read_table


@pytest.fixture
def file(tmp_path):
    return tmp_path / "labels.csv"


def write(file, text):
    file.write_text(text, encoding="utf-8", newline="")


def test_where_there_is_none_or_an_empty_one_nothing_is_said(file):
    assert read_table(file) == Table()
    write(file, "\n,,\n")
    assert read_table(file) == Table()
    assert csv_of(Table()).decode() == f"{','.join(COLUMNS)}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("photo,label\n", "its first line is not path,label,closeup,box,note"),
        ("path;label\n", "with commas between"),
        ("path,label,note,note\n", "names note twice"),
        ("path,label\na.jpg,drop,big, ears\n", "labels.csv:2: 4 cells, expected 2"),
        ('path,label\n"a.jpg,drop\n', "cannot be read"),
    ],
)
def test_a_form_that_cannot_be_followed_is_named_with_its_remedy(file, text, problem):
    write(file, text)
    with pytest.raises(UserError, match=problem):
        read_table(file)


def test_what_is_no_text_file_is_named(file):
    file.write_bytes("path,label\nmila/a.jpg,größer\n".encode("latin-1"))
    with pytest.raises(UserError, match="write it as UTF-8"):
        read_table(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_table(file)


def test_what_spreadsheets_and_people_write_is_followed(file):
    write(
        file,
        "\ufeffpath, label,closeup,note,,\r\n\r\nmila/a.jpg , drop,,,,\r\nmila/b.jpg\r\n,,,\r\n",
    )
    table = read_table(file)
    assert [(line["path"], line["label"]) for line in table.lines] == [
        ("mila/a.jpg", "drop"),
        ("mila/b.jpg", ""),
    ]
    assert [line.number for line in table.lines] == [3, 4]


def test_a_table_is_written_as_it_was_read_with_all_columns(file):
    write(file, '\ufeffpath,label,who,note\na.jpg,drop,Ann,"a, b\nc"\nb.jpg,Milo,,\n')
    assert csv_of(read_table(file)).decode("utf-8") == (
        '\ufeffpath,label,who,note,closeup,box\na.jpg,drop,Ann,"a, b\nc",,\nb.jpg,Milo,,,,\n'
    )


def test_half_a_character_in_a_note_does_not_lose_the_rest(file):
    table = read_table(file)
    write(file, "path,label,note\na.jpg,drop,x\n")
    line = read_table(file).lines[0]
    line.cells["note"] = "\ud83d"
    assert b"a.jpg,drop,,,?" in csv_of(Table(lines=[line], columns=table.columns))
