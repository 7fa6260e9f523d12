"""Who is taken for whom: what each subject's run says of the same album's photos."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ismila.evidence.intervals import Rate, rate_of
from ismila.evidence.metrics import groups_of, is_subject, reported, taken_for_subject
from ismila.photos import UserError


def rates_of_subjects(predictions: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Rate]]:
    """For each thing that photos show how many of them are taken for each subject.

    Only reported photos count, each judged by its own threshold and by one subject's run at a time: a photo may be
    taken for two subjects. How many there are stands beside each subject, since a run that was cross-validated reports
    more photos than one with a test fold.

    Args:
        predictions: subject -> its run's predictions.

    Returns:
        For what photos show, by subject; the subjects stand first.

    Raises:
        UserError: the runs were trained on different photos.
    """
    _check_same_photos(predictions)
    by_subject = {subject: _by_what(table, subject) for subject, table in predictions.items()}
    shown = set().union(*by_subject.values())
    order = [*(name for name in predictions if name in shown), *sorted(shown - set(predictions))]
    none = rate_of([])
    return {
        what: {subject: found.get(what, none) for subject, found in by_subject.items()}
        for what in order
    }


def _by_what(table: pd.DataFrame, subject: str) -> dict[str, Rate]:
    """What reported photos show -> how many of them one run takes for its subject."""
    rows = reported(table)
    shows = np.where(is_subject(rows), subject, rows["kind"].astype(str))
    taken = taken_for_subject(rows)
    group = groups_of(rows)
    return {str(what): rate_of(taken[shows == what], group[shows == what]) for what in set(shows)}


def taken_for_whom(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`rates_of_subjects` as a table.

    Returns:
        `shows`, and for each subject `<subject>`, `<subject>_n`, and `_low`, `_high` of its 95 % interval.

    Raises:
        UserError: as `rates_of_subjects`.
    """
    table = []
    for what, found in rates_of_subjects(predictions).items():
        row: dict[str, object] = {"shows": what}
        for subject, rate in found.items():
            row |= {subject: rate.hits, f"{subject}_n": rate.n}
            row |= {f"{subject}_low": rate.low, f"{subject}_high": rate.high}
        table.append(row)
    return pd.DataFrame(table)


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
