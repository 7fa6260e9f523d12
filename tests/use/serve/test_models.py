"""Whatever is served answers to the same names."""

import inspect

import pytest

from ismila.use.serve.from_file import FileModel, FileModels
from ismila.use.serve.from_runs import RunModel, RunModels
from ismila.use.serve.models import Model, ModelExplanation, Models


@pytest.mark.parametrize(
    ("protocol", "kinds"), [(Model, (FileModel, RunModel)), (Models, (FileModels, RunModels))]
)
def test_every_kind_has_what_the_application_asks(protocol, kinds):
    asked = {name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if name[0] != "_"}
    for kind in kinds:
        for name in asked:
            expected = list(inspect.signature(getattr(protocol, name)).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == expected


def test_an_explanation_may_say_nothing():
    nothing = ModelExplanation()
    assert (nothing.heat, nothing.words, nothing.nearest) == (None, "", [])
