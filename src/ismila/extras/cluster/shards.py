"""A library's results as a folder of Parquet files, so that a scan of millions goes on where it was stopped."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ismila.photos import UserError
from ismila.photos.files import write_aside
from ismila.use.ask.judging import JudgedPhoto
from ismila.use.ask.listing import LibraryPhoto

MANIFEST = "_manifest.jsonl"
"""A line a shard; readers of Parquet folders pass over names that begin so."""
LARGEST = 4
"""A shard holds at most so many times what was asked for."""
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("probability", pa.float64()),
        ("verdict", pa.string()),
        ("threshold", pa.float64()),
        ("run", pa.string()),
        ("error", pa.string()),
    ]
)
"""The columns of the plain scan's table; `probability` is null where a photo could not be read."""


@dataclass(frozen=True)
class Shard:
    """Photos that are judged together and kept in one file.

    Attributes:
        name: names the photos and their versions.
        paths: their names' bytes, since a name need not be UTF-8.
    """

    name: str
    paths: pa.Array

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class FinishedShard:
    """A shard that is finished.

    Attributes:
        of_subject: how many photos show the subject.
        unread: how many could not be read.
    """

    shard: str
    photos: int
    of_subject: int
    unread: int


def cut(photos: Iterable[LibraryPhoto], size: int) -> Iterator[Shard]:
    """Photos in shards of about `size`.

    A photo's own name says whether a shard begins with it. So a photo that comes or goes changes one shard, and
    not all that follow.
    """
    some: list[LibraryPhoto] = []
    for photo in photos:
        begins = zlib.crc32(os.fsencode(photo.path)) % size == 0
        if some and (begins or len(some) == LARGEST * size):
            yield _shard(some)
            some = []
        some.append(photo)
    if some:
        yield _shard(some)


def _shard(photos: list[LibraryPhoto]) -> Shard:
    names = [os.fsencode(photo.path) for photo in photos]
    lines = [
        b"%s\0%s" % (name, one.version.encode()) for name, one in zip(names, photos, strict=True)
    ]
    digest = hashlib.sha256(b"\n\0".join(lines)).hexdigest()
    return Shard(digest[:24], pa.array(names, pa.binary()))


class Shards:
    """The folder of one run's results: `<shard>.parquet`, each written aside and renamed, and the manifest.

    Raises:
        UserError: the folder cannot be written, or another scan is writing it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = folder / MANIFEST
        self.kept = {one.shard: one for one in self._listed() if self._file(one.shard).is_file()}

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Shards]:
        """The folder, which nobody else writes meanwhile."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / "_scan.lock", timeout=0):
                shards = cls(folder)
                shards._write_manifest()  # a line that a killed scan has begun would spoil the next
                yield shards
        except Timeout as error:
            raise UserError(f"--state {folder}: another scan is writing it; wait for it") from error
        except OSError as error:
            raise UserError(
                f"--state {folder}: {error.strerror or error}; give a folder that may be written"
            ) from error

    def _file(self, shard: str) -> Path:
        return self.folder / f"{shard}.parquet"

    def _listed(self) -> Iterator[FinishedShard]:
        try:
            lines = self._manifest.read_text().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield FinishedShard(**json.loads(line))
            except (
                ValueError,
                TypeError,
            ):  # a killed scan was writing it: its shard is judged again
                continue

    def _write_manifest(self) -> None:
        lines = (f"{json.dumps(asdict(one))}\n" for one in self.kept.values())
        write_aside(self._manifest, "".join(lines).encode())

    def keep(self, shard: str, rows: pa.Table, subject: str) -> None:
        """Write a finished shard, and list it then."""
        buffer = io.BytesIO()
        pq.write_table(rows.sort_by("path"), buffer)
        write_aside(self._file(shard), buffer.getvalue())
        of_subject = pc.sum(pc.equal(rows["verdict"], subject)).as_py() or 0
        unread = rows["probability"].null_count
        self.kept[shard] = FinishedShard(shard, len(rows), of_subject, unread)
        with self._manifest.open("a") as manifest:
            manifest.write(f"{json.dumps(asdict(self.kept[shard]))}\n")

    def drop_all_but(self, names: Iterable[str]) -> None:
        """Delete shards of photos that have changed or gone, once those of today are kept."""
        self.kept = {name: self.kept[name] for name in names}
        self._write_manifest()
        for file in self.folder.iterdir():
            is_ours = file.suffix == ".part" or file.suffix == ".parquet"
            if is_ours and file.stem not in self.kept:
                file.unlink(missing_ok=True)

    def results(self) -> Iterator[JudgedPhoto]:
        """A line a photo, by path."""
        tables = [pq.read_table(self._file(name), schema=SCHEMA) for name in self.kept]
        rows = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        for batch in rows.sort_by("path").to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                yield JudgedPhoto(row["path"], row["probability"], row["verdict"], row["error"])
