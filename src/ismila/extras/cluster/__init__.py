"""Libraries of millions are scanned on the workers of a Ray cluster."""

from ismila.plugins import Extra

EXTRA = Extra(options={"scan": ("ismila.extras.cluster.scan_options",)})
