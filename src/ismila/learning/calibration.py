"""Calibration and threshold, chosen on held-out photos that nothing is reported on.

One prior is meant wherever a probability is fitted, chosen or measured: **a photo shows the subject as often as not,
and otherwise a thing as often as another animal** (`prior_weights`). An album's own mix would be another choice. It is
an accident of what somebody collected (ten photos more of things, and every probability falls), it differs from that of
the library that is searched later, and an album that holds the subject alone has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ismila.vision.decision import Calibration, Decision, sigmoid
from ismila.vision.graphs import Bools, Doubles, Floats, Objects

LOW_TENTH = 0.1
SIDES = ("subject", "things", "pets")
SLOPE_SPREAD = 1.0
BIAS_SPREAD = 3.0
"""Of the normal priors of ln(slope) and bias. A bias spread of 1 left probabilities of `data=strangers` too low (a
calibration error of .086 instead of .074); 3, 5 and 10 say the same."""
EXACT = {"xatol": 1e-6, "fatol": 1e-9}
"""Where the fit of a calibration stops: probabilities are the same on every machine to six digits."""


def prior_weights(label: Objects) -> Doubles:
    """What each photo counts under the prior, `[N]`, in all 1: the subject 1/2, things 1/4, other animals 1/4.

    Where there are only things, or only animals, these count 1/2. All 0 without the subject or without others.

    Args:
        label: `[N]`, `subject`, `things` or `pets`.
    """
    of_side = {side: label == side for side in SIDES}
    others = [side for side in SIDES[1:] if of_side[side].any()]
    weights = np.zeros(len(label))
    if not of_side["subject"].any() or not others:
        return weights
    weights[of_side["subject"]] = 0.5 / of_side["subject"].sum()
    for side in others:
        weights[of_side[side]] = 0.5 / len(others) / of_side[side].sum()
    return weights


@dataclass(frozen=True)
class DecisionExamples:
    """Logits that a decision may be chosen on: of photos that their head did not see, and that are reported nowhere.

    A type of its own, so that reported answers cannot be handed in by mistake.

    Attributes:
        logits: `[N]`.
        label: `[N]`, `subject`, `things` or `pets`.
        in_variant: `[N]`; the threshold rests on photos like those that the variant trains on. The calibration rests on
            all: told apart from things alone, the subject would look certain on every dog.
    """

    logits: Floats
    label: Objects
    in_variant: Bools

    @property
    def is_subject(self) -> Bools:
        """`[N]`."""
        return np.asarray(self.label == "subject")


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is chosen.

    Attributes:
        false_positive_rate: at most this share of the negatives passes.
        play: how far from 0, in calibrated logits, it may lie half-way between the sides.
        easy: the negatives are easy (things alone), so not below 0: their logits are low, and a threshold among them
            would take every animal for the subject.
        cost_ratio: of false positives to misses. Among thousands of negatives some may look just like the
            subject: more than the rate pass where each share of them that does wins so many times as large a share of
            the subject's photos. 0: they never do.
    """

    false_positive_rate: float
    play: float = 0.0
    easy: bool = False
    cost_ratio: float = 0.0


def decide(examples: DecisionExamples, rule: ThresholdRule) -> Decision:
    """Calibration, and the threshold in calibrated logits; the identity and 0.5 where there is nothing to choose them
    on."""
    calibration = calibrate(examples)
    of_variant = examples.in_variant
    logits = calibration(examples.logits[of_variant])
    at = choose_threshold(logits, examples.is_subject[of_variant], rule)
    threshold = sigmoid(np.array([at], np.float32))[0]
    return Decision(float(threshold), calibration)


