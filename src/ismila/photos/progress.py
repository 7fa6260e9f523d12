"""How far long work is, for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Hands items on and shows how far it is."""

    def __call__(self, items: Iterable[T], total: int, what: str, /) -> Iterable[T]: ...


def unseen(items: Iterable[T], _total: int, _what: str, /) -> Iterable[T]:
    """The `Progress` that shows nothing."""
    return items
