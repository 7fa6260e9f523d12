"""From an uploaded photo to its answer: decoded, judged, explained where that is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi import HTTPException, Request

from ismila.evidence.heat import overlay
from ismila.photos.boxes import Box
from ismila.photos.images import PhotoError, Pixels, data_uri, jpeg_bytes
from ismila.use.ask.pets import PetPredictions, Pets, ViewsByDigest
from ismila.use.decoder import Decoder
from ismila.use.serve.answering import AllModels, Answering
from ismila.use.serve.answers import Explanation, Near
from ismila.use.serve.batcher import Batcher
from ismila.use.serve.metrics import Metrics
from ismila.use.serve.models import Model, ModelExplanation, Resembling
from ismila.use.serve.upload import LARGEST_PIXELS, Intake, Upload
from ismila.vision.graphs import Floats, import_runtime
from ismila.vision.views import Views

PLACES = 64
SHOWN_PX = 480
NEIGHBOUR_PX = 128
HEAT_QUALITY = 80
NEIGHBOUR_QUALITY = 78
UNSURE = "unsure"
LONGEST_NAME = 80
"""Characters of an unknown name that an error repeats."""


@dataclass(frozen=True, kw_only=True)
class Explaining:
    """What a request wants to know besides the verdict.

    Attributes:
        heat: a heat map.
        nearest: so many training photos that resemble it most.
        subject: the pet that this is about, where several are asked; empty: each that is in the photo.
    """

    heat: bool = False
    nearest: int = 0
    subject: str = ""

    @property
    def is_asked_for(self) -> bool:
        """Whether anything is."""
        return self.heat or self.nearest > 0

    def whose(self, together: PetPredictions) -> Iterable[str]:
        """The pets that this is about, of several."""
        return [self.subject] if self.subject else together.names


class Service:
    """What the routes need; one for each application.

    Args:
        places: requests with photos under way at once.
    """

    def __init__(self, models: AllModels, places: int = PLACES) -> None:
        self.models = models
        self.batcher = Batcher(places)
        self.decoder = Decoder()
        self.metrics = Metrics(waiting=lambda: self.batcher.taken)
        import_runtime()  # before there are threads, which import nothing
        self._intake = Intake()
        # one thread: explanations import torch, and two that import it at once meet it half-way
        self._loader = ThreadPoolExecutor(1, "explanations")

    async def answering(self, name: str) -> Answering:
        """Raises HTTPException 404."""
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self.models.get, name)
        except KeyError:
            shown = "".join(c if c.isprintable() else "?" for c in name[:LONGEST_NAME])
            raise HTTPException(404, f"Model not found: {shown}") from None

    @asynccontextmanager
    async def asked(
        self, name: str, request: Request
    ) -> AsyncIterator[tuple[Answering, list[Upload]]]:
        """The models of that name and the request's photos, which hold a place in the queue.

        Raises:
            HTTPException: there is no such model, or no photo came.
            BusyError: too many are asked at once.
        """
        with self.batcher.place():
            answering = await self.answering(name)
            async with self._intake.photos(request) as uploads:
                yield answering, uploads

    def prepare_explanations(self, model: Model) -> None:
        """Begin to load what explains answers, since it will be asked for; nothing waits for it."""
        self._loader.submit(model.prepare)

    async def judged(self, pets: Pets, upload: Upload) -> tuple[ViewsByDigest, PetPredictions]:
        """What was seen of a photo, and what is said of it. Raises PhotoError."""
        looks = await self.decoder.run(self.decoder.views, upload.content, pets, LARGEST_PIXELS)
        together = await self.batcher.judged(pets, looks)
        verdicts = [answer.verdict for answer in together.subjects.values()]
        counted = UNSURE if UNSURE in verdicts else str(bool(together.names)).lower()
        self.metrics.photos.labels(counted).inc()
        return looks, together

    async def explanation(
        self, model: Model, views: Views, number: int, explaining: Explaining
    ) -> Explanation:
        """Why a model said what it says of image `number` of a photo."""
        image = views.images[number]
        explained = await self._explained(model, image)
        nearest = [await self._near(one) for one in explained.nearest[: explaining.nearest]]
        answer = Explanation(said=explained.words or None, nearest=nearest)
        if explaining.heat and explained.heat is not None:
            place = views.place(number, model.classifier.spec)
            shape = _shape(place, views)
            answer.heat = await self.decoder.run(_heat_picture, image, explained.heat, shape)
            answer.heat_box = place
        return answer

    async def _explained(self, model: Model, image: Pixels) -> ModelExplanation:
        await asyncio.get_running_loop().run_in_executor(self._loader, model.prepare)
        return await self.batcher.alone(model.explain, image)

    async def _near(self, photo: Resembling) -> Near:
        src = ""
        with suppress(PhotoError, OSError):  # it has gone from the album
            jpeg = await self.decoder.run(
                self.decoder.thumbnail, photo.file, NEIGHBOUR_PX, NEIGHBOUR_QUALITY
            )
            src = data_uri(jpeg)
        return Near(path=photo.path, kind=photo.kind, similarity=photo.similarity, src=src)


def _shape(place: Box, views: Views) -> tuple[float, float]:
    """Width and height in whose proportions an image is shown: those of what was squashed to it."""
    x0, y0, x1, y1 = place
    return (x1 - x0) * views.width_px, (y1 - y0) * views.height_px


def _heat_picture(image: Pixels, heat: Floats, shape: tuple[float, float]) -> str:
    """The heat over the image."""
    width, height = (max(1, round(side * SHOWN_PX / max(shape))) for side in shape)
    picture = overlay(image, heat).resize((width, height))
    return data_uri(jpeg_bytes(picture, HEAT_QUALITY))
