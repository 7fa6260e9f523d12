"""From a logit to a verdict: what a classifier keeps of calibration and threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ismila.vision.graphs import Doubles, Floats

UNSURE = 0.4
"""A probability less than this (in logits) from the threshold is called unsure: 0.40 to 0.60 around 0.5."""
NEAREST = 1e-7
"""A probability is at least so far from 0 and from 1: single precision holds none nearer to 1."""


@dataclass(frozen=True)
class Calibration:
    """What turns a head's logits into the logits of probabilities: `logits / temperature + bias`.

    The identity says that nothing is known of how sure to be.
    """

    temperature: float = 1.0
    bias: float = 0.0

    def __call__(self, logits: Floats) -> Floats:
        """`[N]` -> `[N]`."""
        return np.asarray(logits / np.float32(self.temperature) + np.float32(self.bias), np.float32)


@dataclass(frozen=True)
class Decision:
    """What makes a verdict of a logit.

    Attributes:
        threshold: a photo is the subject from this probability on.
    """

    threshold: float = 0.5
    calibration: Calibration = Calibration()

    def probabilities(self, logits: Floats) -> Floats:
        """`[N]` -> `[N]` in 0..1, under the prior."""
        return sigmoid(self.calibration(logits))

    def as_dict(self) -> dict[str, float]:
        """What `from_dict` reads."""
        return {"threshold": self.threshold, **asdict(self.calibration)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, float]) -> Decision:
        """A decision as a file has it; older ones have no bias, the oldest no temperature."""
        calibration = Calibration(float(kept.get("temperature", 1)), float(kept.get("bias", 0)))
        return cls(float(kept["threshold"]), calibration)


def sigmoid(logits: Floats) -> Floats:
    """Logits -> probabilities."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)


def logits_of(probabilities: npt.ArrayLike) -> Doubles:
    """Probabilities -> logits, the inverse of `sigmoid`; finite, since 0 and 1 count as nearly so."""
    p = np.clip(np.asarray(probabilities, np.float64), NEAREST, 1 - NEAREST)
    logits: Doubles = np.log(p / (1 - p))
    return logits


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
