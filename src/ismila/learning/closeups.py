"""How much of a picture the subject fills: the area of its box.

docs/closeups.md says how well this agrees with a person, and what else was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ismila.learning.animal_table import AnimalTable
from ismila.learning.given import animal_matching_box
from ismila.photos.album import Album
from ismila.photos.boxes import area, read_box
from ismila.photos.images import ImageSpec, PhotoError, open_photo
from ismila.photos.progress import Progress
from ismila.vision.animals import Animal, bundled_detector
from ismila.vision.reading import SOME, content_of, decode_ahead
from ismila.vision.views import Viewer


def subject_shares(
    album: Album, index: pd.DataFrame, progress: Progress | None = None
) -> tuple[pd.Series[float], dict[str, str]]:
    """`subject_share` in [0, 1] for the subject's photos; NaN for all others, for photos that can't be read, and where
    no animal is seen. And why, by sha256, of those that can't be read.

    A box that labels.csv gives settles which animal it is; `none` there says that none of them is.

    Args:
        index: the usable index.
    """
    rows = index[index["label"] == "subject"]
    table = AnimalTable(album.derived, bundled_detector())
    gone = _look(album, rows, table, progress)
    shares = [
        _share(table.get(str(sha)) or (), box)
        for sha, box in zip(rows["sha256"], rows["box"], strict=True)
    ]
    return pd.Series(shares, index=rows.index, dtype=float).reindex(index.index), gone


def with_shares(album: Album, rows: pd.DataFrame, progress: Progress | None = None) -> pd.DataFrame:
    """The rows with `subject_share`, which is computed and kept where that was not yet.

    A photo that cannot be read any more has no share. It gets a `problem` instead, so that what is kept holds for the
    others alone, and whoever can be read again is looked at again.

    Args:
        rows: the usable index.
    """
    if album.shares(rows) is not None:
        return album.with_shares(rows)
    shares, gone = subject_shares(album, rows, progress)
    marked = rows.assign(problem=rows["sha256"].map(gone).fillna(rows["problem"]))
    return album.keep_shares(marked, shares)


def _look(
    album: Album, rows: pd.DataFrame, table: AnimalTable, progress: Progress | None
) -> dict[str, str]:
    """Find the animals of photos that nobody has looked at; returns sha256 -> problem of those that cannot be read."""
    todo = [photo for photo in album.photos(rows) if table.get(photo[0]) is None]
    seen: Iterable[tuple[str, Sequence[Animal] | PhotoError]] = decode_ahead(todo, _animals_in)
    if progress and len(todo) > SOME:
        seen = progress(seen, len(todo), "Looking for animals")
    problems: dict[str, str] = {}
    for sha, animals in seen:
        if isinstance(animals, PhotoError):
            problems[sha] = str(animals)
        else:
            table.add(sha, animals)
    table.flush()
    return problems


def _animals_in(sha256: str, path: Path) -> Sequence[Animal]:
    viewer = Viewer(ImageSpec(), bundled_detector())
    return viewer.animals(open_photo(content_of(sha256, path), viewer.decoded_px))


def _share(animals: Sequence[Animal], text: str) -> float:
    """Of a photo's subject; `text` is what labels.csv says of its box."""
    if not text:
        return animals[0].share if animals else float("nan")
    box = read_box(text)
    if box is None:
        return float("nan")
    meant = animal_matching_box(box, animals)
    return area(box) if meant is None else animals[meant].share
