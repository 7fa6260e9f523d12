import os
import threading
from pathlib import Path

import pytest
from somebody import somebody

from ismila.cli.main import main
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.labels import change_lines, check_subject, folder_kinds, folder_label, read_album
from ismila.photos.walking import walk


def small(root):
    """Six files that look like photos: labels are read without opening one."""
    for path in ("mila/a.jpg", "mila/b.jpg", "not_mila/t.jpg", "pets/cat/c.jpg", "rex/r.jpg"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    (root / "pets/p.jpg").write_bytes(b"")
    return root


@pytest.fixture
def root(tmp_path):
    return small(tmp_path / "album")


def with_lines(root, *lines, header="path,label,closeup,note"):
    (root / "labels.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return root


def by_path(root, subject="mila"):
    return {row.path: row for row in read_album(root, subject)}


@pytest.mark.parametrize(
    ("path", "of_mila", "of_rex"),
    [
        ("mila/a.jpg", ("subject", "mila"), ("pets", "mila")),
        ("mila/2024/garden/a.jpg", ("subject", "mila"), ("pets", "mila")),
        ("pets/mila/a.jpg", ("subject", "mila"), ("pets", "mila")),
        ("rex/a.jpg", ("pets", "rex"), ("subject", "rex")),
        ("pets/rex/a.jpg", ("pets", "rex"), ("subject", "rex")),
        ("not_mila/a.jpg", ("things", "things"), ("things", "things")),
        ("not_anybody/deep/a.jpg", ("things", "things"), ("things", "things")),
        ("pets/dog/a.jpg", ("pets", "dog"), ("pets", "dog")),
        ("pets/a.jpg", ("pets", "other"), ("pets", "other")),
        ("goat/a.jpg", ("pets", "goat"), ("pets", "goat")),
        ("feedback/a.jpg", ("", ""), ("", "")),
        ("things/a.jpg", ("", ""), ("", "")),
        ("a.jpg", ("", ""), ("", "")),
    ],
)
def test_the_folder_says_what_a_photo_is(path, of_mila, of_rex):
    assert folder_label(path, "mila") == of_mila
    assert folder_label(path, "rex") == of_rex


@pytest.mark.parametrize("subject", ["", "pets", "not_mila", "a/b", "feedback", "drop", ".mila"])
def test_a_subject_whose_folder_would_mean_something_else_is_refused(subject):
    with pytest.raises(UserError, match="such as mila"):
        check_subject(subject)


@pytest.mark.parametrize("folder", ["Mila", "pets/MILA", "Not_mila", "Pets"])
def test_a_folder_that_differs_in_case_only_is_not_taken_for_another_animal(root, folder):
    (root / folder / "x").mkdir(parents=True)
    (root / folder / "x/1.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=f"{folder}: differs from .* rename the folder"):
        read_album(root, "mila")


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        ("mila", ("subject", "mila")),
        ("pets/mila", ("subject", "mila")),
        ("not_mila", ("things", "things")),
        ("not_rex", ("things", "things")),
        ("cat", ("pets", "cat")),
        ("pets/cat", ("pets", "cat")),
        ("rex", ("pets", "rex")),
        ("other", ("pets", "other")),
        ("pets/guinea pig", ("pets", "guinea pig")),
        ("", ("pets", "rex")),
    ],
)
def test_labels_csv_comes_before_the_folder(root, label, meaning):
    row = by_path(with_lines(root, f"rex/r.jpg,{label},,"))["rex/r.jpg"]
    assert (row.label, row.kind, row.dropped) == (*meaning, False)


def test_what_labels_csv_drops_keeps_its_label(root):
    row = by_path(with_lines(root, "mila/a.jpg,drop,yes,"))["mila/a.jpg"]
    assert (row.label, row.dropped, row.closeup) == ("subject", True, True)


@pytest.mark.parametrize(
    "label",
    [
        "Mila",
        "MILA",
        "milo",
        "pets/Mila",
        "Not_mila",
        "not_",
        "pets/",
        "pets/a/b",
        "goat",
        "things",
    ],
)
def test_a_label_that_is_none_is_named_with_its_line_and_the_choices(root, label):
    with_lines(root, "mila/b.jpg,,yes,", f"mila/a.jpg,{label},,")
    with pytest.raises(UserError) as caught:
        read_album(root, "mila")
    said = str(caught.value)
    assert f"labels.csv:3: label={label!r}: expected mila, not_mila, drop, cat, other, rex" in said
    assert "pets/KIND" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "mila/gone.jpg,drop,,",
            r"labels.csv:2: path='mila/gone.jpg': no such photo .* delete the",
        ),
        ("/mila/a.jpg,drop,,", "labels.csv:2: .*no such photo"),
        ("mila\\a.jpg,drop,,", "labels.csv:2: .*forward slashes"),
        (",drop,,", "labels.csv:2: path='': no such photo"),
        ("mila/a.jpg,,yes,\nmila/a.jpg,drop,,", "labels.csv:3: .*stands in line 2 already"),
        ("mila/a.jpg,,perhaps,", "labels.csv:2: closeup='perhaps': expected yes, no"),
        ("mila/a.jpg,drop,,dark, blurred", "labels.csv:2: 5 cells, expected 4 .*double quotes"),
        ('mila/a.jpg,drop,,"dark\nmila/b.jpg,drop,,', "cannot be read"),
        ('mila/a.jpg,,,"two\nlines"\n\nmila/b.jpg,Mila,,', "labels.csv:5: label='Mila'"),
    ],
)
def test_a_line_that_cannot_be_followed_is_named(root, line, problem):
    with pytest.raises(UserError, match=problem):
        read_album(with_lines(root, line), "mila")


