"""A library of millions, judged by the workers of a Ray cluster with Ray Data.

Names of photos go to the workers, and rows come back; each worker reads its photos itself, from a folder that all
machines see or from a bucket, so that no photo's bytes pass through Ray. Ray's streaming executor hands out no more
than the workers take. What was judged is kept by shard, see `shards`.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ismila.extras.cluster.shards import SCHEMA, Shard, Shards, cut
from ismila.photos import UserError
from ismila.photos.addresses import is_address
from ismila.photos.buckets import asking, file_system
from ismila.photos.cores import cores
from ismila.photos.images import PhotoError
from ismila.photos.names import as_text, first_line
from ismila.photos.progress import Progress
from ismila.photos.ray_token import keep_to_ourselves
from ismila.photos.streams import errors_into
from ismila.use.ask.judging import JudgedPhoto, Scanned, predict_batch, predict_photo
from ismila.use.ask.listing import LibraryPhoto
from ismila.vision.encoders import BATCH
from ismila.vision.reading import decode_ahead
from ismila.vision.views import Views

if TYPE_CHECKING:
    from ismila.use.ask.pets import PetClassifier

LOCAL = "local"
"""Instead of a cluster's address: one on this machine, started for the call."""
STORE_BYTES = 128 * 1024**2
"""Of Ray's object store on this machine, which holds names and rows alone."""
BLOCKS_PER_WORKER = 16
"""Each worker gets so many blocks, so that all finish at about the same time."""
STOPPED = -1
"""The shard of rows whose error no other photo would change: the scan ends with it."""
ANSWER_S = 10
"""So long is waited for somebody to listen at a cluster's address."""
NOWHERE = Path(os.devnull)
"""For what Ray's core says as it starts: what goes wrong is raised."""
FETCHING = 8
"""Photos that a worker asks a bucket for at once, which answers late."""


@dataclass(frozen=True)
class RayScan:
    """A library asked by one run on a Ray cluster.

    Attributes:
        root: the library: a folder's full path, or an address.
        run: the id of the run that the classifier comes from.
        size: photos a shard, about.
    """

    root: str
    shards: Shards
    classifier: PetClassifier
    run: str
    size: int

    def judge(
        self, photos: Iterable[LibraryPhoto], address: str, progress: Progress | None = None
    ) -> Scanned:
        """Judge the shards that are not there.

        Args:
            address: of the cluster, or `LOCAL`.

        Raises:
            UserError: no cluster answers, a bucket neither, or the shards cannot be written.
        """
        scanned = Scanned()
        names: list[str] = []
        todo: list[Shard] = []
        for shard in cut(photos, self.size):
            names.append(shard.name)
            if shard.name in self.shards.kept:
                scanned.before += len(shard)
            else:
                todo.append(shard)
        if todo:
            with running(address):
                self._judge(todo, progress)
        self.shards.drop_all_but(names)
        scanned.judged = sum(map(len, todo))
        scanned.broken = sum(one.unread for one in self.shards.kept.values())
        return scanned

    def results(self) -> Iterator[JudgedPhoto]:
        """What is known of each photo, by path."""
        return self.shards.results()

    def _judge(self, todo: list[Shard], progress: Progress | None) -> None:
        waiting: dict[int, list[pa.Table]] = {number: [] for number in range(len(todo))}
        missing = {number: len(shard) for number, shard in enumerate(todo)}
        total = sum(missing.values())
        # closed before Ray is: what is left of it would start Ray again when it is collected
        with closing(self._judged(todo, total)) as judged:
            for rows in _by_photo(progress, judged, total) if progress else judged:
                if rows["shard"][0].as_py() == STOPPED:
                    raise UserError(rows["error"][0].as_py())
                for number in set(rows["shard"].to_pylist()):
                    of_shard = rows.filter(pc.equal(rows["shard"], number))
                    waiting[number].append(of_shard.drop_columns("shard"))
                    missing[number] -= len(of_shard)
                    if not missing[number]:
                        whole = pa.concat_tables(waiting.pop(number)).cast(SCHEMA)
                        self.shards.keep(todo[number].name, whole, self.classifier.subject)

    def _judged(self, todo: list[Shard], total: int) -> Generator[pa.Table, None, None]:
        """Rows of the shards' photos as they come, in any order."""
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # ours counts photos
        context.print_on_execution_start = False
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        blocks = list(_blocks(todo, max(BATCH, total // (BLOCKS_PER_WORKER * workers))))
        worker = _Worker(ray.put(self.classifier), self.root, self.run)
        rows = ray.data.from_arrow(blocks).map_batches(
            Judge,
            fn_constructor_args=(worker,),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks))),
            num_cpus=1,  # Ray gives each as many threads: OMP_NUM_THREADS
        )
        yield from rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)


def _by_photo(progress: Progress, blocks: Iterable[pa.Table], total: int) -> Iterator[pa.Table]:
    """The blocks, with a bar that counts their rows."""
    block: list[pa.Table] = []

    def rows() -> Iterator[int]:
        for one in blocks:
            block.append(one)
            yield from range(len(one))

    for _ in progress(rows(), total, "Scanning"):
        if block:
            yield block.pop()


