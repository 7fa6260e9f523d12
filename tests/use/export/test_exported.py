import json

import numpy as np
import onnx
import pytest
from untrained import bundled_classifier, images_of

from ismila.photos import UserError
from ismila.use.export.exported import ExportedClassifier
from ismila.use.export.graph import graph_of


@pytest.fixture(scope="module")
def bundled():
    return bundled_classifier()


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
    exported = ExportedClassifier(graph_of(bundled).SerializeToString(), "rex.onnx")
    images = images_of(bundled, 5)
    assert exported.probabilities(images[:0]).shape == (0,)
    np.testing.assert_allclose(
        exported.probabilities(images, 2), exported.probabilities(images), atol=1e-6
    )


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
