import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from PIL import Image

from ismila.evidence.explain import Explainer
from ismila.learning.backbones import make_network, weights_of
from ismila.learning.classifier import Classifier
from ismila.learning.features import bundled_digest
from ismila.photos.images import ImageSpec


def classifier_of(name):
    torch.manual_seed(0)
    backbone = {"name": name, "dropout": 0.0, "hidden": 0, "weights": "bundled"}
    if name == "mobilenet":
        backbone["digest"] = bundled_digest()
    spec = ImageSpec(96)
    network = make_network(backbone, spec)
    torch.nn.init.normal_(network.head[-1].weight, std=0.1)
    return Classifier(weights_of(network), backbone, spec, "mila")


@pytest.mark.parametrize("name", ["cnn", "mobilenet"])
def test_the_map_and_its_test_belong_together(name):
    classifier = classifier_of(name)
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    training = pd.DataFrame({"path": list("abc"), "kind": ["mila", "dog", "things"]})
    explainer = Explainer(classifier, training, classifier.features(images[:3]))
    explained = explainer.explain(images[1])
    assert explained.probability == pytest.approx(
        float(classifier.probabilities(images[1:2])[0]), abs=1e-3
    )
    assert explained.heat.shape == (96, 96)
    assert (explained.heat >= 0).all() and explained.heat.max() <= 1
    if explained.heat.any():
        assert 0.15 < explained.hottest.mean() <= 0.2
        hidden = images[1].copy()
        hidden[explained.hottest] = 128
        assert explained.without_hottest == pytest.approx(
            float(classifier.probabilities(hidden[None])[0]), abs=1e-3
        )
    assert (explained.nearest[0].path, explained.nearest[0].kind) == ("b", "dog")
    assert explained.nearest[0].similarity == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["cnn", "mobilenet"])
def test_what_the_cells_add_is_the_logit(name):
    classifier = classifier_of(name)
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    nothing = pd.DataFrame({"path": [], "kind": []})
    added = Explainer(classifier, nothing, np.zeros((0, 1), np.float32)).contributions(image)
    assert added.shape == {"cnn": (10, 10), "mobilenet": (3, 3)}[name]
    with torch.inference_mode():
        logit = float(classifier.network(torch.from_numpy(image[None]))[0])
    bias = float(classifier.network.head[-1].bias[0].detach())
    assert added.sum() == pytest.approx(logit - bias, rel=1e-3, abs=1e-4)
    assert abs(logit - bias) > 1e-3


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
    cache = tmp_path / "elsewhere"
    how = ["model=cnn", "data=closeups", "model.epochs=2", "refit=all"]
    said = call(tmp_path, "ismila.train", *how, f"data.root={album}", f"data.cache={cache}")
    assert said.returncode == 0, said.stderr
    (tmp_path / "half.jpg").write_bytes((album / "mila/m0.jpg").read_bytes()[:900])
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic not a picture")
    photos = [album / "mila/m0.jpg", album / "none.jpg", "half.jpg", "phone.heic"]
    said = call(tmp_path, "ismila.cli", "explain", *photos, "--json", "--to", "out")
    assert said.returncode == 1
    assert said.stderr == ""
    first, *broken = map(json.loads, said.stdout.splitlines())
    assert [told["error"].split(":")[0] for told in broken][:2] == ["file not found", "damaged"]
    assert broken[2]["error"].startswith(("HEIC", "not a picture", "damaged"))
    assert Image.open(tmp_path / first["picture"]).size[0] > 1000
    assert first["nearest"][0]["path"] == "mila/m0.jpg"  # refit: the photo itself was trained on
    assert first["nearest"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert not (album / ".ismila").exists()  # read from the cache that the run was given
    album.rename(album.with_name("moved"))
    gone = call(tmp_path, "ismila.cli", "explain", album.with_name("moved") / "mila/m0.jpg")
    assert "say where it is with --root" in gone.stderr
