"""What `ismila add --from KIND SOURCE` means."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ismila.photos.sources import Source

OPENERS = {
    "folder": "ismila.photos.sources.folder:Folder",
}
"""Kind -> the class that reads it, made from what was given on the command line."""


def open_source(kind: str, given: str) -> Source:
    """The source that a person means.

    Args:
        given: a folder, a file, or a server's address.

    Raises:
        UserError: there is no such thing, or it is something else.
    """
    module, _, name = OPENERS[kind].partition(":")
    opener: Callable[[str], Source] = getattr(import_module(module), name)
    return opener(given)
