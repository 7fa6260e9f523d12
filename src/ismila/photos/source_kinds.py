"""The kinds of place that know who is in which photo. Imports nothing: `ismila --help` lists them."""

from __future__ import annotations

from ismila import plugins

ROOM = "ismila.photos.sources"
OPENERS = {
    "takeout": f"{ROOM}.takeout:Takeout",
    "apple": f"{ROOM}.tagged:Tagged",
    "digikam": f"{ROOM}.digikam:open_digikam",
    "lightroom": f"{ROOM}.lightroom:open_lightroom",
    "tags": f"{ROOM}.tagged:Tagged",
    "csv": f"{ROOM}.table:NamesTable",
    "immich": f"{ROOM}.server:open_immich",
    "photoprism": f"{ROOM}.server:open_photoprism",
}
"""Kind -> what opens such a place, of the core (`opening.Opener`)."""


def openers() -> dict[str, str]:
    """Kind -> what opens such a place, of the core and of extras."""
    return {**OPENERS, **plugins.sources()}
