"""Another package adds to `ismila` as our own extras do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ismila import plugins
from ismila.photos.source_kinds import OPENERS
from ismila.plugins import Extra, extras

ROOT = Path(__file__).parents[1]
VERB = """
from ismila.plugins import Extra

EXTRA = Extra(sources={"shoebox": "shoebox:open_box"}, verbs=("shoebox",))


def open_box(kind, given, wanted):
    raise AssertionError("only opened when asked")


def add_parser(verbs):
    parser = verbs.add_parser("unpack", help="take photos out of a shoebox")
    parser.set_defaults(call=lambda args: print("unpacked") or 0)
"""


def test_another_packages_verb_and_source_are_listed_and_called(tmp_path):
    (tmp_path / "shoebox.py").write_text(VERB)
    described = tmp_path / "shoebox-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: shoebox\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(
        "[ismila.extras]\nshoebox = shoebox:EXTRA\ngone = shoebox_of_before:EXTRA\n"
    )

    def ismila(*args):
        path = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[0] = 'ismila'; "
        code = path + "from ismila.cli import start; start()"
        return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)

    assert "take photos out of a shoebox" in ismila("--help").stdout
    assert "shoebox" in ismila("add", "--help").stdout
    assert ismila("unpack").stdout == "unpacked\n"


def test_extras_offer_no_kind_of_source_that_the_core_has():
    assert not set(plugins.sources()) & set(OPENERS)
    assert all(isinstance(extra, Extra) for extra in extras())


EXTRAS = sorted(path.parent.name for path in (ROOT / "src/ismila/extras").glob("*/__init__.py"))


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_has_its_page(name):
    assert (ROOT / "docs/extras" / f"{name}.md").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_can_be_deleted(tmp_path, name):
    """What it offers is not listed any more; nothing else misses it."""
    for folder in ("src", "tests", "tools", "docs", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    for file in (*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("Dockerfile*")):
        shutil.copy(file, tmp_path)

    def python(*args):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
        command = [sys.executable, *args]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    def helps():
        verbs = ([], ["add"], ["scan"], ["predict"])
        return "".join(python("-m", "ismila.cli", *verb, "--help").stdout for verb in verbs)

    before = helps()
    shutil.rmtree(tmp_path / "src/ismila/extras" / name)
    shutil.rmtree(tmp_path / "tests/extras" / name)
    assert len(helps()) < len(before)
    quick = ["tests/test_map.py", "tests/cli/test_cli_main.py", "tests/photos/sources"]
    ran = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *quick)
    assert ran.returncode == 0, ran.stdout[-2000:]
    collected = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", "tests")
    assert collected.returncode == 0, collected.stdout[-2000:]