def _blocks(todo: list[Shard], most: int) -> Iterator[pa.Table]:
    """Names and their shards' numbers, at most so many a block: what a worker gets at once."""
    for number, shard in enumerate(todo):
        for at in range(0, len(shard), most):
            paths = shard.paths.slice(at, most)
            yield pa.table({"path": paths, "shard": pa.repeat(pa.scalar(number), len(paths))})


@dataclass(frozen=True)
class _Worker:
    """What a worker is made from.

    Attributes:
        classifier: a reference to it in Ray's object store.
    """

    classifier: Any
    root: str
    run: str


class Judge:
    """A worker: loads the classifier once, and judges block after block of names."""

    def __init__(self, worker: _Worker) -> None:
        import ray

        self.classifier: PetClassifier = ray.get(worker.classifier)
        self.root = worker.root
        self.run = worker.run

    def __call__(self, block: pa.Table) -> pa.Table:
        """`path, shard` -> a row a photo, with `shard`, in the same order; see `STOPPED`."""
        names = [os.fsdecode(name) for name in block["path"].to_pylist()]
        try:
            judged = {one.path: one for one in answered(self.classifier, self._decoded(names))}
        except UserError as error:  # as a row: Ray would make a page of it, and lose what it was
            judged = {name: JudgedPhoto(name, None, "", str(error)) for name in names}
            block = pa.table({"shard": pa.repeat(pa.scalar(STOPPED), len(names))})
        ordered = [judged[name] for name in names]
        columns = {
            "path": [as_text(name) for name in names],
            "probability": [one.probability for one in ordered],
            "verdict": [one.verdict for one in ordered],
            "threshold": [self.classifier.threshold] * len(names),
            "run": [self.run] * len(names),
            "error": [one.error for one in ordered],
        }
        return pa.table(columns, schema=SCHEMA).append_column("shard", block["shard"])

    def _decoded(self, names: list[str]) -> Iterable[tuple[str, Views | PhotoError]]:
        viewer = self.classifier.viewer
        if not is_address(self.root):
            files = ((name, Path(self.root) / name) for name in names)
            return decode_ahead(files, lambda _, file: viewer.read(file))
        return self._fetched(names)

    def _fetched(self, names: list[str]) -> Iterator[tuple[str, Views | PhotoError]]:
        viewer = self.classifier.viewer

        def read(_: str, content: Future[bytes]) -> Views:
            return viewer.read(content.result())

        file_system(self.root)  # imported before there are threads, which import nothing
        with ThreadPoolExecutor(FETCHING) as pool:
            contents = ((name, pool.submit(fetch, f"{self.root}/{name}")) for name in names)
            yield from decode_ahead(contents, read)


def fetch(address: str) -> bytes:
    """A photo's content.

    Raises:
        PhotoError: it is gone, or we may not read it: no reason to stop.
        UserError: nobody answers, which no other photo would change.
    """
    fs, path = file_system(address)
    try:
        with asking(address):
            content: bytes = fs.cat_file(path)
            return content
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise PhotoError("file not found") from error
        if isinstance(error.__cause__, PermissionError):
            raise PhotoError(f"cannot be read: {first_line(error.__cause__)}") from error
        raise


def answered(
    classifier: PetClassifier, decoded: Iterable[tuple[str, Views | PhotoError]]
) -> Iterator[JudgedPhoto]:
    """What a classifier says of photos, some at a time; why one could not be read."""
    batch: dict[str, Views] = {}
    for path, seen in decoded:
        if isinstance(seen, PhotoError):
            yield predict_photo(classifier, path, None, str(seen))
            continue
        batch[path] = seen
        if len(batch) == BATCH:
            yield from _answered(classifier, batch)
            batch = {}
    yield from _answered(classifier, batch)


def _answered(classifier: PetClassifier, batch: dict[str, Views]) -> Iterator[JudgedPhoto]:
    said = predict_batch(classifier, list(batch.values()))
    for path, (probability, box) in zip(batch, said, strict=True):
        yield predict_photo(classifier, path, probability, box=box)


@contextmanager
def running(address: str) -> Iterator[None]:
    """A connection to a cluster, or one of this machine's cores, which is stopped afterwards.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    # nothing goes out of the house; read when Ray is imported
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # of each pool of workers its core would say that they cannot be made again once the driver has gone
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError("--ray: needs Ray; pip install 'ismila[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    start = _start_local if address == LOCAL else _connect
    stop = start(ray, address)
    try:
        yield
    finally:
        ray.shutdown()
        stop()


def _start_local(ray: Any, _: str) -> Callable[[], None]:
    keep_to_ourselves()
    folder = tempfile.mkdtemp(prefix="ismila-")  # Ray's logs would stay in /tmp/ray for ever
    try:
        with errors_into(NOWHERE):
            ray.init(
                num_cpus=cores(),
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                _temp_dir=folder,
            )
    except Exception as error:  # Ray has no class for it: a part of it took more than 30 s
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(
            f"--ray: does not start here ({first_line(error)}); try again when the machine is less busy"
        ) from error
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def _require_answer(address: str) -> None:
    """Raise OSError where nobody listens, for which Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


def _connect(ray: Any, address: str) -> Callable[[], None]:
    try:
        _require_answer(address)
        with errors_into(NOWHERE):
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--ray {address}: no Ray cluster answers ({first_line(error)}); give HOST:PORT of `ray start --head`, "
            "or leave the address out for one on this machine"
        ) from error
    return lambda: None
