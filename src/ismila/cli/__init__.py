"""`ismila VERB`: a file a verb; each parses, makes one call, prints."""

import ismila.cli.stopped  # noqa: F401
from ismila.cli.main import make_parser, start

__all__ = ["make_parser", "start"]
