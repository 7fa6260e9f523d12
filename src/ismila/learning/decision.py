"""From logits to a verdict: temperature and threshold, chosen on answers that nothing is reported on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ismila.learning.graphs import Bools, Doubles, Floats

UNSURE = 0.4
"""A probability less than this (in logits) from the threshold is called unsure: 0.40 to 0.60 around 0.5."""
LOW_TENTH = 0.1
CALIBRATED_FROM = 10
"""With fewer photos of either side than this the temperature stays 1: a handful says nothing about how sure to be."""
NEAREST = 1e-7
"""A probability is at least so far from 0 and from 1: single precision holds none nearer to 1."""
LOG_TEMPERATURES = (-4.0, 4.0)


@dataclass(frozen=True)
class Decision:
    """What makes a verdict of a logit.

    Attributes:
        threshold: a photo is the subject from this probability on.
        temperature: what the logits are divided by.
    """

    threshold: float = 0.5
    temperature: float = 1.0

    def probabilities(self, logits: Floats) -> Floats:
        """`[N]` -> `[N]` in 0..1."""
        return sigmoid(logits / np.float32(self.temperature))


@dataclass(frozen=True)
class DecisionAnswers:
    """Answers that a decision may be chosen on: of photos that their head did not see, and that are reported nowhere.

    A type of its own, so that reported answers cannot be handed in by mistake.

    Attributes:
        logits: `[N]`.
        is_subject: `[N]`.
        in_variant: `[N]`; the threshold rests on photos like those that the variant trains on. The temperature rests on
            all: told apart from things alone, the subject would look certain on every dog.
    """

    logits: Floats
    is_subject: Bools
    in_variant: Bools


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is chosen.

    Attributes:
        false_positive_rate: at most this share of the negatives passes.
        play: how far from 0, in logits, it may lie half-way between the sides.
        easy: the negatives are easy (things alone), so not below 0: their logits are low, and a threshold among them
            would take every animal for the subject.
        price: among thousands of negatives some may look just like her: more than the rate pass where each share of
            them that does wins so many times as large a share of her photos. 0: they never do.
    """

    false_positive_rate: float
    play: float = 0.0
    easy: bool = False
    price: float = 0.0


def decide(answers: DecisionAnswers, rule: ThresholdRule) -> Decision:
    """Temperature and threshold; 0.5 and 1 where there is no answer to choose them on."""
    temperature = temperature_of(answers.logits, answers.is_subject)
    in_variant = answers.in_variant
    at = choose_threshold(answers.logits[in_variant], answers.is_subject[in_variant], rule)
    threshold = sigmoid(np.array([at / temperature], np.float32))[0]
    return Decision(float(threshold), temperature)


def sigmoid(logits: Floats) -> Floats:
    """Logits -> probabilities."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)


def logits_of(probabilities: npt.ArrayLike) -> Doubles:
    """Probabilities -> logits, the inverse of `sigmoid`; finite, since 0 and 1 count as nearly so."""
    p = np.clip(np.asarray(probabilities, np.float64), NEAREST, 1 - NEAREST)
    logits: Doubles = np.log(p / (1 - p))
    return logits


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
    half_way = _half_way(x[is_subject], highest_out if rule.price else float(negatives[0]))
    chosen = float(np.clip(half_way, min(low, high), high))
    if rule.price and chosen <= strict:
        return _worth_most(x[is_subject], negatives, chosen, rule.price)
    return chosen


def _worth_most(of_subject: Doubles, negatives: Doubles, highest: float, price: float) -> float:
    """The threshold, `highest` or a lower one, where the subject's photos that pass, less the negatives at their price,
    are most."""
    below = np.sort(of_subject[of_subject < highest])[::-1]
    candidates = np.append(highest, below)
    gain = _share_from(candidates, of_subject) - price * _share_from(candidates, negatives)
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


def temperature_of(logits: Floats, is_subject: Bools) -> float:
    """What held-out logits `[N]` have to be divided by for their probabilities to be likeliest.

    Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599): it changes no order and no verdict. The
    targets are not 0 and 1 but Platt's (1999), (n + 1) / (n + 2) for n photos of a side: photos that are told apart
    perfectly would ask for a temperature of 0, and n of them do not show as much. 1 with fewer than ten of a side.
    """
    from scipy.optimize import minimize_scalar

    n_subject = int(is_subject.sum())
    n_others = len(is_subject) - n_subject
    if min(n_subject, n_others) < CALIBRATED_FROM:
        return 1.0
    target = np.where(is_subject, (n_subject + 1) / (n_subject + 2), 1 / (n_others + 2))
    x = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        tempered = x / np.exp(log_temperature)
        return float((np.logaddexp(0, tempered) - target * tempered).mean())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))


def verdict_of(probability: float, threshold: float, subject: str) -> str:
    """`SUBJECT`, `not SUBJECT`, or `unsure` near the threshold."""
    logit, logit_at_threshold = logits_of([probability, threshold])
    if abs(logit - logit_at_threshold) < UNSURE:
        return "unsure"
    return subject if logit > logit_at_threshold else f"not {subject}"


def pet_verdict(probability: float, threshold: float, subject: str, is_named: bool) -> str:
    """A verdict in words; a pet whose animal another pet got is not in the photo, whatever its probability."""
    if probability >= threshold and not is_named:
        return f"not {subject}"
    return verdict_of(probability, threshold, subject)
