"""Who is in which photo by the catalogues of Apple Photos, digiKam, Lightroom, and by PhotoPrism's files."""

from ismila.plugins import Extra

ROOM = "ismila.extras.catalogues"
EXTRA = Extra(
    sources={
        # what osxphotos exports are tags like any other program's
        "apple": "ismila.photos.sources.tagged:Tagged",
        "digikam": f"{ROOM}.digikam:open_digikam",
        "lightroom": f"{ROOM}.lightroom:open_lightroom",
        "photoprism": f"{ROOM}.photoprism_files:PhotoPrismFiles",
    }
)
