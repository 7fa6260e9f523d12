"""What in an album looks wrong, and what a person makes of it: listed, shown, corrected, undone."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ismila.evidence.suspects import suspects_of
from ismila.learning.features import Progress
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.boxes import box_text
from ismila.photos.images import write_aside
from ismila.use.decoder import Decoder

THUMBNAIL_PX = 320
LARGE_PX = 1280
QUALITY = 82


class NotListedError(Exception):
    """A photo that is none of the suspects."""


@dataclass(frozen=True)
class Suspect:
    """A photo that looks wrong; see `suspects_of`.

    Attributes:
        closeup: what labels.csv says, None when it says nothing.
        box: what labels.csv says of where the subject is; empty when it says nothing.
        boxes: of the animals found in a photo of the subject, `x0 y0 x1 y1` as labels.csv would say it.
        chosen: the number of the one that is taken for her, from 0; None where it is none of them.
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


@dataclass(frozen=True)
class Listing:
    """What the page shows.

    Attributes:
        root: the name of the album's folder.
        kinds: of animals that a photo can be said to show.
        photos: the worst first.
    """

    subject: str
    root: str
    kinds: list[str]
    photos: list[Suspect]


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
        self.decoder = Decoder()
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
            Suspect(
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
        return Listing(self.album.subject, self.album.root.name, self.kinds, photos)

    def thumbnail(self, path: str, size_px: int = THUMBNAIL_PX) -> bytes:
        """A JPEG of a suspect, upright, made when it is asked for first and kept beside the index.

        Raises:
            NotListedError: not one of the suspects.
            PhotoError: it cannot be decoded.
        """
        self._require_listed(path)
        photo = self.album.root / path
        kept = self._kept_thumbnail(path, size_px)
        with suppress(OSError):
            return kept.read_bytes()
        content = self.decoder.thumbnail(photo, size_px, QUALITY)
        with suppress(OSError), self._lock:  # a full disk: it is made again next time
            write_aside(kept, content)
        return content

    def _kept_thumbnail(self, path: str, size_px: int) -> Path:
        photo = self.album.root / path
        name = f"{path}\0{photo.stat().st_mtime_ns}" if photo.is_file() else path
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        return self.album.derived / "thumbnails" / f"{digest}-{size_px}.jpg"

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
            change["label"] = self._known_label(label)
        if closeup is not None:
            change["closeup"] = "yes" if closeup else "no"
        if box is not None:
            change["box"] = box
        with self._lock:
            self._undo.append((path, self.album.correct(path, change)))

    def _known_label(self, label: str) -> str:
        subject = self.album.subject
        labels = [subject, f"not_{subject}", *(f"pets/{kind}" for kind in self.kinds)]
        if label not in (*labels, "drop"):
            raise UserError(f"label={label}: expected {', '.join(labels)} or drop")
        return label

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
