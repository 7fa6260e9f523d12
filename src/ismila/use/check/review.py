"""What in an album looks wrong, and what a person makes of it: listed, shown, corrected, undone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import pandas as pd

from ismila.photos import UserError
from ismila.photos.addresses import place_of
from ismila.photos.album import Album
from ismila.photos.boxes import box_text
from ismila.photos.progress import Progress
from ismila.use.check.suspects import suspects_of
from ismila.use.check.thumbnails import NotListedError, Thumbnails


@dataclass(frozen=True)
class ReviewItem:
    """A photo that a person is asked about: one that looks wrong (`suspects_of`), or one that a scan found.

    Attributes:
        label, kind: what the album says that it shows; empty where it is not in the album.
        closeup: what labels.csv says, None when it says nothing.
        box: what labels.csv says of where the subject is; empty when it says nothing.
        boxes: of the animals found in it, `x0 y0 x1 y1` as labels.csv would say it.
        chosen: the number of the one that is taken for the subject, from 0; None where it is none of them.
        probability: of the subject, as a run says it; None where no run was asked.
    """

    path: str
    label: str
    kind: str
    closeup: bool | None
    box: str
    boxes: list[str]
    chosen: int | None
    sort: str
    score: float
    reason: str
    suggested: str
    probability: float | None = None


@dataclass(frozen=True)
class Listing:
    """What the page shows.

    Attributes:
        root: the name of the folder that the photos lie in.
        kinds: of animals that a photo can be said to show.
        photos: those to ask about first come first.
        threshold: a photo is the subject from this probability on; None: these are the suspects of an album.
    """

    subject: str
    root: str
    kinds: list[str]
    photos: list[ReviewItem]
    threshold: float | None = None


class Reviewed(Protocol):
    """What the page shows and writes: the suspects of an album, or what a scan found."""

    @property
    def thumbnails(self) -> Thumbnails: ...

    def listing(self) -> Listing: ...

    def thumbnail(self, path: str, size_px: int) -> bytes: ...

    def correct(
        self, path: str, label: str | None, closeup: bool | None, box: str | None
    ) -> None: ...

    def undo(self) -> str | None: ...


class Review:
    """The suspects of an album while a person goes through them.

    Args:
        suspects: as `suspects_of` returns them.
        kinds: of animals in the album.
    """

    def __init__(self, album: Album, suspects: pd.DataFrame, kinds: Sequence[str]) -> None:
        self.album = album
        self.suspects = suspects
        self.kinds = list(kinds)
        self.thumbnails = Thumbnails(album.root, album.derived / "thumbnails")
        self._paths = set(suspects["path"])
        self._undo: list[tuple[str, dict[str, str]]] = []
        self._lock = threading.Lock()

    @classmethod
    def of(cls, album: Album, progress: Progress | None = None) -> Review:
        """Bring the index up to date and look for suspects. Raises UserError."""
        index = album.update(progress)
        suspects = suspects_of(album, index, progress)
        kinds = sorted(set(index.loc[index["label"] == "pets", "kind"]) | {"other"})
        return cls(album, suspects, kinds)

    def listing(self) -> Listing:
        """What the page shows."""
        photos = [
            ReviewItem(
                path=row["path"],
                label=row["label"],
                kind=row["kind"],
                closeup=None if pd.isna(row["closeup"]) else bool(row["closeup"]),
                box=row["box"],
                boxes=[box_text(box) for box in row["boxes"]],
                chosen=row["chosen"],
                sort=row["sort"],
                score=float(row["score"]),
                reason=row["reason"],
                suggested=row["suggested"],
            )
            for row in self.suspects.to_dict("records")
        ]
        return Listing(
            self.album.subject, PurePosixPath(place_of(self.album.root)).name, self.kinds, photos
        )

    def thumbnail(self, path: str, size_px: int) -> bytes:
        """A JPEG of a suspect, upright.

        Raises:
            NotListedError: not one of the suspects.
            PhotoError: it cannot be decoded.
        """
        self._require_listed(path)
        return self.thumbnails.jpeg(path, size_px)

    def correct(
        self, path: str, label: str | None, closeup: bool | None, box: str | None = None
    ) -> None:
        """Write a correction to labels.csv; what is None stays as it is.

        Args:
            label: `SUBJECT`, `not_SUBJECT`, `pets/KIND` or `drop`.
            box: `x0 y0 x1 y1`, or `none` for the whole photo.

        Raises:
            NotListedError: not one of the suspects.
            UserError: the label or the box is none, or labels.csv cannot be written.
        """
        self._require_listed(path)
        change = {}
        if label is not None:
            change["label"] = known_label(label, self.album.subject, self.kinds)
        if closeup is not None:
            change["closeup"] = "yes" if closeup else "no"
        if box is not None:
            change["box"] = box
        with self._lock:
            self._undo.append((path, self.album.correct(path, change)))

    def undo(self) -> str | None:
        """Put the last correction back; the photo's path, None when there is nothing to undo."""
        with self._lock:
            if not self._undo:
                return None
            path, before = self._undo[-1]
            self.album.correct(path, before)
            self._undo.pop()
            return path

    def _require_listed(self, path: str) -> None:
        if path not in self._paths:
            raise NotListedError(path)


def known_label(label: str, subject: str, kinds: Sequence[str]) -> str:
    """The label, if the page may give it. Raises UserError."""
    labels = [subject, f"not_{subject}", *(f"pets/{kind}" for kind in kinds)]
    if label not in (*labels, "drop"):
        raise UserError(f"label={label}: expected {', '.join(labels)} or drop")
    return label
