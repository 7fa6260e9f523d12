"""Photos of any size, decoded in threads, with a bound on what that holds in memory."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

from PIL import Image

from ismila.photos.cores import cores
from ismila.photos.images import MAX_PIXELS, jpeg_bytes, open_photo, readable_formats
from ismila.use.gate import GATE

MAX_PIXELS_IN_FLIGHT = 64_000_000
"""Pixels that are decoded at the same time; each takes up to 12 bytes (Pillow keeps 4 for RGB, and
a photo is copied when it is turned upright and when it becomes RGB)."""

T = TypeVar("T")
Seen = TypeVar("Seen", covariant=True)
Ts = TypeVarTuple("Ts")


class Reader(Protocol[Seen]):
    """A `Viewer`, or `Pets`: makes something small of a photo that it decodes to at least `decoded_px` a side."""

    @property
    def decoded_px(self) -> int: ...

    def read(self, source: Path | bytes, max_pixels: int, /) -> Seen: ...


class PixelBudget:
    """Lets threads in, one after another, while what they hold together stays below a bound."""

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self._free = pixels
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait for `pixels`, or for all there are when it is more.

        First come, first served: a large photo is not overtaken by small ones for ever.
        """
        share = min(pixels, self.pixels)
        turn = object()
        with self._changed:
            self._queue.append(turn)
            self._changed.wait_for(lambda: self._queue[0] is turn and self._free >= share)
            self._queue.popleft()
            self._free -= share
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()


class Decoder:
    """Decodes photos: from the file's bytes to something small in one job.

    Args:
        pixels: decoded at the same time, by all threads together.
    """

    def __init__(self, pixels: int = MAX_PIXELS_IN_FLIGHT) -> None:
        self._budget = PixelBudget(pixels)
        readable_formats()  # before there are threads, which import nothing
        self._threads = ThreadPoolExecutor(cores(), "decode")

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call one of the methods below, or something else that takes a while, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, GATE.beside, call, *args)

    def views(
        self, source: Path | bytes, reader: Reader[Seen], max_pixels: int = MAX_PIXELS
    ) -> Seen:
        """Decode, and keep what a backbone gets. Raises PhotoError."""
        with self._budget.hold(pixels_of(source, reader.decoded_px)):
            return reader.read(source, max_pixels)

    def thumbnail(self, source: Path | bytes, size_px: int, quality: int) -> bytes:
        """A JPEG of at most `size_px` a side, upright. Raises PhotoError."""
        with self._budget.hold(pixels_of(source, size_px)):
            photo = open_photo(source, size_px)
            photo.thumbnail((size_px, size_px))
        return jpeg_bytes(photo, quality)


def pixels_of(source: Path | bytes, at_least_px: int) -> int:
    """How many pixels are decoded for an image of `at_least_px` a side, as the header has it.

    A JPEG is decoded at a reduced scale, unless it is progressive: those are held whole. Where the
    header says nothing, more than any budget.
    """
    if isinstance(source, Path) and not source.is_file():
        return 0
    try:
        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, "r", readable_formats()
        ) as photo:
            if not photo.info.get("progressive"):
                photo.draft("RGB", (at_least_px, at_least_px))
            return photo.width * photo.height
    except Exception:  # Pillow's plug-ins raise almost anything; `open_photo` says what is wrong
        return MAX_PIXELS
