"""`<root>/added.parquet`: which photo came from which source, and why it was said to show whom."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ismila.photos.files import write_aside
from ismila.photos.tables import read_table

TABLE = "added.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class AddedRecord:
    """A line: what a source says of a photo, where it went and why; `flickr.parquet` says the same of Flickr's.

    Attributes:
        source, where: the source's kind, and which one; texts, whatever bytes its name has.
        id: what the source calls the photo.
        label: the folder that it came to.
        path: below the album's root, when it came; a person may have put it elsewhere.
    """

    source: str
    where: str
    id: str
    name: str
    label: str
    why: str
    path: str
    sha256: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells a source's photo from every other."""
        return self.source, self.where, self.id


COLUMNS = list(AddedRecord.__dataclass_fields__)


def read_records(root: Path) -> dict[tuple[str, str, str], AddedRecord]:
    """What is written down, by `AddedRecord.key`; nothing where it is missing or cannot be read."""
    table = read_table(root / TABLE, COLUMNS)
    if table is None:  # adding makes it again
        return {}
    rows = table.astype(str).to_dict("records")
    records = (AddedRecord(**{name: str(row[name]) for name in COLUMNS}) for row in rows)
    return {record.key: record for record in records}


def write_records(root: Path, records: Collection[AddedRecord]) -> None:
    """Write the whole table, or nothing. Raises OSError."""
    columns = {name: [getattr(each, name) for each in records] for name in COLUMNS}
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer, index=False)
    write_aside(root / TABLE, buffer.getvalue())
