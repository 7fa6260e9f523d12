import numpy as np
import pytest

from ismila.photos.images import ImageSpec
from ismila.vision import encoders
from ismila.vision.encoders import CHUNK, OnnxBackbone
from ismila.vision.graphs import graph_session
from ismila.vision.weights import BUNDLED


def test_a_bundled_graph_sees_a_few_images_at_a_time_and_says_the_same(monkeypatch):
    """Many at once take memory that is kept, and more time."""
    spec = ImageSpec(64)
    backbone = OnnxBackbone(spec)
    some = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 1, 64, 64, 3), np.uint8)
    session = graph_session(BUNDLED.with_suffix(".onnx"), 0)
    seen = []

    class Watched:
        def run(self, outputs, inputs):
            seen.append(len(inputs["images"]))
            return session.run(outputs, inputs)

    monkeypatch.setattr(encoders, "graph_session", lambda graph, threads: Watched())
    rows = backbone(some)
    assert seen == [CHUNK, CHUNK, 1]
    alone = np.concatenate([backbone(image[None]) for image in some])
    assert rows == pytest.approx(alone, abs=1e-5)
