import numpy as np
import pytest

from ismila.learning.calibration import (
    DecisionExamples,
    ThresholdRule,
    calibrate,
    choose_threshold,
    decide,
    prior_weights,
)
from ismila.vision.decision import Calibration, sigmoid


def labels(n_subject, n_things, n_pets=0):
    return np.repeat(["subject", "things", "pets"], [n_subject, n_things, n_pets]).astype(object)


def examples(of_subject, things, pets=(), in_variant=None):
    logits = np.concatenate([of_subject, things, pets]).astype(np.float32)
    if in_variant is None:
        in_variant = np.ones(len(logits), np.bool_)
    return DecisionExamples(logits, labels(len(of_subject), len(things), len(pets)), in_variant)


def test_the_prior_is_one_of_two_and_as_many_things_as_animals():
    weights = prior_weights(labels(2, 5, 10))
    assert weights.tolist() == pytest.approx([0.25] * 2 + [0.05] * 5 + [0.025] * 10)
    assert prior_weights(labels(2, 0, 5)).tolist() == pytest.approx([0.25] * 2 + [0.1] * 5)
    assert not prior_weights(labels(3, 0)).any()
    assert not prior_weights(labels(0, 3, 3)).any()


def test_the_threshold_lets_no_more_negatives_through_than_asked():
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(-1, 2, 1000), rng.normal(3, 2, 50)])
    is_subject = np.arange(1050) >= 1000
    for rate in (0.0, 0.01, 0.05):
        at = choose_threshold(logits, is_subject, ThresholdRule(rate))
        assert (logits[:1000] >= at).mean() <= rate


def test_the_threshold_lies_half_way_but_not_far_from_a_half():
    of_subject = np.full(4, 3.0)
    for others, at in ((-4.0, -0.5), (-20.0, -1.0), (2.0, 2.5)):
        logits = np.r_[of_subject, np.full(40, others)]
        rule = ThresholdRule(0.003, play=1.0)
        assert choose_threshold(logits, np.arange(44) < 4, rule) == pytest.approx(at)
    easy = ThresholdRule(0.003, play=1.0, easy=True)
    assert choose_threshold(np.r_[of_subject, np.full(40, -20.0)], np.arange(44) < 4, easy) == 0


@pytest.mark.parametrize("sides", [(0, 0), (0, 5), (5, 0), (1, 1), (3, 40)])
def test_few_or_no_examples_still_decide(sides):
    n_subject, n_others = sides
    decision = decide(
        examples(np.full(n_subject, 2.0), np.full(n_others, -2.0)), ThresholdRule(0.003, 1)
    )
    assert 0 < decision.threshold < 1
    calibration = decision.calibration
    assert 0.4 < calibration.temperature < 1.6 and abs(calibration.bias) < 1
    if not all(sides):
        assert calibration == Calibration()


def expected_error(logits, label):
    """Calibration error by the prior, in twenty bins."""
    weight = prior_weights(label)
    p = sigmoid(logits)
    number = np.minimum((p * 20).astype(int), 19)
    return np.abs(np.bincount(number, weight * (p - (label == "subject")))).sum()


@pytest.mark.parametrize(("spread", "before"), [(1.2, 0.1), (2.0, 0.1), (3.5, 0.05)])
def test_a_balanced_heads_logits_become_probabilities_under_the_prior(spread, before):
    """Slope and bias are wrong: a temperature alone, as it was, leaves most of the error (AUC .80, .92 and .99)."""
    rng = np.random.default_rng(0)
    label = labels(4000, 20000, 20000)
    middle = np.where(label == "subject", spread / 2, -spread / 2)
    logits = (1.7 * rng.normal(middle, 1) - 1.2).astype(np.float32)
    tempered = min(expected_error(logits / t, label) for t in (0.5, 1.0, 1.7, 2.0, 3.0, 5.0))
    assert tempered > before
    everything = np.ones(len(label), np.bool_)
    calibration = calibrate(DecisionExamples(logits, label, everything))
    assert expected_error(calibration(logits), label) < 0.02


def test_other_photos_of_things_change_no_probability():
    """An album's own mix is an accident; what was calibrated for it moved with every folder of things."""
    rng = np.random.default_rng(0)
    hers, things, pets = rng.normal(1, 1, 300), rng.normal(-2, 1, 300), rng.normal(-1, 1, 300)
    few = examples(hers, things, pets)
    many = examples(hers, np.tile(things, 20), pets)
    once, again = (calibrate(one) for one in (few, many))
    assert again.temperature == pytest.approx(once.temperature, rel=0.03)
    assert again.bias == pytest.approx(once.bias, abs=0.05)


