import numpy as np
import pytest

from ismila.demo.things import PAINTS, THINGS, Stand, draw_thing


@pytest.mark.parametrize("name", THINGS)
def test_every_thing_stands_at_its_foot(name: str) -> None:
    stand = Stand((200, 200), (0.6, -0.8), (100.0, 160.0), 60.0)
    thing = draw_thing(name, stand, np.random.default_rng(0))
    box = thing.getchannel("A").point(lambda a: 255 * (a > 200)).getbbox()
    assert box is not None
    assert box[0] < 100 < box[2]
    assert 135 < box[3] < 185


def test_every_part_has_a_shape_and_a_paint() -> None:
    parts = [part for thing in THINGS.values() for part in thing.split(";")]
    assert {part[0] for part in parts} <= set("opblr")
    assert {part[1] for part in parts} <= {*PAINTS, *"123"}
