import pytest
from conftest import settings

from ismila.vision.architecture import GRAPHS, Architecture, architecture_from, architecture_of


@pytest.mark.parametrize("name", GRAPHS)
def test_a_bundled_backbone_has_its_graph_until_it_is_trained_on(name):
    architecture = architecture_of(settings(f"model={name}").model)
    assert architecture.graph == GRAPHS[name]
    assert architecture.graph.with_suffix(".onnx").is_file()
    assert architecture.with_own_weights().graph is None


def test_others_have_none():
    assert architecture_of(settings("model=cnn").model).graph is None
    torchvision = architecture_of(settings("model=mobilenet", "model.weights=torchvision").model)
    assert torchvision.graph is None


def test_it_is_read_back_as_it_was_written():
    for model in ("cnn", "pair"):
        architecture = architecture_of(settings(f"model={model}").model)
        assert architecture_from(architecture.as_dict()) == architecture


def test_a_linear_head_on_frozen_features_has_no_dropout():
    assert architecture_of(settings("model=mobilenet").model).dropout == 0
    assert architecture_of(settings("experiment=article_mobilenet").model).dropout == 0.2


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="expected cnn, mobilenet"):
        architecture_from({"name": "resnet"})
    assert Architecture(name="cnn").is_frozen is False
