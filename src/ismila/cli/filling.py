"""What a run reads of an album is computed by a process of its own, while this one imports torch, Lightning and MLflow.

Not by a thread: decoding a photo and opening a graph read environment variables, importing these packages sets some,
and glibc before 2.41 does not survive that at the same time in one process (docs/design.md, "Threads"). Results are
handed over by the album's cache, so that the process gives back nothing but why it could not go on.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ismila.photos import UserError

if TYPE_CHECKING:
    from types import FrameType
    from typing import IO

    import pandas as pd

    from ismila.photos.album import Album
    from ismila.photos.progress import Progress
    from ismila.settings import RunSettings

REFUSED = 3
"""The exit code with which the process has written a UserError's text to its stdout."""
END_S = 10.0
"""So long the process may take to put away what it is at when it is told to end."""

T = TypeVar("T")


@contextmanager
def filling(album: Album, rows: pd.DataFrame, settings: RunSettings) -> Iterator[None]:
    """Fill the album's cache in another process during the block, and wait for it at its end.

    Args:
        rows: the usable index.

    Raises:
        UserError: the process found something that a person can put right, or was killed.
        RuntimeError: it failed by a mistake of ours, and has shown its traceback.
    """
    with tempfile.TemporaryFile() as task, tempfile.TemporaryFile() as refusal:
        pickle.dump((album, rows, settings), task)
        task.seek(0)
        process = _started(task, refusal)
        try:
            yield
            process.wait()
        except BaseException:
            _end(process)
            raise
        refusal.seek(0)
        _require_success(process.returncode, refusal.read().decode())


def _started(task: IO[bytes], refusal: IO[bytes]) -> subprocess.Popen[bytes]:
    """Ctrl-C, which a terminal sends to both, is blocked in it from its first moment: this process ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        command = [sys.executable, "-m", __name__, str(os.getpid())]
        return subprocess.Popen(command, stdin=task, stdout=refusal)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    process.kill()
    process.wait()


def _require_success(code: int, refusal: str) -> None:
    if code == REFUSED:
        raise UserError(refusal)
    if code < 0:
        name = signal.Signals(-code).name
        raise UserError(
            f"the process that reads the photos was killed ({name}); if memory ran out, "
            "OMP_NUM_THREADS=1 takes less; the same command goes on from the cached rows"
        )
    if code:
        raise RuntimeError(
            f"the process that reads the photos failed (exit code {code}), see above"
        )


def fill_caches(
    album: Album, rows: pd.DataFrame, settings: RunSettings, bar: Progress | None = None
) -> None:
    """Compute what a run reads of an album and what is not there yet.

    Args:
        rows: the usable index.
    """
    from ismila.learning.closeups import with_shares
    from ismila.learning.inputs import encode_ahead

    with_shares(album, rows, bar)
    encode_ahead(album, rows, settings, bar)


def is_filled(album: Album, rows: pd.DataFrame, settings: RunSettings) -> bool:
    """Whether `fill_caches` has nothing to do."""
    from ismila.learning.inputs import is_encoded

    return album.shares(rows) is not None and is_encoded(album, rows, settings)


def main() -> None:
    """Fill the cache of the album on stdin."""
    signal.signal(signal.SIGTERM, _stop)
    from ismila.cli.progress import progress

    parent = int(sys.argv[1])

    def watched(items: Iterable[T], total: int, what: str) -> Iterator[T]:
        for item in progress(items, total, what):
            if os.getppid() != parent:
                sys.exit(f"{what}: the training is gone")
            yield item

    album, rows, settings = pickle.load(sys.stdin.buffer)
    try:
        fill_caches(album, rows, settings, watched)
    except UserError as error:
        sys.stdout.write(str(error))
        sys.stdout.flush()
        sys.exit(REFUSED)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """An exception, so that files aside are deleted and the terminal's cursor comes back."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
