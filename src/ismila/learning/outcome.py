"""What training gives: the weights that are kept, the decision, and an answer for every photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.learning.dataset import CLOSEUPS_ABOVE, AlbumRows, is_closeup
from ismila.learning.held_out import FoldNetwork
from ismila.learning.networks import TrainingLog
from ismila.vision.decision import Decision
from ismila.vision.graphs import Bools, Floats


@dataclass
class AlbumPredictions:
    """One answer for each row of an album, `[N]` each.

    Attributes:
        threshold: the one the row is judged by; a cross-validated run chooses one in each fold.
        held_out_by: `test`, `val`, `crossval 0` ... of what the head that answers did not see; empty for what it may
            have seen.
        used: the classifier that is kept was trained on the row.
    """

    probability: Floats
    threshold: Floats
    held_out_by: npt.NDArray[np.object_]
    used: Bools

    @classmethod
    def by_folds(
        cls, rows: AlbumRows, logits: Floats, decision: Decision, used: Bools
    ) -> AlbumPredictions:
        """Of one network that was fitted to the training fold; `val` chose its epoch and its decision."""
        fold = rows.table["fold"].to_numpy(dtype=object)
        threshold = np.full(len(rows), decision.threshold, np.float32)
        held_out_by = np.where(fold == "train", "", fold)
        return cls(decision.probabilities(logits), threshold, held_out_by, used)


@dataclass(frozen=True)
class FinalModel:
    """The network that a run keeps.

    Attributes:
        weights: by torch's names.
        strangers: its answers for strangers that nothing was trained or chosen on, `kind, probability, threshold` of
            each photo; None where there are none for its backbone.
    """

    weights: Mapping[str, npt.NDArray[Any]]
    decision: Decision
    strangers: pd.DataFrame | None = None


@dataclass(frozen=True)
class Outcome:
    """What a protocol gives.

    Attributes:
        held_out: by `held_out_by`, the networks that the reported answers come from.
        selection: answers that a run may be chosen by: `path, group, label, kind, probability`.
        selection_is_clean: nothing that makes these answers was chosen on their photos.
        protocol: `fold` (fitted to the training fold, reported on the test fold) or `crossval`.
    """

    kept: FinalModel
    held_out: Mapping[str, FoldNetwork]
    answers: AlbumPredictions
    selection: pd.DataFrame
    selection_is_clean: bool
    fitted: TrainingLog
    protocol: str


def selection_of(rows: AlbumRows, of: Bools, probability: Floats) -> pd.DataFrame:
    """The answers `probability [n]` for the rows `of [N]`, as `Outcome.selection` has them."""
    table = rows.table.loc[of, ["path", "group", "label", "kind"]]
    return table.assign(probability=probability)


def predictions_of(rows: AlbumRows, answers: AlbumPredictions) -> pd.DataFrame:
    """The table that a run keeps: a row a photo."""
    columns = ["path", "sha256", "group", "fold", "label", "kind"]
    table = rows.table[columns].assign(
        closeup=is_closeup(rows.table, CLOSEUPS_ABOVE),
        subject_share=rows.table["subject_share"].astype(float),
        probability=answers.probability,
        threshold=answers.threshold,
        held_out_by=answers.held_out_by,
        used=answers.used,
    )
    return table.sort_values("path").reset_index(drop=True)
