"""The photos in a request's body: limited, sniffed, never written to disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_PIXELS = 64_000_000
"""Per photo; the decoded pixels of a request must fit into memory beside those of others."""
MOST_PHOTOS = 16
IDLE_S, BODY_S = 5.0, 60.0
"""A client that sends nothing for the first, or has not sent all after the second, is let go (408)."""
RAW = (
    "image/",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
)  # the last: curl --data-binary


async def read_photos(request: Request) -> list[tuple[str, bytes]]:
    """(name, content) of each photo: the whole body, or the files of a form.

    Raises:
        HTTPException: 400 nothing in it, 408 too slow, 413 too large, 415 no type a photo comes as.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "multipart/form-data" and kind and not kind.startswith(RAW):
        raise HTTPException(
            415, f"content type {kind[:60]}: send image bytes, or multipart/form-data"
        )
    body = await _body(request)
    if not body:
        raise HTTPException(400, "empty body: send a photo")
    if kind != "multipart/form-data":
        return [("photo", body)]
    return await _files(request, body)


async def _body(request: Request) -> bytes:
    told = request.headers.get("content-length", "0")
    too_large = HTTPException(413, f"larger than {LARGEST_BODY >> 20} MB: send a smaller photo")
    if told.isdigit() and int(told) > LARGEST_BODY:
        raise too_large
    parts, size = [], 0
    stream = aiter(request.stream())
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                part = await asyncio.wait_for(anext(stream), IDLE_S)
                size += len(part)
                if size > LARGEST_BODY:
                    raise too_large
                parts.append(part)
    except StopAsyncIteration:
        return b"".join(parts)
    except TimeoutError:
        raise HTTPException(408, "the photo did not arrive in time: send it again") from None


async def _files(request: Request, body: bytes) -> list[tuple[str, bytes]]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, once(), max_files=MOST_PHOTOS, max_fields=MOST_PHOTOS)
    parser.spool_max_size = LARGEST_BODY + 1  # never to disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, f"not a form: {error}") from error
    files = [
        (part.filename or "photo", await part.read())
        for _, part in form.multi_items()
        if isinstance(part, UploadFile)
    ]
    await form.close()
    if not files:
        raise HTTPException(400, "a form without a file: send a photo")
    return files
