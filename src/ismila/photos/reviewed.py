"""What a person said of photos of a library: kept beside the album, as what Flickr says of its photos is."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from ismila.photos import UserError
from ismila.photos.files import clear_aside, write_aside
from ismila.photos.tables import read_table

NAME = "reviewed.parquet"
DROP = "drop"
"""The label of a photo that joins no side and is not asked about again."""


@dataclass(frozen=True)
class ReviewAnswer:
    """A line of `reviewed.parquet`.

    Attributes:
        sha256: of the photo.
        where: the library's folder.
        source: where the photo lies below it.
        label: the folder of the album that it belongs in, or `DROP`.
        box: where in the photo the subject is, as labels.csv has it; empty: nobody says.
        why: what it was asked about for, and what was said.
        run: that had found it.
        path: in the album; empty where it has not joined it.
    """

    sha256: str
    where: str
    source: str
    label: str
    box: str
    why: str
    run: str
    path: str = ""

    @property
    def file(self) -> Path:
        """The photo in the library."""
        return Path(self.where) / self.source


COLUMNS = list(ReviewAnswer.__dataclass_fields__)


def read_answers(root: Path) -> dict[str, ReviewAnswer]:
    """sha256 -> answer, the oldest first.

    Raises:
        UserError: the file is there and cannot be read: answers are a person's work.
    """
    file = root / NAME
    if not file.exists():
        return {}
    table = read_table(file, COLUMNS)
    if table is None:
        raise UserError(
            f"{file}: cannot be read; put back a copy of it, or delete it to be asked again"
        )
    answers = (ReviewAnswer(*map(str, row)) for row in table.itertuples(index=False, name=None))
    return {answer.sha256: answer for answer in answers}


def write_answers(root: Path, answers: Mapping[str, ReviewAnswer]) -> None:
    """Write them all, aside and then renamed. Raises UserError."""
    table = pd.DataFrame([asdict(answer) for answer in answers.values()], columns=COLUMNS)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    file = root / NAME
    try:
        clear_aside(file)
        write_aside(file, buffer.getvalue())
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; answers need an album that may be written"
        ) from error
