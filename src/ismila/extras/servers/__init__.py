"""Immich and PhotoPrism: photos come from there by the names that people gave, and scans mark what they found."""

from ismila.plugins import Extra

ROOM = "ismila.extras.servers"
EXTRA = Extra(
    source_servers={
        "immich": f"{ROOM}.source:open_immich",
        "photoprism": f"{ROOM}.source:open_photoprism",
    },
    options={"scan": (f"{ROOM}.scan_options",), "watch": (f"{ROOM}.options",)},
    marked=f"{ROOM}.marks:marked_photos",
)
