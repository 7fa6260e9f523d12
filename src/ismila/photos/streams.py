"""The process's standard streams, as libraries that write past Python see them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def errors_into(file: Path) -> Iterator[None]:
    """What native code writes to standard error meanwhile goes to the end of a file; processes started meanwhile
    keep it as theirs."""
    with file.open("a") as instead:
        kept = os.dup(2)
        os.dup2(instead.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