def test_what_is_told_apart_perfectly_asks_for_no_extreme():
    easy = examples(np.full(20, 6.0), np.full(200, -6.0))
    calibration = calibrate(easy)
    p = sigmoid(calibration(easy.logits))
    assert 1 - p[0] >= 1 / 2000  # 220 photos do not show more
    assert 0.2 < calibration.temperature < 4


def test_logits_that_say_nothing_are_no_reason_to_turn_them_round():
    rng = np.random.default_rng(0)
    against = examples(rng.normal(-1, 1, 100), rng.normal(1, 1, 100))
    calibration = calibrate(against)
    assert calibration.temperature > 5
    assert abs(calibration.bias) < 0.3


def test_animals_that_pass_make_probabilities_less_sure_though_the_variant_has_none():
    things = np.full(200, -6.0)
    animals = np.r_[np.full(160, -4.0), np.full(40, 6.0)]
    in_variant = np.r_[np.ones(220, np.bool_), np.zeros(200, np.bool_)]
    without = decide(examples(np.full(20, 6.0), things), ThresholdRule(0.003, easy=True))
    with_animals = examples(np.full(20, 6.0), things, animals, in_variant)
    decision = decide(with_animals, ThresholdRule(0.003, easy=True))
    looks_certain = np.array([6.0], np.float32)
    assert without.probabilities(looks_certain) > 0.95
    assert decision.probabilities(looks_certain) < 0.9
    # things alone choose the threshold; they are easy, so it is not below a half
    assert decision.threshold == pytest.approx(0.5, abs=1e-3)


PRICED = ThresholdRule(0.0005, float("inf"), cost_ratio=50)


def chosen_for(hers, others, rule=PRICED):
    """Shares of hers and of the others that pass at the threshold that is chosen."""
    logits = np.r_[hers, others].astype(np.float32)
    at = choose_threshold(logits, np.arange(len(logits)) < len(hers), rule)
    return (hers >= at).mean(), (others >= at).mean()


def test_more_strangers_pass_where_each_of_a_thousand_wins_more_than_one_of_twenty_photos():
    hers = np.r_[np.full(10, 1.0), np.full(10, 3.0)]
    others = np.r_[np.linspace(-9, -3, 1995), np.full(5, 2.0)]
    strict = ThresholdRule(0.0005, float("inf"))
    assert chosen_for(hers, others, strict) == (0.5, 0)
    assert chosen_for(hers, others) == (1, 5 / 2000)  # half of hers for 2.5 of a thousand
    assert chosen_for(hers[:11], others)[1] == 5 / 2000  # ten of eleven still
    assert chosen_for(hers[9:], others) == (10 / 11, 0)  # one of eleven is less than 2.5 of twenty


def test_with_few_photos_one_that_no_head_finds_lets_nobody_in():
    """Of twelve photos three are like nothing else of hers: before, a bound on what is lost let 7 % of strangers in."""
    rng = np.random.default_rng(0)
    hers = np.r_[np.linspace(2, 4, 9), -4.0, -5.0, -6.0]
    others = rng.normal(-7, 2, 2000)
    found, passed = chosen_for(hers, others)
    assert found == 9 / 12
    assert passed < 0.001


def test_look_alikes_among_thousands_pass_as_far_as_they_are_worth_it():
    rng = np.random.default_rng(0)
    hers = rng.normal(2, 1, 50)
    others = np.r_[rng.normal(-6, 1, 980), rng.normal(1, 1, 20)]
    strict, _ = chosen_for(hers, others, ThresholdRule(0.0005, float("inf")))
    found, passed = chosen_for(hers, others)
    assert found > strict + 0.1
    assert passed <= 1 / 50


def test_where_none_looks_like_her_the_bound_changes_nothing_but_the_middle():
    logits = np.r_[np.linspace(1, 3, 20), np.linspace(-9, -3, 1000)].astype(np.float32)
    is_subject = np.arange(1020) < 20
    at = choose_threshold(logits, is_subject, ThresholdRule(0.0005, float("inf"), cost_ratio=50))
    assert -3 < at < 1
