"""Photos x backbone -> cached rows.

A frozen backbone runs once over each photo and view. The cache is keyed by content: photo sha256, view, image
specification and backbone. The small images that the CNN trains on are kept by the same store.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ismila.learning.architecture import bundled_digest
from ismila.learning.weights import BUNDLED
from ismila.photos.images import (
    ImageSpec,
    PhotoError,
    Pixels,
    normalise,
    pixels_digest,
    read_image,
    view_of,
)

SHARD_ROWS = 512
"""Rows a shard file holds at most; what a killed run loses at most."""
BATCH = 16
SOME = 100
"""From so many photos on a bar is shown."""

Key = tuple[str, int]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Photo = tuple[str, Path]
"""What a photo is called (its sha256 wherever rows are kept) and its file."""
Decoded = tuple[str, Pixels | PhotoError]
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


class Encoder(Protocol):
    """Turns images into rows; `digest` names the weights that do it."""

    digest: str
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __call__(self, images: Pixels, /) -> npt.NDArray[Any]: ...


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


class Features:
    """What one encoder makes of an album's photos, cached below its derived folder.

    Attributes:
        store: the rows that are there.

    Args:
        derived: the album's derived folder.
        spec: how photos become images.
    """

    def __init__(self, derived: Path, spec: ImageSpec, encoder: Encoder) -> None:
        self.spec = spec
        self.encoder = encoder
        name = hashlib.sha256(f"{pixels_digest(spec)} {encoder.digest}".encode()).hexdigest()[:16]
        self.store = Store(derived / "features" / name, encoder.shape, encoder.dtype)

    def fill(
        self, photos: Sequence[Photo], views: int = 1, progress: Progress | None = None
    ) -> dict[str, str]:
        """Compute the rows that the store lacks; decoding (in threads) overlaps the encoder.

        A file is decoded only when it still has the sha256 that it is asked for under, so that no row can stand under
        another photo's name.

        Args:
            photos: sha256 and file of each.
            views: how many views of each.

        Returns:
            sha256 -> problem of photos that could not be read after all.
        """
        todo = [one for one in photos if any((one[0], v) not in self.store for v in range(views))]
        decoded: Iterable[Decoded] = decode_ahead(todo, self.spec, read_checked)
        if progress and len(todo) > SOME:
            decoded = progress(decoded, len(todo), "Reading photos through the backbone")
        problems: dict[str, str] = {}
        batch = _Batch(self.encoder, self.store)
        for sha, image in decoded:
            if isinstance(image, PhotoError):
                problems[sha] = str(image)
                continue
            for view in range(views):
                if (sha, view) not in self.store:
                    batch.add((sha, view), view_of(image, sha, view))
        batch.flush()
        return problems

    def rows(self, shas: Iterable[str], view: int = 0) -> npt.NDArray[Any]:
        """`[N, *encoder.shape]` of one view. Raises KeyError for a photo that `fill` was not asked for."""
        return self.store.rows([(str(sha), view) for sha in shas])


class _Batch:
    """Images that wait for the encoder, and rows that wait for a shard."""

    def __init__(self, encoder: Encoder, store: Store) -> None:
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


def read_checked(sha256: str, path: Path, spec: ImageSpec) -> Pixels:
    """`read_image`, if the file's content still has this sha256. Raises PhotoError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise PhotoError("file not found") from error
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PhotoError("has changed while the album was read; the next run sees it as it is")
    return read_image(content, spec)


def read_named(_: str, path: Path, spec: ImageSpec) -> Pixels:
    """`read_image`, whatever the photo is called. Raises PhotoError."""
    return read_image(path, spec)


def decode_ahead(
    photos: Iterable[Photo],
    spec: ImageSpec,
    read: Callable[[str, Path, ImageSpec], Pixels] = read_named,
) -> Iterator[Decoded]:
    """Decode in threads (Pillow releases the GIL), in order, at most four batches ahead."""

    def decoded(name: str, path: Path) -> Pixels | PhotoError:
        try:
            return read(name, path, spec)
        except PhotoError as error:
            return error

    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        pending: deque[tuple[str, Future[Pixels | PhotoError]]] = deque()
        for name, path in photos:
            pending.append((name, pool.submit(decoded, name, path)))
            if len(pending) >= 4 * BATCH:
                first_name, first = pending.popleft()
                yield first_name, first.result()
        while pending:
            name, future = pending.popleft()
            yield name, future.result()
    finally:
        pool.shutdown(
            cancel_futures=True
        )  # stopped half-way: what still waits is not decoded first


class Identity:
    """Keeps the images themselves: what a backbone that is trained reads every epoch."""

    digest = "images"
    dtype = "|u1"

    def __init__(self, spec: ImageSpec) -> None:
        self.shape = (spec.size_px, spec.size_px, 3)

    def __call__(self, images: Pixels) -> Pixels:
        return images


class OnnxBackbone:
    """A bundled backbone in onnxruntime: on a CPU several times as fast as torch, and it imports no torch.

    The graph lies beside the weights and reads the same safetensors files as torch does.
    """

    dtype = "<f4"

    def __init__(self, spec: ImageSpec, graph: Path = BUNDLED, threads: int = 0) -> None:
        self.spec = spec
        self.digest = bundled_digest(graph)
        self._session = graph_session(graph.with_suffix(".onnx"), threads)
        self.shape = (int(self._session.get_outputs()[0].shape[1]),)

    def __call__(self, images: Pixels) -> Floats:
        """`[N, H, W, 3]` uint8 -> `[N, D]`."""
        features: Floats = self._session.run(
            ["features"], {"images": normalise(images, self.spec)}
        )[0]
        return features

    def grid(self, images: Pixels) -> Floats:
        """`[N, H, W, 3]` uint8 -> `[N, D, H/32, W/32]`, whose mean over the last two axes are the features."""
        grid: Floats = self._session.run(["grid"], {"images": normalise(images, self.spec)})[0]
        return grid


_session_lock = threading.Lock()


@lru_cache
def graph_session(graph: Path, threads: int) -> Any:
    """A graph in onnxruntime, opened once; 0 threads are as many as there are cores."""
    from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession
    from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # waiting threads leave their core to those that decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with _session_lock:
        return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
