import ast
from importlib.metadata import version

import pytest

from ismila.photos.images import ImageSpec
from ismila.runs.registry import SERVED, TORCH, served_with
from ismila.runs.requirements import _imports, imported, requirements_of
from ismila.vision.architecture import Architecture, bundled_digest
from ismila.vision.backbones import make_network, weights_of
from ismila.vision.classifier import Classifier


def test_what_is_imported_within_functions_counts_and_what_types_need_does_not():
    source = (
        "from typing import TYPE_CHECKING\nimport os.path, numpy\n"
        "if TYPE_CHECKING:\n    import pandas\nelse:\n    import scipy\n"
        "try:\n    from PIL import Image\nexcept ImportError:\n    pass\n"
        "def f():\n    import torch\n    class A:\n        import timm\n"
    )
    tree = ast.parse(source)
    names = {name.partition(".")[0] for name in _imports(tree, lazily=True)}
    assert names == {"typing", "os", "numpy", "scipy", "PIL", "torch", "timm"}
    names = {name.partition(".")[0] for name in _imports(tree, lazily=False)}
    assert names == {"typing", "os", "numpy", "scipy", "PIL"}


def test_imports_are_followed_through_ismila_and_its_packages():
    names = imported([SERVED])
    assert {"mlflow", "pandas", "onnxruntime", "PIL", "pillow_heif", "torch"} <= names
    assert not names & {"ismila", "os", "pytorch_lightning"}


def test_a_requirement_is_what_is_installed_without_the_name_of_its_build():
    lines = requirements_of([SERVED])
    assert f"pillow-heif=={version('pillow-heif')}" in lines
    assert f"mlflow=={version('mlflow')}" in lines
    assert not [line for line in lines if "+" in line or "skinny" in line]


@pytest.mark.parametrize(
    ("name", "hidden", "is_bundled", "needs_torch"),
    [
        ("mobilenet", 0, True, False),
        ("mobilenet", 0, False, True),  # fine-tuned
        ("mobilenet", 8, True, True),
        ("cnn", 0, False, True),
    ],
)
def test_torch_is_wanted_where_it_answers(name, hidden, is_bundled, needs_torch, tmp_path):
    digest = bundled_digest() if is_bundled else ""
    weights = "" if name == "cnn" else "bundled"
    architecture = Architecture(name=name, weights=weights, hidden=hidden, digest=digest)
    state = weights_of(make_network(architecture, ImageSpec(64)))
    Classifier(state, architecture, ImageSpec(64), "mila").save(tmp_path)
    named = {line.partition("==")[0] for line in served_with(tmp_path)}
    assert ("torch" in named) == needs_torch
    assert bool(named & set(TORCH)) == needs_torch
    assert {"onnxruntime", "pillow-heif", "numpy"} <= named


def test_what_cannot_be_read_is_no_reason_to_fail(tmp_path):
    """The best run may be another version's: that one is refused when it is asked, not when a run ends."""
    (tmp_path / "classifier.json").write_text("{}")
    assert set(TORCH) & {line.partition("==")[0] for line in served_with(tmp_path)}
