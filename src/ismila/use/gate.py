"""Threads that decode and compute beside each other, and now and then one that has to be alone.

An import may set environment variables, which decoding a photo and opening a graph read; glibc before 2.41 does not
survive both at once (docs/design.md, "Threads"). What a server needs is imported before it serves. What it may need one
day, and would cost everyone memory (torch takes 470 MB), is imported alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Gate:
    """Lets any number of threads in beside each other, or one alone; who wants to be alone is next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._want_alone = 0

    def beside(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call something beside what others call."""
        with self._changed:
            self._changed.wait_for(lambda: not self._want_alone)
            self._inside += 1
        try:
            return call(*args)
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody is inside, and let nobody in meanwhile."""
        with self._changed:
            self._want_alone += 1
            self._changed.wait_for(lambda: not self._inside)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._want_alone -= 1
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()


GATE = Gate()
"""Of the process, as its environment is."""
