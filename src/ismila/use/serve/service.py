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
from ismila.learning.graphs import Floats
from ismila.learning.judgement import Judgement, named
from ismila.learning.views import Views
from ismila.photos.images import Box, PhotoError, Pixels, jpeg_bytes
from ismila.use.decoder import Decoder
from ismila.use.serve.answers import Judged, JudgedAnimal, Near
from ismila.use.serve.batcher import Batcher
from ismila.use.serve.metrics import Metrics
from ismila.use.serve.models import Asked, Explained, Model, Models, Resembling
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
        classifier = model.classifier
        views = await self.decoder.run(
            self.decoder.views, upload.content, classifier.viewer, LARGEST_PIXELS
        )
        judgement = await self.batcher.judgement(classifier, views)
        p = judgement.probability
        is_subject = p >= classifier.threshold
        verdict = verdict_of(p, classifier.threshold, classifier.subject)
        counted = "unsure" if verdict == "unsure" else str(is_subject).lower()
        self.metrics.photos.labels(counted).inc()
        answer = Judged(
            name=upload.name,
            probability=p,
            verdict=verdict,
            is_subject=is_subject,
            animals=animals_of(judgement, classifier),
        )
        if explaining.heat or explaining.nearest:
            image = views.images[judgement.image]
            explained = await self._explained(model, image)
            answer.said = explained.words or None
            answer.nearest = [
                await self._near(one) for one in explained.nearest[: explaining.nearest]
            ]
            if explaining.heat and explained.heat is not None:
                place = views.place(judgement.image, classifier.spec)
                shape = _shape(place, views)
                answer.heat = await self.decoder.run(_heat_picture, image, explained.heat, shape)
                answer.heat_box = place
        return answer

    async def _explained(self, model: Model, image: Pixels) -> Explained:
        await asyncio.get_running_loop().run_in_executor(self._loader, model.prepare)
        return await self.batcher.alone(model.explain, image)

    async def _near(self, photo: Resembling) -> Near:
        src = ""
        with suppress(PhotoError, OSError):  # it has gone from the album
            jpeg = await self.decoder.run(
                self.decoder.thumbnail, photo.file, NEIGHBOUR_PX, NEIGHBOUR_QUALITY
            )
            src = _data_uri(jpeg)
        return Near(path=photo.path, kind=photo.kind, similarity=photo.similarity, src=src)


def animals_of(judgement: Judgement, classifier: Asked) -> list[JudgedAnimal] | None:
    """The animals by name; None where the classifier is always asked about the whole photo."""
    if classifier.viewer.detector is None:
        return None
    animals = named(judgement, classifier.subject, classifier.threshold)
    return [JudgedAnimal(**vars(animal)) for animal in animals]


def _shape(place: Box, views: Views) -> tuple[float, float]:
    """Width and height in whose proportions an image is shown: those of what was squashed to it."""
    x0, y0, x1, y1 = place
    return (x1 - x0) * views.width_px, (y1 - y0) * views.height_px


def _heat_picture(image: Pixels, heat: Floats, shape: tuple[float, float]) -> str:
    """The heat over the image."""
    width, height = (max(1, round(side * SHOWN_PX / max(shape))) for side in shape)
    picture = overlay(image, heat).resize((width, height))
    return _data_uri(jpeg_bytes(picture, HEAT_QUALITY))


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
