import numpy as np
import pytest

from ismila.demo import animals
from ismila.demo.breeds import BUILDS, SUBJECT
from ismila.demo.brush import CARAMEL, DARK, WHITE, Brush, Figure


def drawn(draw, seed: int = 0) -> Figure:
    """What `draw(brush, rng)` leaves on a sheet, one unit being half of it."""
    rng = np.random.default_rng(seed)
    figure = Figure((240, 240), (0.6, -0.8), 120, rng)
    draw(Brush(figure, np.diag([120.0, 120.0]), np.array([120.0, 220.0])), rng)
    return figure


@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("pose", ["stand", "sit", "lie"])
def test_every_kind_can_take_every_pose(kind: str, pose: str) -> None:
    build = BUILDS[kind]
    for left in (False, True):
        figure = drawn(
            lambda b, rng, left=left: animals.animal_side(b, build, SUBJECT, rng, pose, left)
        )
        assert np.asarray(figure.whole.getchannel("A")).mean() > 10
        assert figure.sheet.getbbox() is None  # all of it is baked


@pytest.mark.parametrize(
    "draw",
    [
        lambda b, rng: animals.animal_front(b, BUILDS["dog"], SUBJECT, rng),
        lambda b, rng: animals.animal_upright(b, BUILDS["squirrel"], SUBJECT, rng, True),
        lambda b, rng: animals.animal_head(b, BUILDS["goat"], SUBJECT, rng, False),
        lambda b, rng: animals.bird(b, rng, (CARAMEL, DARK, WHITE), True),
        lambda b, rng: animals.bird(b, rng, (CARAMEL, DARK, WHITE), False),
        lambda b, rng: animals.butterfly(b, rng, (CARAMEL, DARK, WHITE)),
    ],
)
def test_what_is_drawn_follows_from_the_seed(draw) -> None:
    figure = drawn(draw, 3)
    assert figure.whole.tobytes() == drawn(draw, 3).whole.tobytes()
    assert np.asarray(figure.whole.getchannel("A")).mean() > 5
