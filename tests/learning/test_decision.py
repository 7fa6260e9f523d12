import numpy as np
import pytest

from ismila.learning.decision import (
    Decision,
    DecisionAnswers,
    ThresholdRule,
    choose_threshold,
    decide,
    sigmoid,
    temperature_of,
    verdict_of,
)


def answers(of_subject, others, in_variant=None):
    logits = np.concatenate([of_subject, others]).astype(np.float32)
    is_subject = np.arange(len(logits)) < len(of_subject)
    if in_variant is None:
        in_variant = np.ones(len(logits), np.bool_)
    return DecisionAnswers(logits, is_subject, in_variant)


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
def test_few_or_no_answers_still_decide(sides):
    n_subject, n_others = sides
    decision = decide(
        answers(np.full(n_subject, 2.0), np.full(n_others, -2.0)), ThresholdRule(0.003, 1)
    )
    assert 0 < decision.threshold < 1
    assert decision.temperature == 1


def test_a_temperature_makes_overconfident_logits_mean_what_they_say():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 4000)
    is_subject = rng.random(4000) < sigmoid(true.astype(np.float32))
    assert temperature_of((3 * true).astype(np.float32), is_subject) == pytest.approx(3, rel=0.1)


def test_what_is_told_apart_perfectly_asks_for_no_extreme():
    easy = answers(np.full(20, 6.0), np.full(200, -6.0))
    temperature = temperature_of(easy.logits, easy.is_subject)
    p = sigmoid(easy.logits / np.float32(temperature))
    assert 1 - p[0] >= 1 / 2000  # 220 photos do not show more
    assert 0.2 < temperature < 4


def test_animals_that_pass_make_probabilities_less_sure_though_the_variant_has_none():
    things = np.full(200, -6.0)
    animals = np.r_[np.full(160, -4.0), np.full(40, 6.0)]
    in_variant = np.r_[np.ones(220, np.bool_), np.zeros(200, np.bool_)]
    without = decide(answers(np.full(20, 6.0), things), ThresholdRule(0.003, easy=True))
    with_animals = answers(np.full(20, 6.0), np.r_[things, animals], in_variant)
    decision = decide(with_animals, ThresholdRule(0.003, easy=True))
    assert decision.temperature > 1.5 * without.temperature
    # the verdicts stay: the threshold rests on what the variant trains on
    at = np.log(decision.threshold / (1 - decision.threshold)) * decision.temperature
    assert at == pytest.approx(0, abs=1e-3)


def test_a_probability_in_words():
    assert verdict_of(0.9, 0.5, "mila") == "mila"
    assert verdict_of(0.1, 0.5, "mila") == "not mila"
    assert verdict_of(0.55, 0.5, "mila") == "unsure"
    assert verdict_of(1.0, 1.0, "mila") == "unsure"


def test_the_temperature_divides_logits():
    assert Decision(0.5, 2.0).probabilities(np.array([2.0], np.float32)) == pytest.approx(
        1 / (1 + np.exp(-1))
    )


PRICED = ThresholdRule(0.0005, float("inf"), price=50)


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
    at = choose_threshold(logits, is_subject, ThresholdRule(0.0005, float("inf"), price=50))
    assert -3 < at < 1
