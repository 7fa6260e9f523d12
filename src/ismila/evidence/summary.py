"""A run's figures in words."""

from __future__ import annotations

import pandas as pd

from ismila.evidence.metrics import rates, wilson

FEW = 10


def verdict(held_out: pd.DataFrame, threshold: float, subject: str) -> str:
    """The run in a sentence."""
    told = rates(held_out, threshold)
    (found, n), (things, n_things), (pets, n_pets) = (
        told["recall"],
        told["fpr_things"],
        told["fpr_pets"],
    )
    said = f"Recognises {found} of {n} held-out photos of {subject} and takes {things} of {n_things} things"
    if not n_pets:
        return (
            f"{said} for it; it was asked about no other animal, so it may be an animal detector."
        )
    said += f" and {pets} of {n_pets} other animals for {subject}"
    low, high = wilson(pets, n_pets)
    if n and found / n < 0.5:
        return f"{said}: it misses {subject} more often than not."
    if low > 0.1:
        return f"{said}: rather an animal detector than a detector of {subject}."
    if high < 0.1:
        return f"{said}: more than an animal detector."
    return (
        f"{said}: too few animals, or too many mistakes, to call it more than an animal detector."
    )


def few(held_out: pd.DataFrame, subject: str) -> str:
    """What n is too small to say; empty when it is large enough."""
    counts = held_out["label"].value_counts()
    names = {
        "subject": f"photos of {subject}",
        "things": "photos of things",
        "pets": "photos of other animals",
    }
    small = [
        f"{counts.get(label, 0)} {name}"
        for label, name in names.items()
        if counts.get(label, 0) < FEW
    ]
    return (
        f"Only {' and '.join(small)} were held out: rates on them say next to nothing."
        if small
        else ""
    )
