import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ismila.photos.images import ImageSpec
from ismila.vision import animals, encoders, graphs
from ismila.vision.animals import Detector
from ismila.vision.architecture import GRAPHS, bundled_width
from ismila.vision.encoders import OnnxBackbone
from ismila.vision.graphs import graph_session
from ismila.vision.weights import BOTH


def test_a_graph_is_opened_once_by_however_many_ask_at_once():
    graphs._opened.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        opened = set(pool.map(graph_session, [BOTH.with_suffix(".onnx")] * 4, [0] * 4))
    assert len(opened) == 1
    assert [one.name for one in opened.pop().get_outputs()] == ["features", "grid"]


def test_who_asks_nothing_opens_none(monkeypatch):
    """A run whose rows are cached needs names and widths alone."""

    def opened(graph, threads):
        raise AssertionError(graph)

    monkeypatch.setattr(encoders, "graph_session", opened)
    monkeypatch.setattr(animals, "graph_session", opened)
    assert OnnxBackbone(ImageSpec(64), BOTH).shape == (2560,)
    assert Detector().digest


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_width_is_what_the_graph_gives(graph):
    session = graph_session(graph.with_suffix(".onnx"), 0)
    assert session.get_outputs()[0].shape[1] == bundled_width(graph)


def test_nobody_hears_of_the_graphs_that_are_opened(tmp_path):
    """onnxruntime keeps an id of the machine in the user's cache, and sends Microsoft what it opens, unless it is told
    not to; it also holds its tongue where tests run (CI)."""
    code = "from ismila.vision.graphs import graph_session\n"
    code += "from ismila.vision.weights import NANODET; graph_session(NANODET, 1)"
    silenced = ("CI", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in silenced}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
