"""A probability in words, the same for one photo, a library and the page."""

from __future__ import annotations

import numpy as np

UNSURE = 0.4
"""A probability less than this (in logits) from the threshold is called unsure: 0.40 to 0.60 around 0.5."""


def verdict_of(probability: float, threshold: float, subject: str) -> str:
    """`SUBJECT`, `not SUBJECT`, or `unsure` near the threshold."""
    p, at = np.clip([probability, threshold], 1e-7, 1 - 1e-7)
    if abs(np.log(p / (1 - p)) - np.log(at / (1 - at))) < UNSURE:
        return "unsure"
    return subject if p > at else f"not {subject}"
