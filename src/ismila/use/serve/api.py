"""The documented API: `/api`, `/api/predict`, `/api/feedback`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request

from ismila.photos.images import PhotoError
from ismila.use.serve.answers import About, Answer, Judged, Kept, NotJudged
from ismila.use.serve.models import Model
from ismila.use.serve.service import Explaining, Service
from ismila.use.serve.upload import LARGEST_PIXELS, Upload

BODY: dict[str, object] = {"requestBody": {"content": {"image/*": {}, "multipart/form-data": {}}}}


def add_api(app: FastAPI, service: Service, takes_feedback: bool) -> None:
    """Add the routes."""
    api = _Api(service, takes_feedback)
    app.get("/api", tags=["api"])(api.about)
    app.post("/api/predict", tags=["api"], openapi_extra=BODY, response_model_exclude_none=True)(
        api.predict
    )
    app.post("/api/feedback", tags=["api"], openapi_extra=BODY)(api.feedback)


class _Api:
    def __init__(self, service: Service, takes_feedback: bool) -> None:
        self.service = service
        self.takes_feedback = takes_feedback

    def about(self) -> About:
        """Which run answers, and whether corrections are taken."""
        model = self.service.models.default
        self.service.prepare_explanations(model)  # the page asks this first, and for heat next
        return About(
            subject=model.classifier.subject,
            run=model.run_id,
            threshold=model.classifier.threshold,
            feedback=self.takes_feedback,
        )

    async def predict(
        self,
        request: Request,
        run: str = "",
        heat: bool = False,
        nearest: Annotated[int, Query(ge=0, le=5)] = 0,
    ) -> Answer:
        """One photo as the body, or up to 16 as a form's files -> probability and verdict of each.

        `heat` adds a heat map as a data URI, `nearest` as many of the training photos that resemble
        it most. A photo that cannot be read gets an `error`; when none can be read the answer is a
        4xx.
        """
        explaining = Explaining(heat=heat, nearest=nearest)
        async with self.service.asked(run, request) as (model, uploads):
            photos = await asyncio.gather(*(self._judge(model, one, explaining) for one in uploads))
        problems = [photo for photo in photos if isinstance(photo, PhotoError)]
        if len(problems) == len(photos):
            raise problems[0]
        return Answer(
            run=model.run_id,
            subject=model.classifier.subject,
            threshold=model.classifier.threshold,
            photos=[
                NotJudged(name=upload.name, error=str(photo))
                if isinstance(photo, PhotoError)
                else photo
                for upload, photo in zip(uploads, photos, strict=True)
            ],
        )

    async def _judge(
        self, model: Model, upload: Upload, explaining: Explaining
    ) -> Judged | PhotoError:
        try:
            return await self.service.judged(model, upload, explaining)
        except PhotoError as error:
            return error

    async def feedback(self, request: Request, label: str) -> Kept:
        """ "That's wrong": keep the photo's right label in the album, where `ismila check` and the
        next run find it."""
        if not self.takes_feedback:
            text = "corrections are taken on this machine's own page only, or with --feedback"
            raise HTTPException(403, text)
        async with self.service.asked("", request) as (model, [upload, *_]):
            decoder = self.service.decoder
            viewer = model.classifier.viewer
            # only a photo is kept
            await decoder.run(decoder.views, upload.content, viewer, LARGEST_PIXELS)
            correct = self.service.models.correct
            path = await asyncio.to_thread(correct, upload.content, label)
        return Kept(path=path)