WITH_BOX = "path,label,closeup,box,note"


@pytest.mark.parametrize(
    ("text", "box"),
    [(" 0.10  .25 0.6 1 ", "0.1 0.25 0.6 1"), ("None", "none"), ("", "")],
)
def test_a_box_says_where_the_subject_is_and_other_photos_need_none(root, text, box):
    lines = [f"{path},,,{text}," for path in ("mila/a.jpg", "rex/r.jpg", "not_mila/t.jpg")]
    rows = by_path(with_lines(root, *lines, header=WITH_BOX))
    assert rows["mila/a.jpg"].box == box
    assert (rows["rex/r.jpg"].box, rows["not_mila/t.jpg"].box) == ("", "")
    assert by_path(root, "rex")["rex/r.jpg"].box == box


@pytest.mark.parametrize("box", ["0.1 0.2 0.3", "0.1;0.2;0.3;0.4", "0.6 0 0.1 1", "0 0 1 2", "all"])
def test_a_box_that_is_none_is_named_with_what_is_expected(root, box):
    with_lines(root, "mila/b.jpg,,yes,,", f"mila/a.jpg,,,{box},", header=WITH_BOX)
    with pytest.raises(UserError) as caught:
        read_album(root, "mila")
    said = str(caught.value)
    assert f"labels.csv:3: box={box!r}: expected x0 y0 x1 y1, four numbers from 0 to 1" in said
    assert "none for the whole photo" in said
    assert "\n" not in said


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_goes_on():
    with somebody() as folder:
        root = small(folder / "album")
        (root / "mila/secret").mkdir()
        (root / "mila/secret/s.jpg").write_bytes(b"")
        with_lines(root, "mila/secret/s.jpg,drop,,", "mila/a.jpg,drop,,")
        (root / "mila/secret").chmod(0)
        rows = by_path(root)
        assert "cannot be read: Permission denied" in rows["mila/secret/"].problem
        assert rows["mila/a.jpg"].dropped
        assert len(rows) == 7
        errors = []
        assert len(list(walk(root, on_error=errors.append))) == 6
        assert [error.filename for error in errors] == [str(root / "mila/secret")]
        root.chmod(0)
        with pytest.raises(UserError, match="give a folder that may be read"):
            read_album(root, "mila")


def test_a_name_that_is_not_utf8_is_a_problem_of_that_photo_only(root):
    odd = os.fsencode(root) + b"/mila/caf\xe9.jpg"
    try:
        with open(odd, "wb"):  # noqa: PTH123
            pass
    except OSError:
        pytest.skip("this file system takes no such name")
    problems = {path: row.problem for path, row in by_path(root).items() if row.problem}
    assert problems == {"mila/caf\\xe9.jpg": "its name is not UTF-8; rename it"}


def test_a_folder_whose_name_is_not_utf8_gives_no_kind_and_the_index_is_written(root):
    try:
        for folder in (b"caf\xe9", b"pets/caf\xe9"):
            place = Path(os.fsdecode(os.fsencode(root) + b"/" + folder))
            place.mkdir(parents=True)
            (place / "a.jpg").write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    index = Album.open(root, "mila").update().set_index("path")
    odd = index[index["problem"] == "its name is not UTF-8; rename it"]
    assert list(odd.index) == ["caf\\xe9/a.jpg", "pets/caf\\xe9/a.jpg"]
    assert folder_kinds(root, "mila") == ["cat", "other", "rex"]


