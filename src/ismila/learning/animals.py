"""Photos -> the animals in them: where, how large, how sure.

A bundled detector (NanoDet, trained on COCO) looks at each photo once; what it saw is kept in
`animals.parquet` of the album's derived folder. It tells that and where an animal is; of what kind
is a hint only: a dog is often its "cat" or "bear".

docs/animals.md says how often it is right, and how fast it is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from filelock import FileLock

from ismila.learning.features import (
    BATCH,
    SOME,
    Bools,
    Decoded,
    Floats,
    Ints,
    Photo,
    Progress,
    decode_ahead,
    graph_session,
    read_checked,
)
from ismila.learning.weights import NANODET
from ismila.photos import UserError
from ismila.photos.images import (
    ImageSpec,
    PhotoError,
    Pixels,
    clear_aside,
    pixels_digest,
    write_aside,
)

KINDS = (
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
)
"""COCO's animals, in the order of the graph's scores."""
SIZE_PX = 416
"""What the network was trained on; docs/animals.md compares smaller ones."""
MULTIPLE_PX = 32
"""The graph's coarsest cells are so large."""
MIN_SCORE = 0.25
MOST = 8
"""Animals of a photo at most: the best."""
SAME_IOU = 0.5
"""Boxes that share more of their union are one animal."""
PART = 0.8
"""A box that lies in another one by so much of its area is a part of that animal."""
CANDIDATES = 200
"""Boxes of a photo that are compared with one another at most: the best."""
CHUNK = 4
"""Images that the graph sees at a time."""
KEPT_EVERY = 512
"""Photos after which the table is written; what a killed run loses at most."""
TABLE = "animals.parquet"
COLUMNS = ("sha256", "detector", "n", "x0", "y0", "x1", "y1", "kind", "score")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Animal:
    """An animal that was seen in a photo.

    Attributes:
        box: x0, y0, x1, y1 in [0, 1], of the upright photo.
        kind: COCO's name of it, one of `KINDS`; a hint only.
        score: in [`MIN_SCORE`, 1].
    """

    box: Box
    kind: str
    score: float

    @property
    def share(self) -> float:
        """Of the picture's area, in [0, 1]."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


class Spotter(Protocol):
    """Finds animals in images; `digest` names whatever decides what it finds."""

    digest: str
    spec: ImageSpec

    def __call__(self, images: Pixels, /) -> list[list[Animal]]: ...


class Detector:
    """The bundled detector.

    Attributes:
        digest: 16 hex digits that name the graph, its input and the limits of what is an animal.
        spec: how photos become its images.

    Args:
        size_px: side of its square images, a multiple of 32.
        threads: that compute; 0: as many as there are cores.

    Raises:
        ValueError: no such size.
    """

    def __init__(self, size_px: int = SIZE_PX, threads: int = 0) -> None:
        if size_px <= 0 or size_px % MULTIPLE_PX:
            raise ValueError(f"size_px={size_px}: expected a multiple of {MULTIPLE_PX}")
        self.spec = ImageSpec(size_px, "squash")
        limits = f"{MIN_SCORE} {MOST} {SAME_IOU} {PART} {CANDIDATES}"
        text = f"{_graph_digest()} {pixels_digest(self.spec)} {limits}"
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._session = graph_session(NANODET, threads)

    def __call__(self, images: Pixels) -> list[list[Animal]]:
        """`[N, S, S, 3]` uint8, whole photos squashed -> animals of each, best first."""
        found: list[list[Animal]] = []
        for at in range(0, len(images), CHUNK):
            chunk = images[at : at + CHUNK].transpose(0, 3, 1, 2)
            inputs = {"images": np.ascontiguousarray(chunk, np.float32)}
            boxes, scores = self._session.run(["boxes", "scores"], inputs)
            found += [_animals(*one) for one in zip(boxes, scores, strict=True)]
        return found


@lru_cache
def _graph_digest() -> str:
    return hashlib.sha256(NANODET.read_bytes()).hexdigest()


def _animals(boxes: Floats, scores: Floats) -> list[Animal]:
    """Of one image: `[cells, 4]` and `[cells, 10]` -> animals, best first."""
    best = scores.max(1)
    sure = np.flatnonzero(best >= MIN_SCORE)
    inside = boxes[sure].clip(0, 1)
    return [
        Animal(
            box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            kind=KINDS[int(scores[cell].argmax())],
            score=float(best[cell]),
        )
        for cell, box in ((sure[at], inside[at]) for at in distinct(inside, best[sure]))
    ]


def distinct(boxes: Floats, scores: Floats) -> Ints:
    """Non-maximum suppression, whatever the kind: of each animal its best box.

    Args:
        boxes: `[N, 4]`.
        scores: `[N]`.

    Returns:
        Rows that are kept, best first; boxes without area are not.
    """
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    order = np.argsort(np.where(has_area, -scores, np.inf), kind="stable")
    order = order[: min(int(has_area.sum()), CANDIDATES)]
    same = _same_animal(boxes[order])
    left = np.ones(len(order), np.bool_)
    kept: list[np.int64] = []
    for at, row in enumerate(order):
        if left[at] and len(kept) < MOST:
            kept.append(row)
            left &= ~same[at]
    return np.array(kept, np.int64)


def _same_animal(boxes: Floats) -> Bools:
    """`[N, N]`: do two boxes show the same animal, or one a part of the other's?"""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    union = areas[:, None] + areas - shared
    part = shared / np.minimum(areas[:, None], areas)
    same: Bools = (shared / union > SAME_IOU) | (part > PART)
    return same


