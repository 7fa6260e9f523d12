import numpy as np
import pytest

from ismila.vision.decision import Calibration, Decision, verdict_of


def test_a_probability_in_words():
    assert verdict_of(0.9, 0.5, "mila") == "mila"
    assert verdict_of(0.1, 0.5, "mila") == "not mila"
    assert verdict_of(0.55, 0.5, "mila") == "unsure"
    assert verdict_of(1.0, 1.0, "mila") == "unsure"


def test_the_temperature_divides_logits_and_the_bias_moves_them():
    decision = Decision(0.5, Calibration(2.0, 0.5))
    assert decision.probabilities(np.array([2.0], np.float32)) == pytest.approx(
        1 / (1 + np.exp(-1.5))
    )
    assert Decision.from_dict(decision.as_dict()) == decision
