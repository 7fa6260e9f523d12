"""Photos x backbone -> cached rows.

A frozen backbone runs once over each photo and view. The cache is keyed by content: photo sha256, view, image
specification and backbone. The small images that the CNN trains on are kept by the same store.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ismila.learning.given import cut_name, view_matching_box
from ismila.photos.boxes import read_box
from ismila.photos.images import FAR_VIEW, ImageSpec, PhotoError, Pixels, open_photo, view_of
from ismila.photos.progress import Progress
from ismila.vision.encoders import BATCH, StoredEncoder
from ismila.vision.graphs import Bools, Ints
from ismila.vision.reading import SOME, content_of, decode_ahead
from ismila.vision.views import Viewer, Views

SHARD_ROWS = 512
"""Rows a shard file holds at most; what a killed run loses at most."""
MOST_VIEWS = FAR_VIEW + 1
"""Views of an image that the store can tell apart."""

Key = tuple[str, int]
Photo = tuple[str, Path]
"""What a photo is called (its sha256 wherever rows are kept) and its file."""


class Store:
    """Rows by (sha256, view) in append-only shard files, each written aside and renamed, read memory-mapped."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.folder = folder
        self.record = np.dtype([("sha256", "S64"), ("view", "<i4"), ("row", dtype, shape)])
        self._shards: list[npt.NDArray[Any]] = []
        self._where: dict[Key, tuple[int, int]] = {}
        if folder.is_dir():
            for path in sorted(folder.glob("*.npy")):
                self._open(path)

    def _open(self, path: Path) -> None:
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            return  # not ours or damaged from outside: its rows are computed again
        if shard.dtype != self.record or shard.ndim != 1:
            return
        self._shards.append(shard)
        number = len(self._shards) - 1
        for at, (sha, view) in enumerate(zip(shard["sha256"], shard["view"], strict=True)):
            self._where[(sha.decode(), int(view))] = (number, at)

    def __contains__(self, key: Key) -> bool:
        return key in self._where

    def add(self, keys: Sequence[Key], rows: Sequence[npt.NDArray[Any]]) -> None:
        """Write one shard."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shard = np.empty(len(keys), self.record)
        for at, ((sha, view), row) in enumerate(zip(keys, rows, strict=True)):
            shard[at] = (sha.encode(), view, row)
        name = hashlib.sha256("".join(f"{sha}{view}" for sha, view in keys).encode())
        path = self.folder / f"{name.hexdigest()[:24]}.npy"
        aside = self.folder / f".{path.stem}.{os.getpid()}.part"
        try:
            with aside.open("wb") as file:
                np.save(file, shard, allow_pickle=False)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        self._open(path)

    def rows(self, keys: Sequence[Key]) -> npt.NDArray[Any]:
        """`[len(keys), *shape]`, copied from the mapped shards. Raises KeyError for a key that is not there."""
        out = np.empty((len(keys), *self.record["row"].shape), self.record["row"].base)
        for at, key in enumerate(keys):
            number, row = self._where[key]
            out[at] = self._shards[number]["row"][row]
        return out


@dataclass(frozen=True)
class ViewKeys:
    """The images of some photos that have rows, those of one photo beside one another, `[M]` each.

    Attributes:
        keys: name and number of each in the store.
        photo: which photo it is of.
        asked: what is said of the photo rests on it; False for what a person's box alone cut out: who asks about a
            photo has none.
        labelled: it may show what the photo's label says; False where a person said that another one does.
    """

    keys: list[Key]
    photo: Ints
    asked: Bools
    labelled: Bools

    def __getitem__(self, at: Ints) -> ViewKeys:
        keys = [self.keys[number] for number in at]
        return ViewKeys(keys, self.photo[at], self.asked[at], self.labelled[at])


class Features:
    """What one encoder makes of an album's photos, cached below its derived folder.

    Attributes:
        store: the rows that are there.

    Args:
        derived: the album's derived folder.
        viewer: how photos become images.
        given: sha256 -> the box that labels.csv gives for the subject (`given.annotated_boxes`). Where no animal was
            found in that place, it is cut out, too.
    """

    def __init__(
        self,
        derived: Path,
        viewer: Viewer,
        encoder: StoredEncoder,
        given: Mapping[str, str] | None = None,
    ) -> None:
        self.viewer = viewer
        self.encoder = encoder
        # a photo that is asked about as a whole trains as a whole
        self._given = given if given and viewer.detector else {}
        self._derived = derived
        self._reopen()

    def _reopen(self) -> None:
        name = hashlib.sha256(self.made_by.encode()).hexdigest()[:16]
        folder = self._derived / "features" / name
        self.store = Store(folder, self.encoder.shape, self.encoder.dtype)
        detector = self.viewer.detector
        # here, since a server that answers for an exported file has no pandas
        from ismila.learning.animal_table import AnimalTable

        self.animals = AnimalTable(self._derived, detector) if detector else None

    @property
    def made_by(self) -> str:
        """Names what makes the rows."""
        return f"{self.viewer.digest} {self.encoder.digest}"

    @property
    def recipe(self) -> str:
        """The same, whatever decodes the photos: what the package ships of a backbone is named so."""
        return f"{self.viewer.recipe} {self.encoder.digest}"

    @property
    def spec(self) -> ImageSpec:
        """How a view becomes an image."""
        return self.viewer.spec

    def fill(
        self,
        photos: Sequence[Photo],
        views: int = 1,
        progress: Progress | None = None,
        low_resolution: Container[str] = frozenset(),
    ) -> dict[str, str]:
        """Compute the rows that the store lacks; decoding and detecting (in threads) overlap the encoder.

        Processes of one distributed training take a share each. A file is decoded only when it still
        has the sha256 that it is asked for under, so that no row can stand under another photo's name.

        Args:
            photos: sha256 and file of each.
            views: how many augmented views of each.
            low_resolution: sha256 of those of whose images low-resolution copies are wanted, too.

        Returns:
            sha256 -> problem of photos that could not be read after all.

        Raises:
            UserError: the derived folder cannot be written.
        """
        if self.is_filled(photos, views, low_resolution):
            return {}
        wanted = {sha: _numbers(views, sha in low_resolution) for sha, _ in photos}
        from ismila.photos.album import locked

        rank, ranks = place_among_ranks()
        if ranks > 1:
            with locked(self._derived, f"features.{rank}"):
                self._reopen()
                self._fill(photos[rank::ranks], wanted, progress)
            for other in range(ranks):  # one that died has let go, and its share is done below
                with locked(self._derived, f"features.{other}"):
                    pass
        with locked(self._derived, "features"):
            self._reopen()  # who held the lock before may have computed the same rows
            return self._fill(photos, wanted, progress)

    def is_filled(
        self, photos: Sequence[Photo], views: int = 1, low_resolution: Container[str] = frozenset()
    ) -> bool:
        """Whether `fill` would find all the rows that it is asked for."""
        return all(self.has(sha, _numbers(views, sha in low_resolution)) for sha, _ in photos)

    def _fill(
        self,
        photos: Sequence[Photo],
        wanted: Mapping[str, Sequence[int]],
        progress: Progress | None,
    ) -> dict[str, str]:
        todo = [one for one in photos if not self.has(one[0], wanted[one[0]])]
        decoded: Iterable[tuple[str, _Read | PhotoError]] = decode_ahead(todo, self._read)
        if progress and len(todo) > SOME:
            decoded = progress(decoded, len(todo), "Reading photos through the backbone")
        problems: dict[str, str] = {}
        batch = _Batch(self.encoder, self.store)
        for sha, seen in decoded:
            if isinstance(seen, PhotoError):
                problems[sha] = str(seen)
                continue
            if self.animals:
                self.animals.add(sha, seen.views.animals)
            for name, number, image in seen.images(sha):
                for view in wanted[sha]:
                    key = (name, row_number(number, view))
                    if key not in self.store:
                        batch.add(key, view_of(image, sha, view))
        batch.flush()
        if self.animals:
            self.animals.flush()
        return problems

    def has(self, sha: str, views: Sequence[int] = (0,)) -> bool:
        """All rows of the photo are in the store, of each of these views."""
        if not self.images_of(sha):
            return False
        keys = self.images([sha]).keys
        wanted = [(name, row_number(at, view)) for name, at in keys for view in views]
        return all(key in self.store for key in wanted)

    def images_of(self, sha: str) -> int:
        """How many images of the photo there are: its animals, or the whole; 0 when that is not known yet."""
        if not self.animals:
            return 1
        animals = self.animals.get(sha)
        return 0 if animals is None else max(1, len(animals))

    def rows(self, shas: Iterable[str], view: int = 0) -> npt.NDArray[Any]:
        """`[N, *encoder.shape]` of each photo's first image. Raises KeyError for one that `fill` was not asked for."""
        return self.store.rows([(str(sha), view) for sha in shas])

    def all_rows(self, shas: Sequence[str], view: int = 0) -> tuple[npt.NDArray[Any], Ints]:
        """Rows of all images of each photo, `[M, *encoder.shape]`, and which photo each is of, `[M]`."""
        counts = [self.images_of(sha) for sha in shas]
        keys = [
            (sha, row_number(number, view))
            for sha, n in zip(shas, counts, strict=True)
            for number in range(n)
        ]
        return self.store.rows(keys), np.repeat(np.arange(len(shas)), counts)

    def images(self, shas: Sequence[str]) -> ViewKeys:
        """Which images of photos there are, once `fill` has looked at them; also those that a person's box cut out."""
        keys: list[Key] = []
        photo: list[int] = []
        labelled: list[bool] = []
        asked: list[bool] = []
        for at, sha in enumerate(shas):
            n = self.images_of(sha)
            meant = self._matching_view(sha)
            keys += [(sha, number) for number in range(n)]
            labelled += [sha not in self._given or number == meant for number in range(n)]
            asked += [True] * n
            if sha in self._given and meant is None:
                keys.append((cut_name(sha, self._given[sha]), 0))
                labelled.append(True)
                asked.append(False)
            photo += [at] * (len(keys) - len(photo))
        return ViewKeys(keys, np.array(photo, np.int64), np.array(asked), np.array(labelled))

    def rows_of(self, images: ViewKeys, view: int = 0) -> npt.NDArray[Any]:
        """`[M, *encoder.shape]` of images as `images` names them."""
        return self.store.rows([(name, row_number(at, view)) for name, at in images.keys])

    def _matching_view(self, sha: str) -> int | None:
        seen = self.animals.get(sha) if self.animals else None
        return view_matching_box(self._given[sha], seen or ()) if sha in self._given else None

    def _read(self, sha: str, path: Path) -> _Read:
        photo = open_photo(content_of(sha, path), self.viewer.decoded_px)
        views = self.viewer.views(photo, self.animals.get(sha) if self.animals else None)
        text = self._given.get(sha, "")
        if not text or view_matching_box(text, views.animals) is not None:
            return _Read(views)
        return _Read(views, cut_name(sha, text), self.viewer.cut(photo, read_box(text)))


