from ismila.learning.graphs import graph_session
from ismila.learning.weights import BOTH


def test_a_graph_is_opened_once():
    assert graph_session(BOTH, 0) is graph_session(BOTH, 0)
    assert [one.name for one in graph_session(BOTH, 0).get_outputs()] == ["features", "grid"]
