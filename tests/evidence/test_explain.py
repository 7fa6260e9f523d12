import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from PIL import Image

from ismila.evidence.explain import (
    ExplainedPhoto,
    Explainer,
    Unreadable,
    explanations,
    open_explainer,
    picture_name,
    used_rows,
)
from ismila.photos.images import ImageSpec
from ismila.runs.find import album_of, choose_run, load_classifier, load_predictions, read_run
from ismila.vision.architecture import Architecture, bundled_digest
from ismila.vision.backbones import make_network, weights_of
from ismila.vision.classifier import Classifier


def classifier_of(name):
    torch.manual_seed(0)
    digest = bundled_digest() if name == "mobilenet" else ""
    backbone = Architecture(name=name, weights="bundled" if digest else "", digest=digest)
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
    against = np.full_like(classifier.weights["head.0.weight"], -0.1)
    classifier.weights = {**classifier.weights, "head.0.weight": against}
    none = pd.DataFrame({"path": [], "kind": []})
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    explained = Explainer(classifier, none, np.zeros((0, 1), np.float32)).explain(image)
    assert not explained.heat.any()
    assert "nothing in it speaks for mila" in explained.words("mila")


def best_run(folder):
    return choose_run("best", "mila", f"sqlite:///{folder}/mlruns/mlflow.db").run


@pytest.mark.slow
def test_photos_of_one_name_have_pictures_of_their_own(trained, tmp_path):
    photos = [tmp_path / name for name in ("a/IMG_1.jpg", "b/IMG_1.jpg", "a/IMG_1.png")]
    for at, photo in enumerate(photos):
        photo.parent.mkdir(exist_ok=True)
        Image.open(trained / f"album/mila/m{at}.jpg").save(photo)
    long = tmp_path / f"{'ä' * 120}.jpg"
    long.write_bytes(photos[0].read_bytes())
    asked = [*photos, long, tmp_path / "gone.jpg", photos[0]]
    run = best_run(trained)
    results = list(explanations(asked, run, tmp_path / "out", trained / "album"))
    explained = [result for result in results if isinstance(result, ExplainedPhoto)]
    assert [result.path for result in explained] == [*photos, long, photos[0]]
    assert len({result.picture for result in explained}) == 4  # one of them was asked about twice
    assert explained[0].picture == explained[-1].picture
    assert all(result.picture.is_file() for result in explained)
    assert explained[0].picture.name.startswith("IMG_1-")
    assert results[4] == Unreadable(tmp_path / "gone.jpg", "file not found")
    first, second = (album_photo(result) for result in explained[:2])
    assert first != second


def album_photo(result):
    """The nearest training photo: the photo itself, where it was trained on."""
    return result.explanation.nearest[0].path, round(result.explanation.probability, 6)


def test_a_name_depends_on_the_place_and_not_on_how_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = picture_name(tmp_path / "a/1.jpg", "f" * 32)
    assert picture_name(Path("a/1.jpg"), "f" * 32) == name
    assert picture_name(Path("b/1.jpg"), "f" * 32) != name
    assert picture_name(Path("a/1.jpg"), "e" * 32) != name


@pytest.mark.slow
def test_neighbours_are_the_photos_that_were_trained_on_and_no_others(trained, ledger):
    run = best_run(trained)
    predictions = load_predictions(run.run_id)
    classifier = load_classifier(run.run_id)
    few = predictions.assign(used=predictions.index.isin([1, 30, 70]))
    tags = {"refit": "all"}  # what the strings say is not asked any more
    params = {"album.root": trained / "album", "data.pets": "False"}
    recorded = ledger.run(
        "neighbours", predictions=few, classifier=classifier, tags=tags, params=params
    )
    run = read_run(recorded)
    explainer = open_explainer(used_rows(run), classifier, album_of(run))
    assert explainer.training["path"].tolist() == few["path"].iloc[[1, 30, 70]].tolist()
    image = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3), dtype=np.uint8)
    side = classifier.spec.size_px
    image = np.asarray(Image.fromarray(image[0]).resize((side, side)))
    assert len(explainer.explain(image).nearest) == 3


def test_a_linear_head_on_a_bundled_graph_is_explained_without_torch():
    """It says what torch's gradients say, and a server that explains need not load it."""
    classifier = classifier_of("mobilenet")
    explainer = Explainer(
        classifier, pd.DataFrame({"path": [], "kind": []}), np.zeros((0, 1), np.float32)
    )
    for image in np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8):
        by_torch = explainer._by_torch(image)
        assert np.ptp(by_torch) > 1e-4
        np.testing.assert_allclose(explainer.contributions(image), by_torch, rtol=1e-3, atol=1e-4)
    script = "import sys, ismila.use.serve.from_runs; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


@pytest.mark.slow
def test_a_picture_and_a_line_for_each_photo(album, tmp_path):
    cache = tmp_path / "elsewhere"
    how = ["model=cnn", "data=pets", "model.epochs=2", "refit=all"]
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
    assert first["trained_on"]
    assert first["nearest"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert not (album / ".ismila").exists()  # read from the cache that the run was given
    album.rename(album.with_name("moved"))
    gone = call(tmp_path, "ismila.cli", "explain", album.with_name("moved") / "mila/m0.jpg")
    assert "say where it is with --root" in gone.stderr
