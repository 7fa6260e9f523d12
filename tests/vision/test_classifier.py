import json
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import noise, untrained

from ismila.photos import UserError
from ismila.photos.images import ImageSpec
from ismila.vision.animals import Detector, bundled_detector
from ismila.vision.architecture import GRAPHS, bundled_digest
from ismila.vision.classifier import Classifier
from ismila.vision.decision import Calibration, Decision
from ismila.vision.views import Viewer

SPEC = ImageSpec(64)
ALL = ["cnn", *GRAPHS]


@pytest.mark.parametrize("name", ALL)
def test_a_classifier_comes_back_from_disk_as_it_was(name, tmp_path):
    before = replace(
        untrained(name, hidden=8 * (name != "cnn")), scores={"val_accuracy": 0.9}, run="abc"
    )
    before.save(tmp_path)
    after = Classifier.load(tmp_path)
    assert np.allclose(before.probabilities(noise()), after.probabilities(noise()), atol=1e-6)
    for field in ("decision", "scores", "run", "spec", "backbone", "subject"):
        assert getattr(after, field) == getattr(before, field)
    assert after.decision == Decision(0.7, Calibration(1.7, 0.4))


def test_the_first_format_is_still_read(tmp_path):
    before = untrained("pair")
    before.save(tmp_path)
    path = tmp_path / "classifier.json"
    described = json.loads(path.read_text())
    described |= described.pop("decision") | {"format": 1}
    described["backbone"] = {
        "name": "mobilenet",
        "beside": "efficientnet_lite0",
        "weights": "bundled",
        "hidden": 0,
        "dropout": 0.2,
    }
    path.write_text(json.dumps(described))
    after = Classifier.load(tmp_path)
    assert after.backbone.name == "pair"
    assert after.decision == before.decision
    assert np.allclose(before.probabilities(noise()), after.probabilities(noise()), atol=1e-6)
    del described["temperature"], described["bias"]
    path.write_text(json.dumps(described))
    assert Classifier.load(tmp_path).decision == Decision(0.7)


@pytest.mark.parametrize("name", GRAPHS)
def test_onnxruntime_and_torch_say_the_same(name):
    by_torch = untrained(name, spec=ImageSpec(96))
    digest = bundled_digest(GRAPHS[name])
    by_onnx = replace(by_torch, backbone=replace(by_torch.backbone, digest=digest))
    assert by_torch.encoder is None and by_onnx.encoder is not None
    images = noise(by_torch.spec)
    assert np.ptp(by_torch.probabilities(images)) > 1e-3
    assert np.allclose(by_torch.probabilities(images), by_onnx.probabilities(images), atol=1e-4)


def test_no_image_gives_no_probability():
    assert untrained("cnn").probabilities(noise(n=0)).shape == (0,)


def with_described(folder, **changed):
    path = folder / "classifier.json"
    described = {**json.loads(path.read_text()), **changed}
    path.write_text(
        json.dumps({key: value for key, value in described.items() if value is not None})
    )
    return folder


def test_it_is_asked_about_animals_found_as_when_it_was_trained(tmp_path):
    boxes = Viewer(SPEC, bundled_detector()).boxes_digest
    replace(untrained("mobilenet"), detector=boxes).save(tmp_path)
    assert Classifier.load(tmp_path).viewer.detector is bundled_detector()
    # earlier versions kept the digest of the detector, which names Pillow, too
    with_described(tmp_path, detector=bundled_detector().digest, pixels=None)
    assert Classifier.load(tmp_path).viewer.detector is bundled_detector()
    with_described(tmp_path, detector="0" * 16, run="abcdef" * 5)
    with pytest.raises(
        UserError, match=r"^run abcdefab: trained on animals .*; train again"
    ) as error:
        Classifier.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "constant", ["ismila.vision.animals.MIN_SCORE", "ismila.vision.views.MARGIN"]
)
def test_another_rule_for_boxes_is_noticed_and_another_pillow_is_none(
    monkeypatch, tmp_path, constant
):
    replace(untrained("mobilenet"), detector=Viewer(SPEC, Detector()).boxes_digest).save(tmp_path)
    monkeypatch.setattr("ismila.photos.images.READER", "Pillow 99")
    monkeypatch.setattr("ismila.vision.views.bundled_detector", lambda: Detector(threads=1))
    assert Classifier.load(tmp_path).viewer.detector
    monkeypatch.setattr(constant, 0.2)
    with pytest.raises(UserError, match="in another way than this version does"):
        Classifier.load(tmp_path)


def test_images_made_in_another_way_are_noticed(tmp_path, monkeypatch):
    untrained("cnn").save(tmp_path)
    monkeypatch.setattr("ismila.vision.views.PIXELS_VERSION", 2)
    with pytest.raises(UserError, match="images of version 1, here it is 2; train again"):
        Classifier.load(tmp_path)
    with_described(tmp_path, pixels=None)  # an older one
    with pytest.raises(UserError, match="images of version 1, here it is 2; train again"):
        Classifier.load(tmp_path)


def test_other_weights_than_the_bundled_answer_by_themselves(tmp_path):
    """The digest of a backbone says whether the bundled graph computes it; the weights are kept in any case."""
    before = untrained("mobilenet")
    bundled = replace(before.backbone, digest=bundled_digest())
    replace(before, backbone=replace(bundled, digest="0" * 16)).save(tmp_path)
    after = Classifier.load(tmp_path)
    assert after.encoder is None
    assert np.allclose(before.probabilities(noise()), after.probabilities(noise()), atol=1e-6)


def test_a_folder_without_a_classifier_is_said(tmp_path):
    (tmp_path / "classifier.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="not a classifier"):
        Classifier.load(tmp_path)
    untrained("cnn").save(tmp_path)
    described = json.loads((tmp_path / "classifier.json").read_text())
    (tmp_path / "classifier.json").write_text(json.dumps({**described, "format": 99}))
    with pytest.raises(UserError, match="format 99, expected 1 or 2"):
        Classifier.load(tmp_path)
