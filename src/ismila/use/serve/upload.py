"""The photos in a request's body: limited, sniffed, never written to disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from ismila.use.serve.batcher import BusyError

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_PIXELS = 64_000_000
"""Per photo."""
MOST_PHOTOS = 16
IN_MEMORY = 8 * LARGEST_BODY
"""Bytes of the bodies of all requests under way."""
IDLE_S = 5.0
BODY_S = 60.0
"""A client that sends nothing for the first, or not all within the second, is let go (408)."""
RAW = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types that a photo alone comes as; the last is what `curl --data-binary` says."""
FORM = "multipart/form-data"


class Upload(NamedTuple):
    """One photo as it came."""

    name: str
    content: bytes


class Intake:
    """Reads the bodies of all requests, and bounds what they hold in memory together.

    Args:
        most_bytes: of all bodies; a request that goes beyond is refused.
    """

    def __init__(self, most_bytes: int = IN_MEMORY) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    @asynccontextmanager
    async def photos(self, request: Request) -> AsyncIterator[list[Upload]]:
        """Each photo: the whole body, or the files of a form.

        Raises:
            HTTPException: 400 nothing in it, 408 too slow, 413 too large, 415 no type of a photo.
            BusyError: too much is held already.
        """
        body = _Body(request, self)
        try:
            yield await _read(request, body)
        finally:
            self.held_bytes -= body.size


class _Body:
    """A body that is read part by part and counted."""

    def __init__(self, request: Request, intake: Intake) -> None:
        self.size = 0
        self._request = request
        self._intake = intake

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Raises as `Intake.photos` does."""
        announced = self._request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > LARGEST_BODY:
            raise _too_large()
        ends = time.monotonic() + BODY_S
        stream = aiter(self._request.stream())
        while True:
            try:
                rest_s = max(0.0, ends - time.monotonic())
                part = await asyncio.wait_for(anext(stream), min(IDLE_S, rest_s))
            except StopAsyncIteration:
                return
            except TimeoutError:
                text = "the photo did not arrive in time: send it again"
                raise HTTPException(408, text) from None
            except ClientDisconnect:
                raise HTTPException(400, "the client went away") from None
            self._count(len(part))
            yield part

    def _count(self, n_bytes: int) -> None:
        self.size += n_bytes
        self._intake.held_bytes += n_bytes
        if self.size > LARGEST_BODY:
            raise _too_large()
        if self._intake.held_bytes > self._intake.most_bytes:
            raise BusyError


def _too_large() -> HTTPException:
    return HTTPException(413, f"larger than {LARGEST_BODY >> 20} MB: send a smaller photo")


async def _read(request: Request, body: _Body) -> list[Upload]:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == FORM:
        return await _files(request, body)
    if kind and not kind.startswith(RAW):
        raise HTTPException(415, f"content type {kind[:60]}: send image bytes, or {FORM}")
    content = b"".join([part async for part in body.parts()])
    if not content:
        raise HTTPException(400, "empty body: send a photo")
    return [Upload("photo", content)]


async def _files(request: Request, body: _Body) -> list[Upload]:
    parser = MultiPartParser(
        request.headers, body.parts(), max_files=MOST_PHOTOS, max_fields=MOST_PHOTOS
    )
    parser.spool_max_size = LARGEST_BODY + 1  # never to disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, f"not a form: {error}") from error
    files = [
        Upload(part.filename or "photo", await part.read())
        for _, part in form.multi_items()
        if isinstance(part, UploadFile)
    ]
    await form.close()
    if not files:
        raise HTTPException(400, "a form without a file: send a photo")
    return files