@dataclass(frozen=True)
class _Read:
    """What a photo gives: its views, and what a person's box cut out of it where that is none of them."""

    views: Views
    cut_name: str = ""
    cut: Pixels | None = None

    def images(self, sha: str) -> Iterator[tuple[str, int, Pixels]]:
        """Name, number and pixels of each."""
        for number, image in enumerate(self.views.images):
            yield sha, number, image
        if self.cut is not None:
            yield self.cut_name, 0, self.cut


def place_among_ranks() -> tuple[int, int]:
    """Which process of a distributed training this is, and of how many; 0 of 1 outside of one."""
    if "LOCAL_RANK" not in os.environ:
        return 0, 1
    rank = os.environ.get("RANK", os.environ["LOCAL_RANK"])
    return int(rank), int(os.environ.get("WORLD_SIZE", "1"))


def _numbers(views: int, low_resolution: bool) -> list[int]:
    """What the wanted views of an image are called."""
    return [*range(views), *([FAR_VIEW] if low_resolution else [])]


def row_number(image: int, view: int) -> int:
    """What an augmented view of a photo's image is called in the store."""
    return image * MOST_VIEWS + view


class _Batch:
    """Images that wait for the encoder, and rows that wait for a shard."""

    def __init__(self, encoder: StoredEncoder, store: Store) -> None:
        self.encoder = encoder
        self.store = store
        self.waiting: list[tuple[Key, Pixels]] = []
        self.keys: list[Key] = []
        self.rows: list[npt.NDArray[Any]] = []

    def add(self, key: Key, image: Pixels) -> None:
        self.waiting.append((key, image))
        if len(self.waiting) == BATCH:
            self._encode()
        if len(self.keys) >= SHARD_ROWS:
            self._write()

    def flush(self) -> None:
        if self.waiting:
            self._encode()
        if self.keys:
            self._write()

    def _encode(self) -> None:
        self.rows.extend(self.encoder(np.stack([image for _, image in self.waiting])))
        self.keys.extend(key for key, _ in self.waiting)
        self.waiting.clear()

    def _write(self) -> None:
        self.store.add(self.keys, self.rows)
        self.keys.clear()
        self.rows.clear()