def test_a_folder_may_have_any_name_that_is_a_line_of_text(root):
    for kind in ("cat (2)", "dogs & cats", "O'Malley", "a:b", "100 %", "बिल्ली"):
        for folder in (kind, f"pets/{kind}"):
            (root / folder).mkdir(parents=True)
            (root / folder / "1.jpg").write_bytes(b"")
            row = by_path(root)[f"{folder}/1.jpg"]
            assert (row.label, row.kind, row.problem) == ("pets", kind, "")
    row = by_path(with_lines(root, "rex/r.jpg,pets/cat (3),,"))["rex/r.jpg"]
    assert (row.label, row.kind) == ("pets", "cat (3)")


@pytest.mark.parametrize("folder", ["pets/a\nb", "a\\b", "pets/" + "x" * 101, "pets/a\x1b[2J"])
def test_a_folder_that_gives_no_kind_is_said_by_index(root, folder, capsys):
    place = root / folder
    place.mkdir(parents=True)
    (place / "1.jpg").write_bytes(b"")
    row = by_path(root)[f"{folder}/1.jpg"]
    assert (row.label, row.kind) == ("", "")
    assert row.problem.startswith("its folder: expected a name ")
    assert row.problem.endswith("; rename it")
    assert folder_kinds(root, "mila") == ["cat", "other", "rex"]
    assert main(["index", str(root)]) == 0
    assert "its folder: expected a name" in capsys.readouterr().out
    # a line of labels.csv says what the photo shows, whatever the folder is called
    if "\n" not in folder:
        assert by_path(with_lines(root, f"{folder}/1.jpg,cat,,"))[f"{folder}/1.jpg"].kind == "cat"


def test_a_folder_that_a_mac_wrote_is_not_taken_for_another_animal(root):
    (root / "Zoe\u0308").mkdir()
    (root / "Zoe\u0308/1.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="or in how an accent is encoded; rename the folder"):
        read_album(root, "Zo\u00eb")


def change(root, path, **cells):
    return change_lines(root, "mila", {path: cells}, root / "labels.lock")[path]


def test_a_change_keeps_everything_else_as_it_stands(root):
    text = '\ufeffpath,label,who,note\nmila/a.jpg,drop,Ann,"a, b"\nmila/gone.jpg,Milo,,\n'
    (root / "labels.csv").write_text(text, encoding="utf-8")
    (root / ".labels.csv.77-0123abcd.part").write_text("left by a killed writer")
    before = change(root, "mila/a.jpg", label="not_mila")
    assert before == {"label": "drop", "closeup": "", "box": "", "note": "a, b"}
    assert (root / "labels.csv").read_text(encoding="utf-8") == (
        "\ufeffpath,label,who,note,closeup,box\n"
        'mila/a.jpg,not_mila,Ann,"a, b",,\nmila/gone.jpg,Milo,,,,\n'
    )
    assert not list(root.glob(".labels.csv.*"))


def test_a_line_that_says_nothing_any_more_goes(root):
    before = change(root, "mila/a.jpg", label="drop", closeup="yes", box="none")
    change(root, "mila/a.jpg", **before)
    assert (root / "labels.csv").read_text() == "path,label,closeup,box,note\n"


@pytest.mark.parametrize(
    ("path", "cells", "problem"),
    [
        ("mila/gone.jpg", {"label": "drop"}, "no such photo in the album"),
        ("../album/mila/a.jpg", {"label": "drop"}, "no such photo"),
        ("labels.csv", {"label": "drop"}, "no such photo"),
        ("mila/a.jpg", {"label": "Mila"}, "label=Mila: expected mila, not_mila, drop"),
        ("mila/a.jpg", {"closeup": "perhaps"}, "expected yes, no"),
        ("mila/a.jpg", {"box": "0 0 0 1"}, "box=0 0 0 1: expected x0 y0 x1 y1"),
    ],
)
def test_a_change_that_would_not_be_followed_is_refused(root, path, cells, problem):
    (root / "labels.csv").write_text("path,label,closeup,note\n")
    with pytest.raises(UserError, match=problem):
        change(root, path, **cells)
    assert (root / "labels.csv").read_text() == "path,label,closeup,note\n"


def test_changes_at_the_same_time_lose_none(root):
    paths = [f"mila/{i}.jpg" for i in range(12)]
    for path in paths:
        (root / path).write_bytes(b"")
    threads = [
        threading.Thread(target=change, args=(root, path), kwargs={"label": "drop"})
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(row.dropped for row in read_album(root, "mila")) == 12
