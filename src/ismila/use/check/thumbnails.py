"""Small pictures of photos for the pages, made when they are asked for first and kept."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from pathlib import Path

from ismila.photos.files import write_aside
from ismila.use.decoder import Decoder

THUMBNAIL_PX = 320
LARGE_PX = 1280
QUALITY = 82


class NotListedError(Exception):
    """A photo that the page does not show."""


class Thumbnails:
    """JPEGs of photos below one folder, upright.

    Args:
        root: what the photos' paths are relative to.
        kept: the folder that the pictures lie in.
    """

    def __init__(self, root: Path, kept: Path) -> None:
        self.root = root
        self.kept = kept
        self.decoder = Decoder()
        self._lock = threading.Lock()

    def jpeg(self, path: str, size_px: int = THUMBNAIL_PX) -> bytes:
        """A JPEG of at most `size_px` a side. Raises PhotoError."""
        kept = self._place(path, size_px)
        with suppress(OSError):
            return kept.read_bytes()
        content = self.decoder.thumbnail(self.root / path, size_px, QUALITY)
        with suppress(OSError), self._lock:  # a full disk: it is made again next time
            write_aside(kept, content)
        return content

    def _place(self, path: str, size_px: int) -> Path:
        photo = self.root / path
        name = f"{path}\0{photo.stat().st_mtime_ns}" if photo.is_file() else path
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        return self.kept / f"{digest}-{size_px}.jpg"
