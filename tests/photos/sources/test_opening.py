import subprocess
import sys

import pytest
from conftest import call

from ismila.photos import UserError
from ismila.photos.source_kinds import OPENERS
from ismila.photos.sources.opening import SourceOptions, existing_folder, open_source


def test_every_kind_that_the_command_takes_can_be_opened(tmp_path):
    (tmp_path / "who.csv").write_text("path,name\n")
    for kind in OPENERS:
        source = open_source(
            kind, str(tmp_path / ("who.csv" if kind == "csv" else "")), SourceOptions()
        )
        assert (source.kind, source.names(), source.notes) == (kind, [], [])


def test_a_name_needs_a_source_that_knows_names(tmp_path):
    said = call(tmp_path, "ismila.cli", "add", ".", "--as", "mila", "--name", "Mila")
    assert said.returncode == 2
    assert "say with --from what the source is: takeout, tags" in said.stderr


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("nowhere", "no such"),
        ("a.tgz", "unpack it, all of"),
        ("a.txt", "not a folder"),
        ("x" * 300, "no such"),
    ],
)
def test_what_is_no_folder_is_said_with_the_remedy(tmp_path, name, remedy):
    (tmp_path / "a.tgz").touch()
    (tmp_path / "a.txt").touch()
    with pytest.raises(UserError, match=remedy):
        existing_folder(str(tmp_path / name))


def test_the_programs_help_needs_no_source():
    code = "import sys; from ismila.cli.main import make_parser; make_parser(); print('pandas' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
