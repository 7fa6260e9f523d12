"""Concurrent requests, one thread for the backbones: what waits together goes through them together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, TypeVar, TypeVarTuple

from ismila.use.ask.pets import PetPredictions, Pets, ViewsByDigest
from ismila.use.gate import GATE
from ismila.vision.encoders import BATCH

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class BusyError(Exception):
    """More waits than the server holds: try again in a second."""


class _Waiting(NamedTuple):
    pets: Pets
    looks: ViewsByDigest
    answer: asyncio.Future[PetPredictions]


class Batcher:
    """Runs classifiers in one thread, on as many photos at once as happen to wait (16 at most).

    Args:
        places: requests that may be under way at once; each further one is refused, so that memory
            stays bounded.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self._waiting: deque[_Waiting] = deque()
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

    async def judged(self, pets: Pets, looks: ViewsByDigest) -> PetPredictions:
        """What is said of a photo."""
        answer: asyncio.Future[PetPredictions] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(pets, looks, answer))
        self._something.set()
        return await answer

    async def alone(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run something else in the backbone's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, GATE.beside, call, *args)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._something.wait()
            batch = self._next_batch()
            try:
                looks = [one.looks for one in batch]
                answers = await self.alone(batch[0].pets.judge, looks)
            except Exception as error:
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                continue
            for one, together in zip(batch, answers, strict=True):
                if not one.answer.done():  # its client may have gone
                    one.answer.set_result(together)

    def _next_batch(self) -> list[_Waiting]:
        """The first that wait, as far as they ask the same classifiers."""
        pets = self._waiting[0].pets
        batch: list[_Waiting] = []
        while self._waiting and self._waiting[0].pets is pets and len(batch) < BATCH:
            batch.append(self._waiting.popleft())
        if not self._waiting:
            self._something.clear()
        return batch
