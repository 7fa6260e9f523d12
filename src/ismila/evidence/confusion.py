"""Who is taken for whom: what each subject's run says of the same album's photos."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ismila.evidence.metrics import is_subject, reported, taken_for_subject
from ismila.photos import UserError


def taken_for_whom(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each thing that photos show, with how many of them are taken for each subject.

    Only reported photos count, each judged by its own threshold and by one subject's run at a time: a photo may be
    taken for two subjects. How many there are stands beside each subject, since a run that was cross-validated reports
    more photos than one with a test fold.

    Args:
        predictions: subject -> its run's predictions.

    Returns:
        `shows`, and for each subject `<subject>` and `<subject>_n`; the subjects stand first.

    Raises:
        UserError: the runs were trained on different photos.
    """
    _check_same_photos(predictions)
    columns: dict[str, pd.Series[int]] = {}
    for subject, table in predictions.items():
        rows = reported(table)
        shows = np.where(is_subject(rows), subject, rows["kind"].astype(str))
        by_what = pd.Series(taken_for_subject(rows)).groupby(shows)
        columns[subject] = by_what.sum()
        columns[f"{subject}_n"] = by_what.size()
    counts = pd.DataFrame(columns).fillna(0).astype(int)
    others = sorted(set(counts.index) - set(predictions))
    order = [name for name in [*predictions, *others] if name in counts.index]
    return counts.loc[order].rename_axis("shows").reset_index()


def _check_same_photos(predictions: Mapping[str, pd.DataFrame]) -> None:
    # not by the album's digest: that has the labels in it, and a photo's label differs from subject to subject
    first, *others = predictions
    photos = set(predictions[first]["sha256"])
    for subject in others:
        if set(predictions[subject]["sha256"]) != photos:
            raise UserError(
                f"the runs of {first} and {subject} were trained on different photos, so who is "
                "taken for whom cannot be told; train both on one album: "
                f"python -m ismila.train -m subject={','.join(predictions)}"
            )
