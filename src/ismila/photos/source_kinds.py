"""The kinds of place that know who is in which photo. Imports nothing: `ismila --help` lists them."""

from __future__ import annotations

from ismila import plugins

ROOM = "ismila.photos.sources"
OPENERS = {
    "takeout": f"{ROOM}.takeout:Takeout",
    "tags": f"{ROOM}.tagged:Tagged",
    "csv": f"{ROOM}.table:NamesTable",
}
"""Kind -> what opens a folder or file of it (`opening.Opener`), of the core."""


def openers() -> dict[str, str]:
    """Kind -> what opens a folder or file of it, of the core and of extras."""
    return {**OPENERS, **plugins.sources()}


def source_kinds() -> tuple[str, ...]:
    """All kinds, those that are folders or files first."""
    return tuple(dict.fromkeys([*openers(), *plugins.source_servers()]))