def choose_threshold(logits: Floats, is_subject: Bools, rule: ThresholdRule) -> float:
    """A logit: half-way between the subject's photos and the others, near 0, where few enough of the others pass.

    Half-way is between the lowest tenth of the subject's logits (with a few photos: the lowest) and the highest
    negative, but at most `play` from 0. It is moved up to where no more than the rule's rate of the negatives passes:
    half-way between the highest that must stay out and the next higher logit.

    Args:
        logits: `[N]`, of photos that were held out.
    """
    x = np.asarray(logits, dtype=np.float64)
    negatives = np.sort(x[~is_subject])[::-1]
    if not len(negatives):
        return 0.0
    allowed = int(rule.false_positive_rate * len(negatives))
    highest_out = float(negatives[min(allowed, len(negatives) - 1)])
    above = x[x > highest_out]
    strict = (highest_out + above.min()) / 2 if len(above) else highest_out + 1e-3
    lowest = 0.0 if rule.easy else -rule.play
    low = strict if highest_out >= lowest else lowest
    high = strict if highest_out >= rule.play else rule.play
    # one that may pass is no bound; with few negatives none may
    half_way = _half_way(x[is_subject], highest_out if rule.cost_ratio else float(negatives[0]))
    chosen = float(np.clip(half_way, min(low, high), high))
    if rule.cost_ratio and chosen <= strict:
        return _worth_most(x[is_subject], negatives, chosen, rule.cost_ratio)
    return chosen


def _worth_most(
    of_subject: Doubles, negatives: Doubles, highest: float, cost_ratio: float
) -> float:
    """The threshold, `highest` or a lower one, where the subject's photos that pass, less the negatives at their cost,
    are most."""
    below = np.sort(of_subject[of_subject < highest])[::-1]
    candidates = np.append(highest, below)
    gain = _share_from(candidates, of_subject) - cost_ratio * _share_from(candidates, negatives)
    best = float(candidates[gain.argmax()])
    if best == highest:
        return highest
    # half-way to the next lower answer: rounding must not turn away the photo that it was lowered for
    lower = np.concatenate([of_subject, negatives])
    return float(best + lower[lower < best].max(initial=best - 1)) / 2


def _share_from(thresholds: Doubles, logits: Doubles) -> Doubles:
    """Of `logits`, how many pass each threshold."""
    below = np.searchsorted(np.sort(logits), thresholds)
    return 1 - below / max(len(logits), 1)


def _half_way(of_subject: Doubles, highest_negative: float) -> float:
    if not len(of_subject):
        return 0.0
    return float(np.quantile(of_subject, LOW_TENTH, method="lower") + highest_negative) / 2


def calibrate(examples: DecisionExamples) -> Calibration:
    """The slope and bias under which the examples' logits are likeliest, by the prior.

    Platt scaling (Platt 1999; Lin et al. 2007, https://doi.org/10.1007/s10994-007-5018-6) with his targets,
    (n + 1) / (n + 2) for n photos of a side: photos that are told apart perfectly would ask for an infinite slope, and
    n of them do not show as much. scikit-learn's Platt keeps no distance from extremes where photos are few. Here
    ln(slope) and bias have normal priors around 0, against as many photos as the weights are worth: with 3 photos
    of the subject little moves, with 30 the priors no longer matter. The identity without a side.
    """
    from scipy.optimize import minimize

    weight = prior_weights(examples.label)
    if not weight.any():
        return Calibration()
    is_subject = examples.is_subject
    n_subject = int(is_subject.sum())
    n_others = len(is_subject) - n_subject
    target = np.where(is_subject, (n_subject + 1) / (n_subject + 2), 1 / (n_others + 2))
    x = np.asarray(examples.logits, dtype=np.float64)
    worth = 1 / np.square(weight).sum()  # Kish's effective number

    def loss(parameters: Doubles) -> float:
        log_slope, bias = parameters
        calibrated = np.exp(log_slope) * x + bias
        surprise = np.logaddexp(0, calibrated) - target * calibrated
        prior = (log_slope / SLOPE_SPREAD) ** 2 + (bias / BIAS_SPREAD) ** 2
        return float(worth * (weight @ surprise) + prior / 2)

    log_slope, bias = minimize(loss, np.zeros(2), method="Nelder-Mead", options=EXACT).x
    return Calibration(float(np.exp(-log_slope)), float(bias))
