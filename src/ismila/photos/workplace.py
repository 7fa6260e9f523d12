"""Folders for what is on its way, which the next process clears when their maker was killed.

The system's folder for temporary files would keep what a killed process left there for ever.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

HELD = "held.lock"
UNLOCKED_PREFIX = ".new-"
"""A folder is called so until its lock is held: nobody may take it for an abandoned one."""


class Workplace:
    """A folder of this process alone; it lives until `close`, or until somebody finds it abandoned.

    That its maker lives is told by a lock, which the system takes from a process that dies. A
    process id would name another process after a while, and means nothing in another container.

    Attributes:
        folder: `<place>/<process id>-<8 hex digits>`.

    Args:
        place: holds the folders of all processes; made when it is not there.
    """

    def __init__(self, place: Path) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        unheld = place / f"{UNLOCKED_PREFIX}{name}"
        unheld.mkdir(parents=True)
        self._lock = FileLock(unheld / HELD, thread_local=False)
        self._lock.acquire()
        self.folder = unheld.rename(place / name)

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def abandoned(place: Path) -> Iterator[Path]:
    """Each folder whose maker is gone; it is deleted when the next one is asked for.

    Nobody else is given a folder while the caller deals with it. One that may not be deleted is
    left to who may.
    """
    if not place.is_dir():
        return
    for folder in place.iterdir():
        if folder.name.startswith(UNLOCKED_PREFIX):
            continue
        lock = FileLock(folder / HELD, timeout=0)
        try:
            lock.acquire()
        except (Timeout, OSError):  # its maker lives, has just left, or is another user
            continue
        try:
            yield folder
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            lock.release()
