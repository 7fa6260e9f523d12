"""Photos are read ahead of what is made of them, in threads."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ismila.photos.cores import cores
from ismila.photos.images import PhotoError, readable_formats
from ismila.vision.encoders import BATCH
from ismila.vision.graphs import import_runtime

SOME = 100
"""From so many photos on a bar is shown."""
T = TypeVar("T")
Source = TypeVar("Source")


def content_of(sha256: str, path: Path) -> bytes:
    """The file's content, if that still has this sha256. Raises PhotoError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise PhotoError("file not found") from error
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PhotoError("has changed while the album was read; the next run sees it as it is")
    return content


def decode_ahead(
    photos: Iterable[tuple[str, Source]], read: Callable[[str, Source], T]
) -> Iterator[tuple[str, T | PhotoError]]:
    """Read in threads (Pillow and onnxruntime release the GIL), in order, at most four batches ahead.

    Args:
        photos: what each is called, and what it is read from: its file, for the most part.
        read: what makes something small of them; a PhotoError takes its place.
    """

    def decoded(name: str, source: Source) -> T | PhotoError:
        try:
            return read(name, source)
        except PhotoError as error:
            return error

    # threads import nothing, see docs/design.md, "Threads"
    readable_formats()
    import_runtime()
    pool = ThreadPoolExecutor(max_workers=cores())
    try:
        pending: deque[tuple[str, Future[T | PhotoError]]] = deque()
        for name, source in photos:
            pending.append((name, pool.submit(decoded, name, source)))
            if len(pending) >= 4 * BATCH:
                first_name, first = pending.popleft()
                yield first_name, first.result()
        while pending:
            name, future = pending.popleft()
            yield name, future.result()
    finally:
        # stopped half-way: what still waits is not decoded first
        pool.shutdown(cancel_futures=True)
