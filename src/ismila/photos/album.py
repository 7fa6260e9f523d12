"""The one object that knows where things lie: an album's photos, its corrections and what is derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ismila.photos.index import Progress, index_album, read_index
from ismila.photos.labels import correct, derived_folder


@dataclass(frozen=True)
class Album:
    """Photos below one folder, seen from one subject.

    Attributes:
        root: the folder that holds the photos; nothing in it is changed but `labels.csv`.
        subject: whose photos are asked for.
        derived: where everything lies that can be made again.
    """

    root: Path
    subject: str
    derived: Path

    @classmethod
    def open(cls, root: Path, subject: str, cache: Path | None = None) -> Album:
        """The album at `root`, with its derived files in `cache` or where the disk allows them.

        Raises:
            UserError: `cache` cannot be made.
        """
        return cls(root, subject, derived_folder(root, cache))

    def update(self, progress: Progress | None = None) -> pd.DataFrame:
        """Bring the index up to date and return it, a row a photo, under the album's lock."""
        return index_album(self.root, self.subject, self.derived, progress)

    def read(self) -> pd.DataFrame:
        """The index as it was last written; empty when there is none."""
        return read_index(self.derived)

    def photos(self, rows: pd.DataFrame) -> list[tuple[str, Path]]:
        """(sha256, file) of each row."""
        return [(str(row.sha256), self.root / str(row.path)) for row in rows.itertuples()]

    def correct(self, path: str, change: Mapping[str, str]) -> dict[str, str]:
        """Change one photo's line of `labels.csv`; returns the line as it was before."""
        return correct(self.root, self.subject, path, change)
