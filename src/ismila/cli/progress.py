"""Progress bars on stderr; nothing where stderr is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items with a bar (count, items per second, time left) that goes away at the end."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=total, speed="")
        for item in items:
            yield item
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, speed=f"{speed:.0f}/s" if speed else "")


@contextmanager
def transfer(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with counts and MB/s.

    Yields:
        A function of (photos known so far, bytes of the one that is finished or 0).
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(what, speed="", total=None)
    started = time.monotonic()
    total_bytes = 0

    def advance(known: int, n_bytes: int) -> None:
        nonlocal total_bytes
        total_bytes += n_bytes
        mb_per_s = total_bytes / 1e6 / max(time.monotonic() - started, 1e-3)
        bar.update(task, total=known, advance=1 if n_bytes else 0, speed=f"{mb_per_s:.1f} MB/s")

    with bar:
        yield advance
