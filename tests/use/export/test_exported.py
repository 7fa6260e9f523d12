import json

import numpy as np
import onnx
import pytest
from untrained import bundled_classifier, bundled_pair, images_of

from ismila.photos import UserError
from ismila.use.ask.pets import Pets
from ismila.use.export.exported import ExportedClassifier, ExportedFile
from ismila.use.export.graph import graph_of
from ismila.vision.animals import Animal
from ismila.vision.views import Views

LEFT = Animal((0.0, 0.0, 0.5, 1.0), "dog", 0.9)
RIGHT = Animal((0.5, 0.0, 1.0, 1.0), "dog", 0.8)


@pytest.fixture(scope="module")
def bundled():
    return bundled_classifier()


def test_a_file_whose_animals_were_found_otherwise_is_refused(tmp_path):
    content = graph_of(bundled_classifier("0" * 16)).SerializeToString()
    with pytest.raises(UserError, match=r"^rex.onnx: trained on animals .*; train again"):
        ExportedFile(content, "rex.onnx")


def test_the_file_alone_is_enough(bundled, tmp_path):
    (tmp_path / "rex.onnx").write_bytes(graph_of(bundled).SerializeToString())
    (tmp_path / "animals.onnx").write_bytes(b"the detector, which is no classifier")
    told = ExportedClassifier.load(tmp_path)
    assert told.spec == bundled.spec
    assert (told.subject, told.threshold, told.scores, told.run) == (
        "rex",
        0.7,
        {"accuracy": 0.5},
        "abcdef12",
    )
    props = {
        entry.key: json.loads(entry.value)
        for entry in onnx.load(tmp_path / "rex.onnx").metadata_props
    }
    assert (props["labels"], props["opset"], props["format"]) == (["not_rex", "rex"], 18, 1)


def test_no_image_or_many_are_answered_in_batches(bundled):
    exported = ExportedClassifier(ExportedFile(graph_of(bundled).SerializeToString(), "rex.onnx"))
    images = images_of(bundled, 5)
    assert exported.probabilities(images[:0]).shape == (0,)
    one_by_one = [exported.probabilities(images[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(exported.probabilities(images), one_by_one, atol=1e-6)


def test_a_folder_with_several_files_or_none_is_refused(tmp_path):
    for count, name in ((0, ""), (2, "b.onnx")):
        if name:
            (tmp_path / "a.onnx").write_bytes(b"")
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(UserError, match=f"{count} ONNX files"):
            ExportedClassifier.load(tmp_path)
    with pytest.raises(UserError, match=r"No such file.*ismila export"):
        ExportedClassifier.load(tmp_path / "c.onnx")
    with pytest.raises(UserError, match="not an ONNX model"):
        ExportedClassifier.load(tmp_path / "a.onnx")


def test_a_file_with_several_subjects_is_asked_once_for_all_of_them():
    pair = bundled_pair()
    file = ExportedFile(graph_of(*pair).SerializeToString(), "rex+mila.onnx")
    rex, mila = file.classifiers.values()
    assert [(one.subject, one.run, one.threshold) for one in (rex, mila)] == [
        ("rex", "abcdef12", 0.7), ("mila", "12abcdef", 0.4)
    ]  # fmt: skip
    images = images_of(pair[0], 2)
    looks = {rex.viewer.digest: Views(images, (LEFT, RIGHT), 2, 2)}
    runs = {"rex": "abcdef12", "mila": "12abcdef"}
    [expected] = Pets({one.subject: one for one in pair}, runs).judge([looks])
    asked = []
    run = file._run
    file._run = lambda *args: asked.append(args) or run(*args)
    [together] = Pets(file.classifiers, runs).judge([looks])
    assert len(asked) == 1
    assert together.names == expected.names and together.names
    for one, other in zip(together.animals, expected.animals, strict=True):
        assert (one.name, one.box) == (other.name, other.box)
        assert one.probability == pytest.approx(other.probability, abs=1e-4)