def animals_of(
    photos: Sequence[Photo],
    derived: Path,
    detector: Spotter,
    progress: Progress | None = None,
) -> dict[str, list[Animal]]:
    """The animals in each photo, best first, by sha256; photos that cannot be read are left out.

    A photo is looked at once by each detector; what it saw is kept in the derived folder.

    Args:
        derived: the album's derived folder.

    Raises:
        UserError: the derived folder cannot be written.
    """
    store = Animals(derived, detector)
    if any(sha not in store for sha, _ in photos):
        with _locked(derived):
            store.fill(photos, progress)
    return {sha: store[sha] for sha, _ in photos if sha in store}


class Animals:
    """What a detector saw in an album's photos, by sha256.

    Args:
        derived: the album's derived folder.
        detector: whose rows are read, and who looks at photos that have none.
    """

    def __init__(self, derived: Path, detector: Spotter) -> None:
        self.path = derived / TABLE
        self.detector = detector
        self._seen: dict[str, list[Animal]] = {}
        self._read()

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._seen

    def __getitem__(self, sha256: str) -> list[Animal]:
        return list(self._seen[sha256])

    def fill(self, photos: Sequence[Photo], progress: Progress | None = None) -> None:
        """Look at the photos that the table lacks; the caller holds the lock.

        A file is looked at only when it still has the sha256 that it is asked for under.
        """
        self._read()  # who held the lock before may have looked at the same photos
        todo = [(sha, path) for sha, path in dict(photos).items() if sha not in self]
        decoded: Iterable[Decoded] = decode_ahead(todo, self.detector.spec, read_checked)
        if progress and len(todo) > SOME:
            decoded = progress(decoded, len(todo), "Looking for animals")
        unwritten = 0
        for batch in _readable(decoded):
            found = self.detector(np.stack([image for _, image in batch]))
            self._seen |= zip([sha for sha, _ in batch], found, strict=True)
            unwritten += len(batch)
            if unwritten >= KEPT_EVERY:
                self._write()
                unwritten = 0
        if unwritten:
            self._write()

    def _read(self) -> None:
        table = _read_table(self.path)
        self._others = table[table["detector"] != self.detector.digest]
        self._seen |= _animals_in(table[table["detector"] == self.detector.digest])

    def _write(self) -> None:
        ours = _as_table(self._seen, self.detector.digest)
        whole = pd.concat([self._others, ours]) if len(self._others) else ours
        buffer = io.BytesIO()
        whole.to_parquet(buffer, index=False)
        clear_aside(self.path)
        write_aside(self.path, buffer.getvalue())


def _readable(decoded: Iterable[Decoded]) -> Iterator[list[tuple[str, Pixels]]]:
    """Some photos at a time, without those that cannot be read."""
    waiting = iter(decoded)
    while some := list(islice(waiting, BATCH)):
        batch = [(sha, image) for sha, image in some if not isinstance(image, PhotoError)]
        if batch:
            yield batch


def _read_table(path: Path) -> pd.DataFrame:
    """The table; an empty one where there is none, or it is damaged and will be made again."""
    try:
        return pd.read_parquet(path, columns=list(COLUMNS))
    except Exception:  # whatever pyarrow raises on a damaged file
        return pd.DataFrame(columns=list(COLUMNS))


def _animals_in(table: pd.DataFrame) -> dict[str, list[Animal]]:
    """One detector's rows, as animals by sha256."""
    seen: dict[str, list[Animal]] = {}
    for sha, _, n, x0, y0, x1, y1, kind, score in table.itertuples(index=False, name=None):
        animals = seen.setdefault(sha, [])
        if n:
            animals.append(Animal((x0, y0, x1, y1), kind, score))
    return seen


def _as_table(seen: Mapping[str, list[Animal]], digest: str) -> pd.DataFrame:
    """A row for each animal; a photo without any has one with n = 0: it is not asked again."""
    rows: list[tuple[object, ...]] = []
    for sha, animals in seen.items():
        for animal in animals:
            rows.append((sha, digest, len(animals), *animal.box, animal.kind, animal.score))
        if not animals:
            rows.append((sha, digest, 0, *[np.nan] * 4, "", np.nan))
    return pd.DataFrame(rows, columns=list(COLUMNS))


@contextmanager
def _locked(derived: Path) -> Iterator[None]:
    """Hold `<derived>/animals.lock`, which the system takes from a holder that dies."""
    try:
        derived.mkdir(parents=True, exist_ok=True)
        with FileLock(derived / "animals.lock"):
            yield
    except OSError as error:
        raise UserError(
            f"{derived}: {error.strerror or error}; "
            "give data.cache=DIR, a folder that may be written and has room"
        ) from error
