"""What a detector saw in an album's photos, kept: `animals.parquet`, a row an animal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ismila.photos.album import locked
from ismila.photos.files import clear_aside, write_aside
from ismila.photos.tables import read_table
from ismila.vision.animals import Animal, Spotter

KEPT_EVERY = 512
KEPT_SHARE = 1 / 32
"""After so many photos, or this share of those that are known, the table is written anew; what a killed run loses at
most. A share, so that what is written grows with the photos and not with their square."""
TABLE = "animals.parquet"
COLUMNS = ("sha256", "detector", "n", "x0", "y0", "x1", "y1", "kind", "score")


class AnimalTable:
    """What a detector saw in an album's photos, by sha256: `animals.parquet`.

    Args:
        derived: the album's derived folder.
        detector: whose rows are read and written; those of others stay.
    """

    def __init__(self, derived: Path, detector: Spotter) -> None:
        self.path = derived / TABLE
        self.detector = detector
        self._seen = _animals_in(_read_table(self.path), detector.digest)
        self._added: dict[str, Sequence[Animal]] = {}

    def get(self, sha256: str) -> tuple[Animal, ...] | None:
        """The animals in a photo, the surest first; None where nobody has looked yet."""
        seen = self._seen.get(sha256)
        return None if seen is None else tuple(seen)

    def add(self, sha256: str, animals: Sequence[Animal]) -> None:
        """What was seen in a photo; written with some others."""
        if sha256 in self._seen:
            return
        self._seen[sha256] = list(animals)
        self._added[sha256] = animals
        if len(self._added) >= max(KEPT_EVERY, KEPT_SHARE * len(self._seen)):
            self.flush()

    def flush(self) -> None:
        """Write what was added.

        Raises:
            UserError: the derived folder cannot be written.
        """
        if not self._added:
            return
        with locked(self.path.parent, "animals"):
            table = _read_table(self.path)  # others write it, too
            ours = table["detector"] == self.detector.digest
            table = table[~(ours & table["sha256"].isin(list(self._added)))]
            new = _as_table(self._added, self.detector.digest)
            buffer = io.BytesIO()
            (pd.concat([table, new]) if len(table) else new).to_parquet(buffer, index=False)
            clear_aside(self.path)
            write_aside(self.path, buffer.getvalue())
        self._added.clear()


def _read_table(path: Path) -> pd.DataFrame:
    """The table; an empty one where there is none, or it is damaged and will be made again."""
    table = read_table(path, COLUMNS)
    return pd.DataFrame(columns=list(COLUMNS)) if table is None else table


def _animals_in(table: pd.DataFrame, detector: str) -> dict[str, list[Animal]]:
    """The rows of a detector's digest, as animals by sha256."""
    ours = table[table["detector"] == detector]
    seen: dict[str, list[Animal]] = {}
    for sha, _, n, x0, y0, x1, y1, kind, score in ours.itertuples(index=False, name=None):
        animals = seen.setdefault(sha, [])
        if n:
            animals.append(Animal((x0, y0, x1, y1), kind, score))
    return seen


def _as_table(seen: Mapping[str, Sequence[Animal]], digest: str) -> pd.DataFrame:
    """A row for each animal; a photo without any has one with n = 0: it is not asked again."""
    rows: list[tuple[object, ...]] = []
    for sha, animals in seen.items():
        for animal in animals:
            rows.append((sha, digest, len(animals), *animal.box, animal.kind, animal.score))
        if not animals:
            rows.append((sha, digest, 0, *[np.nan] * 4, "", np.nan))
    return pd.DataFrame(rows, columns=list(COLUMNS))
