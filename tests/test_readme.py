"""The README's commands are ones that the program knows."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from ismila.cli import make_parser

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
LINES = [
    shlex.split(line, comments=True)
    for block in BLOCKS
    for line in block.splitlines()
    if line.strip()
]


@pytest.mark.parametrize(
    "words", [w for w in LINES if w and w[0].endswith("bin/ismila")], ids=" ".join
)
def test_a_verb_and_its_options_exist(words):
    assert make_parser().parse_args(words[1:]).verb == words[1]


@pytest.mark.parametrize("words", [w for w in LINES if "ismila.train" in w], ids=" ".join)
def test_training_overrides_exist(words):
    given = [word for word in words[words.index("ismila.train") + 1 :] if word != "-m"]
    overrides = [
        f"{name}={values.split(',')[0]}" for name, values in (word.split("=", 1) for word in given)
    ]
    with initialize_config_dir(str(ROOT / "src/ismila/conf"), version_base="1.3"):
        assert compose("train", overrides, return_hydra_config=True).subject


@pytest.mark.parametrize("words", [w for w in LINES if w and w[0] == "make"], ids=" ".join)
def test_make_targets_exist(words):
    assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
