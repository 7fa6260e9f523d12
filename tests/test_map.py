"""The map is true: every module has its test, the picture shows today's imports, what is named exists."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
measure_code = importlib.import_module("measure_code")
draw_layers = importlib.import_module("draw_layers")

TESTED_ELSEWHERE = {
    # Paths of the weights; what lies at them is what the networks' tests compare.
    "vision/weights/__init__.py": "vision/test_backbones.py",
    # An exception without code, raised and said in every room.
    "photos/__init__.py": "photos/test_labels.py",
    # Names of what `opening` opens.
    "photos/source_kinds.py": "photos/sources/test_opening.py",
    # A protocol.
    "photos/progress.py": "cli/test_progress.py",
    # What both servers can do, said as a protocol.
    "extras/servers/server.py": "extras/servers/test_marking.py",
    "extras/servers/scan_options.py": "extras/servers/test_options.py",
    # What each offers is looked for and called.
    "extras/servers/__init__.py": "test_plugins.py",
    # test_animals.py is that of demo/: names of test files must differ.
    "vision/animals.py": "vision/test_vision_animals.py",
    # Threads that read ahead: in what reads photos.
    "vision/reading.py": "learning/test_features.py",
    # test_metrics.py is that of evidence/: names of test files must differ.
    "use/serve/metrics.py": "use/serve/test_serve_metrics.py",
    # What a review shows of its photos: asked through it.
    "use/check/thumbnails.py": "use/check/test_review.py",
    # What it shows is made and looked at there.
    "use/ask/agreement_page.py": "use/ask/test_agreement.py",
    # test_api.py is that of use/serve/: names of test files must differ.
    "extras/servers/api.py": "extras/servers/test_servers_api.py",
    # Each parses, makes one call and prints: asked as a person does, one after another.
    "cli/__main__.py": "cli/test_cli_main.py",
    "cli/add.py": "cli/test_cli_verbs.py",
    "cli/camera.py": "use/ask/test_camera.py",
    "cli/check.py": "cli/test_cli_verbs.py",
    "cli/chosen_run.py": "cli/test_cli_verbs.py",
    "cli/compare.py": "cli/test_cli_verbs.py",
    "cli/demo.py": "cli/test_cli_verbs.py",
    "cli/explain.py": "cli/test_cli_verbs.py",
    "cli/export.py": "cli/test_cli_verbs.py",
    "cli/fetch.py": "cli/test_cli_verbs.py",
    "cli/index.py": "cli/test_cli_verbs.py",
    "cli/main.py": "cli/test_cli_main.py",
    "cli/options.py": "cli/test_cli_main.py",
    "cli/predict.py": "cli/test_cli_verbs.py",
    "cli/report.py": "cli/test_cli_verbs.py",
    "cli/scan.py": "cli/test_cli_verbs.py",
    "extras/cluster/scan_options.py": "extras/cluster/test_ray_scan.py",
    "extras/cluster/__init__.py": "test_plugins.py",
    "cli/serve.py": "cli/test_cli_verbs.py",
    "cli/sync.py": "runs/test_outbox.py",
    "cli/ui.py": "cli/test_cli_verbs.py",
    "cli/watch.py": "use/ask/test_arrivals.py",
    "cli/training.py": "cli/test_training_output.py",
}
"""Module -> the test that covers it, where a test of its own would say nothing more."""
DOCUMENTS = [
    ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "docs/design.md", "README.md")
]


def test_every_module_has_its_test():
    assert set(measure_code.without_test()) - set(TESTED_ELSEWHERE) == set()


def test_what_is_tested_elsewhere_is_and_has_no_test_of_its_own():
    here = {
        module: test
        for module, test in TESTED_ELSEWHERE.items()
        if not module.startswith("extras/") or (ROOT / "src/ismila" / module).is_file()
    }  # an extra can be deleted, with its tests
    assert set(measure_code.without_test()) >= set(here)
    assert not [test for test in here.values() if not (ROOT / "tests" / test).is_file()]


def test_the_picture_shows_todays_imports():
    drawn = (ROOT / "docs/layers.svg").read_text(encoding="utf-8")
    assert drawn == draw_layers.svg(), "run `make docs`"


def test_the_picture_is_the_same_in_every_process(tmp_path):
    subprocess.run(
        [sys.executable, ROOT / "tools/draw_layers.py", tmp_path / "layers.svg"], check=True
    )
    assert (tmp_path / "layers.svg").read_text(encoding="utf-8") == draw_layers.svg()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_exist(document):
    text = document.read_text(encoding="utf-8")
    words = set(re.findall(r"`((?:src|tests|tools|docs|benchmarks|conf)/[\w./*]+)`", text))
    links = set(re.findall(r"\]\(([\w./-]+)\)", text))
    named = [word for word in words if "NAME" not in word]  # a recipe's new file
    assert not [word for word in named if not list(ROOT.glob(word))]
    assert not [link for link in links if not (document.parent / link).exists()]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a source archive holds no links")
def test_the_configs_at_the_top_are_the_packages():
    assert (ROOT / "conf").resolve() == (ROOT / "src/ismila/conf").resolve()


def test_code_is_counted_as_the_style_means_it(tmp_path):
    package = tmp_path / "src/ismila"
    package.mkdir(parents=True)
    (package / "one.py").write_text(
        "from typing import Any\n"
        "# a comment\n"
        "x = 1  # not a full line\n"
        "a, b = x, 2\n"
        "c, d = divmod(7, 2)\n"
        "class Thing:\n"
        "    def method(self, p, q, r, *, s, t): return dict[str, Any]\n"
        "    def other(self, p, q, r, *, s, t, u): return p\n"
        f"long = '{'x' * 100}'\n"
    )
    values = dict(measure_code.measured(package))
    assert values["functions"] == "2"
    assert values["  6 or more parameters"] == "50.0 % (1 of 2)"
    assert values["  most parameters"] == "6, other"
    assert values["packed assignments"] == "25.0 % (1 of 4)"
    assert values["lines over 100 characters"] == "11.1 % (1 of 9)"
    assert values["full-line comments"].endswith("(1)")
    assert values["Any"].endswith("(2)")
    assert values["dict[str, Any]"].endswith("(1)")
    assert values["modules without a test"] == "1, one.py"
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_one.py").touch()
    assert dict(measure_code.measured(package))["modules without a test"] == "0"


def test_groups_of_tests_stay_together(request):
    """Else each process sets up the dear fixtures for itself."""
    if getattr(request.config.option, "loadgroup", False):
        assert "@" in request.node.nodeid


def test_no_two_classes_have_one_name():
    """Code is read by search: four classes called `Answer` were four wrong hits each."""
    where = {}
    for path in sorted((ROOT / "src/ismila").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name.lstrip("_"), []).append(path.name)
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}
