"""Concurrent requests, one backbone: what waits together goes through it together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from ismila.learning.features import BATCH
from ismila.photos.images import Pixels
from ismila.use.serve.models import Asked

T = TypeVar("T")


class BusyError(Exception):
    """More requests wait than the queue holds."""


class Batcher:
    """Runs classifiers in one thread, on as many images at once as happen to wait (16 at most).

    Args:
        places: requests that may be under way at once; each further one is refused, so that memory stays bounded.
    """

    def __init__(self, places: int) -> None:
        self.places, self.taken = places, 0
        self._waiting: deque[tuple[Asked, Pixels, asyncio.Future[float]]] = deque()
        self._something = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "backbone")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place in the queue. Raises BusyError when all are taken."""
        if self.taken >= self.places:
            raise BusyError
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def probability(self, classifier: Asked, image: Pixels) -> float:
        """Probability of the subject in `[size_px, size_px, 3]`."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append((classifier, image, future))
        self._something.set()
        return await future

    async def alone(self, call: Callable[..., T], *args: Any) -> T:
        """Run something else in the backbone's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._something.wait()
            classifier = self._waiting[0][0]
            batch: list[tuple[Asked, Pixels, asyncio.Future[float]]] = []
            while self._waiting and self._waiting[0][0] is classifier and len(batch) < BATCH:
                batch.append(self._waiting.popleft())
            if not self._waiting:
                self._something.clear()
            try:
                found = await self.alone(
                    classifier.probabilities, np.stack([image for _, image, _ in batch])
                )
            except Exception as error:
                for *_, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (*_, future), p in zip(batch, found, strict=True):
                if not future.done():  # its client may have gone
                    future.set_result(float(p))
