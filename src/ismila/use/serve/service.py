"""From an uploaded photo to its answer: decoded, judged, explained where that is asked for."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi import HTTPException, Request

from ismila.evidence.heat import overlay
from ismila.learning.decision import verdict_of
from ismila.learning.features import Floats
from ismila.photos.images import ImageSpec, PhotoError, jpeg_bytes
from ismila.use.decoder import Decoder, SmallImage
from ismila.use.serve.answers import Judged, Near
from ismila.use.serve.batcher import Batcher
from ismila.use.serve.metrics import Metrics
from ismila.use.serve.models import Explained, Model, Models, Resembling
from ismila.use.serve.upload import LARGEST_PIXELS, Intake, Upload

PLACES = 64
SHOWN_PX = 480
NEIGHBOUR_PX = 128
HEAT_QUALITY = 80
NEIGHBOUR_QUALITY = 78
LONGEST_NAME = 80
"""Characters of an unknown name that an error repeats."""


@dataclass(frozen=True, kw_only=True)
class Explaining:
    """What a request wants to know besides the verdict.

    Attributes:
        heat: a heat map.
        nearest: so many training photos that resemble it most.
    """

    heat: bool = False
    nearest: int = 0


class Service:
    """What the routes need; one for each application.

    Args:
        places: requests with photos under way at once.
    """

    def __init__(self, models: Models, places: int = PLACES) -> None:
        self.models = models
        self.batcher = Batcher(places)
        self.decoder = Decoder()
        self.metrics = Metrics(waiting=lambda: self.batcher.taken)
        self._intake = Intake()
        # one thread: explanations import torch, and two that import it at once meet it half-way
        self._loader = ThreadPoolExecutor(1, "explanations")

    async def model(self, name: str) -> Model:
        """Raises HTTPException 404."""
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self.models.get, name)
        except KeyError:
            shown = "".join(c if c.isprintable() else "?" for c in name[:LONGEST_NAME])
            raise HTTPException(404, f"Model not found: {shown}") from None

    @asynccontextmanager
    async def asked(self, name: str, request: Request) -> AsyncIterator[tuple[Model, list[Upload]]]:
        """The model of that name and the request's photos, which hold a place in the queue.

        Raises:
            HTTPException: there is no such model, or no photo came.
            BusyError: too many are asked at once.
        """
        with self.batcher.place():
            model = await self.model(name)
            async with self._intake.photos(request) as uploads:
                yield model, uploads

    def prepare_explanations(self, model: Model) -> None:
        """Begin to load what explains answers, since it will be asked for; nothing waits for it."""
        self._loader.submit(model.prepare)

    async def judged(self, model: Model, upload: Upload, explaining: Explaining) -> Judged:
        """One photo's answer. Raises PhotoError."""
        spec = model.classifier.spec
        small = await self.decoder.run(
            self.decoder.small_image, upload.content, spec, LARGEST_PIXELS
        )
        p = await self.batcher.probability(model.classifier, small.pixels)
        is_subject = p >= model.classifier.threshold
        verdict = verdict_of(p, model.classifier.threshold, model.classifier.subject)
        counted = "unsure" if verdict == "unsure" else str(is_subject).lower()
        self.metrics.photos.labels(counted).inc()
        answer = Judged(name=upload.name, probability=p, verdict=verdict, is_subject=is_subject)
        if explaining.heat or explaining.nearest:
            explained = await self._explained(model, small)
            answer.said = explained.words or None
            answer.nearest = [
                await self._near(one) for one in explained.nearest[: explaining.nearest]
            ]
            if explaining.heat and explained.heat is not None:
                answer.heat = await self.decoder.run(_heat_picture, small, explained.heat, spec)
        return answer

    async def _explained(self, model: Model, small: SmallImage) -> Explained:
        await asyncio.get_running_loop().run_in_executor(self._loader, model.prepare)
        return await self.batcher.alone(model.explain, small.pixels)

    async def _near(self, photo: Resembling) -> Near:
        src = ""
        with suppress(PhotoError, OSError):  # it has gone from the album
            jpeg = await self.decoder.run(
                self.decoder.thumbnail, photo.file, NEIGHBOUR_PX, NEIGHBOUR_QUALITY
            )
            src = _data_uri(jpeg)
        return Near(path=photo.path, kind=photo.kind, similarity=photo.similarity, src=src)


def _heat_picture(small: SmallImage, heat: Floats, spec: ImageSpec) -> str:
    """The heat over the image, in the photo's proportions where it was squashed."""
    shape = (small.width_px, small.height_px) if spec.fit == "squash" else (1, 1)
    width, height = (max(1, round(side * SHOWN_PX / max(shape))) for side in shape)
    picture = overlay(small.pixels, heat).resize((width, height))
    return _data_uri(jpeg_bytes(picture, HEAT_QUALITY))


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
