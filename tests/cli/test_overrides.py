import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ismila.cli.overrides import misread

ODD = (
    "=",
    "(",
    "'",
    "[",
    "#",
    "~",
    ",",
    "{",
    "}",
    "&",
    "!",
    ";",
    '"',
    "`",
    "^",
    "<",
    "ü",
    "犬",
    "\\'",
)


@pytest.mark.parametrize("character", ODD)
@pytest.mark.parametrize("place", ["/a{}b", "{}/a", "/a {}"])
def test_the_command_is_shown_with_the_quotes_by_which_the_path_arrives(character, place):
    path = place.replace("{}", character)
    said = misread(["model=cnn", f"data.root={path}"])
    if not said:  # Hydra reads some of them right at some places
        assert OverridesParser.create().parse_override(f"data.root={path}").value() == path
        return
    before, shown = said.split("; write: python -m ismila.train ")
    assert before == f"data.root={path}: needs quotes inside the shell's"
    [model, root] = shlex.split(shown)
    assert model == "model=cnn"
    assert OverridesParser.create().parse_override(root).value() == path
    assert misread([model, root]) == ""


@pytest.mark.parametrize(
    "word",
    ["data.root=[a]", "data.cache={a:b}", "+data.root=range(1,3)", "data.root=1e5", "data.root=1_0",
     "tracking.uri=a=b", "subject=Müller", "model.backbone=local-dir:~/x"],
)  # fmt: skip
def test_what_hydra_takes_for_something_else_or_refuses_is_a_text(word):
    said = misread([word])
    [meant] = shlex.split(said.partition("ismila.train ")[2])
    assert OverridesParser.create().parse_override(meant).value() == word.partition("=")[2]


@pytest.mark.parametrize(
    "words",
    [
        ["data.root=/plain/a b"], ["data.root=null"], ["data.root='/a,b'"], ["data.root=5"],
        ["-m", "data.root=/a,/b"], ["model.C=("], ["subject=mila,rex"], ["--help"], [],
        ["data.root=${oc.env:HOME}/x"],
    ],
)  # fmt: skip
def test_everything_else_is_hydras(words):
    assert misread(words) == ""


def test_what_is_no_text_is_named_in_one_escaped_line():
    assert misread(["data.root=/caf\udce9"]) == (
        "data.root=/caf\\xe9: not UTF-8; rename what it names"
    )
