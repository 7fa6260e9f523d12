"""Photos x backbone -> cached rows.

A frozen backbone runs once over each photo and view. The cache is keyed by content: photo sha256, view, image
specification and backbone. The small images that the CNN trains on are kept by the same store.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ismila.learning.weights import BOTH, BUNDLED, LITE0
from ismila.photos.images import ImageSpec, PhotoError, Pixels, normalise, read_image, view_of

if TYPE_CHECKING:
    import pandas as pd

SHARD_ROWS = 512
"""Rows a shard file holds at most; what a killed run loses at most."""
BATCH = 16

Key = tuple[str, int]
Floats = npt.NDArray[np.float32]
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
        folder.mkdir(parents=True, exist_ok=True)
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
        shard = np.empty(len(keys), self.record)
        for at, ((sha, view), row) in enumerate(zip(keys, rows, strict=True)):
            shard[at] = (sha.encode(), view, row)
        name = hashlib.sha256("".join(f"{sha}{view}" for sha, view in keys).encode()).hexdigest()[
            :24
        ]
        aside = self.folder / f".{name}.{os.getpid()}.part"
        try:
            with aside.open("wb") as file:
                np.save(file, shard, allow_pickle=False)
            aside.replace(self.folder / f"{name}.npy")
        finally:
            aside.unlink(missing_ok=True)
        self._open(self.folder / f"{name}.npy")

    def rows(self, keys: Sequence[Key]) -> npt.NDArray[Any]:
        """`[len(keys), *shape]`, copied from the mapped shards. Raises KeyError for a key that is not there."""
        shape, dtype = self.record["row"].shape, self.record["row"].base
        out = np.empty((len(keys), *shape), dtype)
        for at, key in enumerate(keys):
            number, row = self._where[key]
            out[at] = self._shards[number]["row"][row]
        return out


def open_store(derived: Path, spec: ImageSpec, encoder: Encoder) -> Store:
    """The store of one image specification and encoder."""
    text = json.dumps([spec.as_dict(), encoder.digest], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Store(derived / "features" / name, encoder.shape, encoder.dtype)


def photos_of(rows: pd.DataFrame, root: Path) -> list[tuple[str, Path]]:
    """(sha256, path) of each row, as `encode_missing` wants them."""
    return [(str(row.sha256), root / str(row.path)) for row in rows.itertuples()]


def encode_missing(
    photos: Sequence[tuple[str, Path]],
    views: int,
    spec: ImageSpec,
    encoder: Encoder,
    store: Store,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Compute the rows that the store lacks; decoding (in threads) overlaps the encoder.

    Args:
        photos: (sha256, path) of each photo.
        views: how many views of each.

    Returns:
        sha256 -> problem of photos that could not be read after all.
    """
    todo = [(sha, path) for sha, path in photos if any((sha, v) not in store for v in range(views))]
    problems: dict[str, str] = {}
    keys: list[Key] = []
    rows: list[npt.NDArray[Any]] = []
    waiting: list[tuple[Key, Pixels]] = []

    def run_batch() -> None:
        rows.extend(encoder(np.stack([image for _, image in waiting])))
        keys.extend(key for key, _ in waiting)
        waiting.clear()
        if len(keys) >= SHARD_ROWS:
            store.add(keys, rows)
            keys.clear()
            rows.clear()

    decoded: Iterable[tuple[str, Pixels | PhotoError]] = decode_ahead(todo, spec)
    if progress and len(todo) > 100:
        decoded = progress(decoded, len(todo), "Reading photos through the backbone")
    for sha, image in decoded:
        if isinstance(image, PhotoError):
            problems[sha] = str(image)
            continue
        for view in range(views):
            if (sha, view) not in store:
                waiting.append(((sha, view), view_of(image, sha, view)))
                if len(waiting) == BATCH:
                    run_batch()
    if waiting:
        run_batch()
    if keys:
        store.add(keys, rows)
    return problems


def decode_ahead(
    photos: Iterable[tuple[str, Path]], spec: ImageSpec
) -> Iterator[tuple[str, Pixels | PhotoError]]:
    """Decode in threads (Pillow releases the GIL), in order, at most four batches ahead."""

    def read(path: Path) -> Pixels | PhotoError:
        try:
            return read_image(path, spec)
        except PhotoError as error:
            return error

    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        pending: deque[tuple[str, Future[Pixels | PhotoError]]] = deque()
        for name, path in photos:
            pending.append((name, pool.submit(read, path)))
            if len(pending) >= 4 * BATCH:
                first_name, first = pending.popleft()
                yield first_name, first.result()
        while pending:
            name, future = pending.popleft()
            yield name, future.result()
    finally:
        pool.shutdown(
            cancel_futures=True
        )  # stopped half-way: what is still waiting is not decoded first


def encode_bundled(
    rows: pd.DataFrame,
    root: Path,
    derived: Path,
    model: Mapping[str, Any],
    progress: Progress | None = None,
) -> None:
    """Fill the cache, if the model's backbone is a bundled one. Needs no torch: it runs while torch is imported.

    Args:
        rows: the usable index.
        model: one of conf/model as plain values.
    """
    spec, graph = ImageSpec(int(model["size_px"])), bundled_graph(model)
    if graph is not None:
        encoder = OnnxBackbone(spec, graph)
        store = open_store(derived, spec, encoder)
        encode_missing(photos_of(rows, root), int(model["views"]), spec, encoder, store, progress)


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
        self._session = _session(graph.with_suffix(".onnx"), threads)
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


def bundled_graph(backbone: Mapping[str, Any]) -> Path | None:
    """The graph of a backbone as conf/model and classifier.json describe it; None where its weights are not bundled.

    Raises:
        ValueError: MobileNetV2 beside a network that is not there.
    """
    name, beside = backbone["name"], backbone.get("beside")
    if beside not in (None, "efficientnet_lite0"):
        raise ValueError(f"model.beside={beside}: expected efficientnet_lite0 or null")
    if name == "efficientnet_lite0":
        return LITE0
    if name != "mobilenet" or backbone["weights"] != "bundled":
        return None
    return BOTH if beside else BUNDLED


@lru_cache
def bundled_digest(graph: Path = BUNDLED) -> str:
    """Names the weights of a bundled graph in cache keys and in classifier.json."""
    weights = (BUNDLED, LITE0) if graph == BOTH else (graph,)
    return hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()[:16]


_session_lock = threading.Lock()


@lru_cache
def _session(graph: Path, threads: int) -> Any:
    from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession
    from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # waiting threads leave their core
    with _session_lock:
        return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
