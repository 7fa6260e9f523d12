import ast
from importlib.metadata import version

import pytest

from ismila.learning.architecture import Architecture, bundled_digest
from ismila.learning.classifier import BIAS, WEIGHT, Classifier
from ismila.photos.images import ImageSpec
from ismila.runs.registry import SERVED, TORCH, served_with
from ismila.runs.requirements import _imports, imported, requirements_of


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
    ("architecture", "weights", "needs_torch"),
    [
        (Architecture(name="mobilenet", digest=bundled_digest()), (WEIGHT, BIAS), False),
        (Architecture(name="mobilenet"), (WEIGHT, BIAS), True),  # fine-tuned
        (Architecture(name="mobilenet", digest=bundled_digest()), (WEIGHT, "head.3.weight"), True),
        (Architecture(name="cnn"), (WEIGHT, BIAS), True),
    ],
)
def test_torch_is_wanted_where_it_answers(architecture, weights, needs_torch):
    classifier = Classifier(dict.fromkeys(weights), architecture, ImageSpec(64), "mila")
    named = {line.partition("==")[0] for line in served_with(classifier)}
    assert ("torch" in named) == needs_torch
    assert bool(named & set(TORCH)) == needs_torch
    assert {"onnxruntime", "pillow-heif", "numpy"} <= named
