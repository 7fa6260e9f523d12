"""Classifiers for reported photos: each photo is shown to the one that was not trained on its group.

The classifier that a run keeps may have been trained on every photo (`refit=all`, cross-validation). Whatever is shown
beside a reported figure comes from here instead: what it looks at, what becomes of its probability when a part of the
photo is hidden, which training photos are near.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save

from ismila.photos.files import write_aside
from ismila.vision.classifier import Classifier
from ismila.vision.decision import Decision

TEST = "test"
DECISIONS = "decisions"
"""What the file calls its decisions, which are no arrays."""


@dataclass(frozen=True)
class FoldNetwork:
    """A network that did not see the photos of one `held_out_by`, with the decision that they were judged by.

    Attributes:
        weights: by torch's names.
    """

    weights: Mapping[str, npt.NDArray[Any]]
    decision: Decision


@dataclass(frozen=True)
class HeldOutClassifiers:
    """What a run's reported answers come from. A type of its own, so that a kept classifier cannot be handed in.

    Attributes:
        by_fold: `held_out_by`, as the predictions have it -> the classifier that answered for these photos.
    """

    by_fold: Mapping[str, Classifier]

    @classmethod
    def beside(cls, kept: Classifier, networks: Mapping[str, FoldNetwork]) -> HeldOutClassifiers:
        """Those of a run that keeps `kept`, from which they differ in weights and decision only."""
        return cls(
            {
                held_out_by: replace(
                    kept, weights={**kept.weights, **one.weights}, decision=one.decision
                )
                for held_out_by, one in networks.items()
            }
        )

    def __bool__(self) -> bool:
        """False for a run that kept none, of an older version."""
        return bool(self.by_fold)

    def __getitem__(self, held_out_by: str) -> Classifier:
        """The classifier that was not trained on the photos which this held out."""
        return self.by_fold[held_out_by]

    def save(self, path: Path, kept: Classifier) -> None:
        """Write one file: of each classifier its decision and the weights in which it differs from `kept`."""
        weights = {
            f"{held_out_by}/{name}": array
            for held_out_by, one in self.by_fold.items()
            for name, array in one.weights.items()
            if not np.array_equal(array, kept.weights[name])
        }
        decisions = {
            held_out_by: one.decision.as_dict() for held_out_by, one in self.by_fold.items()
        }
        write_aside(path, save(weights, metadata={DECISIONS: json.dumps(decisions)}))

    @classmethod
    def load(cls, path: Path, kept: Classifier) -> HeldOutClassifiers:
        """Read what `save` wrote beside `kept`."""
        with safe_open(path, framework="np") as file:
            decisions = json.loads(file.metadata()[DECISIONS])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        networks = {
            held_out_by: FoldNetwork(
                {
                    name.removeprefix(f"{held_out_by}/"): array
                    for name, array in weights.items()
                    if name.startswith(f"{held_out_by}/")
                },
                Decision.from_dict(decision),
            )
            for held_out_by, decision in decisions.items()
        }
        return cls.beside(kept, networks)


def training_rows(predictions: pd.DataFrame, held_out_by: str) -> pd.DataFrame:
    """The photos that the classifier for `held_out_by` was trained on: those of the kept one without what was held out.

    Args:
        predictions: a run's table: `held_out_by, fold, used`.
    """
    used = predictions["used"].astype(bool)
    others = predictions["held_out_by"] != held_out_by
    if held_out_by == TEST:  # validation photos trained the kept one at most
        others = predictions["fold"] == "train"
    return predictions[used & others].reset_index(drop=True)
