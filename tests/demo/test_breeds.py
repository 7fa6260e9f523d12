import numpy as np
import pytest

from ismila.demo.breeds import BUILDS, COATS, EARS, SUBJECT, TAILS, random_build, random_coat


@pytest.mark.parametrize("kind", BUILDS)
def test_no_other_animal_has_the_subjects_markings(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        coat = random_coat(kind, rng)
        assert coat.patches[0] == coat.patches[1] or coat.patches != SUBJECT.patches
        assert coat.ears[0] == coat.ears[1]  # hers are of two colours


def test_every_build_has_ears_and_a_tail_that_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    builds = [random_build(kind, rng) for kind in BUILDS for _ in range(50)]
    assert {build.ears for build in builds} <= set(EARS)
    assert {build.tail for build in builds} <= set(TAILS)
    assert set(COATS) == set(BUILDS)
