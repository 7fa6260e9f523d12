"""What `ismila add --from KIND SOURCE` means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ismila.photos.sources import Source

OPENERS = {
    "takeout": "takeout:Takeout",
    "apple": "tagged:Tagged",
    "digikam": "digikam:open_digikam",
    "lightroom": "lightroom:open_lightroom",
    "tags": "tagged:Tagged",
    "csv": "table:NamesTable",
}
"""Kind -> what makes its source, in a module of this folder."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person says of how a source is read.

    Attributes:
        photos: where the photos lie now, of a source that knows them by another machine's paths.
        exclude, hidden: see `Skipping`.
    """

    photos: Path | None = None
    exclude: Sequence[str] = ()
    hidden: bool = False


def open_source(kind: str, given: str, wanted: Wanted) -> Source:
    """The source that a person means.

    Args:
        given: a folder, a file, or a server's address.

    Raises:
        UserError: there is no such thing, or it is something else.
    """
    module, _, name = OPENERS[kind].partition(":")
    opener: Callable[[str, str, Wanted], Source] = getattr(
        import_module(f"ismila.photos.sources.{module}"), name
    )
    return opener(kind, given, wanted)
