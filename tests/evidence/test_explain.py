import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ismila.evidence.explain import Explainer, backbone_features
from ismila.learning.classifier import Classifier, make_network
from ismila.learning.features import bundled_digest
from ismila.photos.images import ImageSpec


def classifier_of(name):
    torch.manual_seed(0)
    backbone = {"name": name, "dropout": 0.0, "hidden": 0, "weights": "bundled"}
    if name == "mobilenet":
        backbone["digest"] = bundled_digest()
    spec = ImageSpec(96)
    network = make_network(backbone, spec)
    if name == "mobilenet":
        torch.nn.init.normal_(network.head[0].weight, std=0.1)
    return Classifier(network.eval(), backbone, spec, "mila")


@pytest.mark.parametrize("name", ["cnn", "mobilenet"])
def test_the_map_and_its_test_belong_together(name):
    classifier = classifier_of(name)
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    training = pd.DataFrame({"path": list("abc"), "kind": ["mila", "dog", "things"]})
    explainer = Explainer(classifier, training, backbone_features(classifier, images[:3]))
    explained = explainer.explain(images[1])
    assert explained.probability == pytest.approx(float(classifier.probabilities(images[1:2])[0]), abs=1e-3)
    assert explained.heat.shape == (96, 96)
    assert (explained.heat >= 0).all() and explained.heat.max() <= 1
    if explained.heat.any():
        assert 0.15 < explained.hottest.mean() <= 0.2
        hidden = images[1].copy()
        hidden[explained.hottest] = 128
        assert explained.without_hottest == pytest.approx(float(classifier.probabilities(hidden[None])[0]), abs=1e-3)
    assert (explained.nearest[0].path, explained.nearest[0].kind) == ("b", "dog")
    assert explained.nearest[0].similarity == pytest.approx(1, abs=1e-4)


def test_a_photo_in_which_nothing_speaks_for_it_is_said():
    classifier = classifier_of("mobilenet")
    torch.nn.init.constant_(classifier.network.head[0].weight, -0.1)
    none = pd.DataFrame({"path": [], "kind": []})
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    explained = Explainer(classifier, none, np.zeros((0, 1), np.float32)).explain(image)
    assert not explained.heat.any()
    assert "nothing in it speaks for mila" in explained.said("mila")


@pytest.mark.slow
def test_a_picture_and_a_line_for_each_photo(album, tmp_path):
    def call(module, *args):
        command = [sys.executable, "-m", module, *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ)

    call("ismila.train", "model=cnn", f"data.root={album}", "model.epochs=2")
    said = call("ismila.cli", "explain", album / "mila/m0.jpg", album / "none.jpg", "--json", "--to", "out")
    first, second = map(json.loads, said.stdout.splitlines())
    assert second["error"] == "file not found"
    assert said.returncode == 1
    assert Image.open(tmp_path / first["picture"]).size[0] > 1000
    assert len(first["nearest"]) == 5
    album.rename(album.with_name("moved"))
    gone = call("ismila.cli", "explain", album.with_name("moved") / "mila/m0.jpg")
    assert "say where it is with --root" in gone.stderr
