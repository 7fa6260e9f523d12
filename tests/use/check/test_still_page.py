"""`ismila check`, as lines and as one file, as a person calls it."""

import json
import re
import shutil

import pytest
from conftest import call

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.use.check.review import Review
from ismila.use.check.still_page import write_page


@pytest.fixture
def wrong(wrong_and_looked_at, tmp_path):
    return shutil.copytree(wrong_and_looked_at.album.root, tmp_path / "album")


def check(root, *args):
    return call(root.parent, "ismila.cli", "check", "--root", root, *args)


def test_the_list_comes_worst_first_as_lines_and_as_json(wrong):
    said = check(wrong)
    assert said.returncode == 0, said.stderr
    assert "wr<i>ng & ünique.jpg: labelled not mila, looks like mila" in said.stdout
    told = [json.loads(line) for line in check(wrong, "--json").stdout.splitlines()]
    assert [row["score"] for row in told] == sorted((row["score"] for row in told), reverse=True)


def test_the_page_in_one_file_needs_nothing_else(wrong, tmp_path):
    review = Review.of(Album.open(wrong, "mila"))
    (wrong / "mila/also.jpg").unlink()
    write_page(review, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "data:image/jpeg;base64," in page and '"src": ""' in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "wr<i>ng" not in page
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--html .*give a file that may be written"):
        write_page(review, tmp_path / "file/page.html")
