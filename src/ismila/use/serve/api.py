"""The documented API: `/api`, `/api/predict`, `/api/feedback`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request

from ismila.photos import UserError
from ismila.photos.images import PhotoError
from ismila.use.ask.pets import PetPredictions
from ismila.use.serve.answering import Answering
from ismila.use.serve.answers import (
    About,
    AboutPets,
    Answer,
    AnswerOfPets,
    Explanation,
    Judged,
    JudgedAnimal,
    JudgedPet,
    JudgedPets,
    Kept,
    Known,
    NotJudged,
)
from ismila.use.serve.service import Explaining, Service
from ismila.use.serve.upload import LARGEST_PIXELS, Upload

BODY: dict[str, object] = {"requestBody": {"content": {"image/*": {}, "multipart/form-data": {}}}}


def add_api(app: FastAPI, service: Service, takes_feedback: bool) -> None:
    """Add the routes; what they answer depends on whether several pets are served."""
    api = _Endpoints(service, takes_feedback)
    several = service.models.is_several
    app.get("/api", tags=["api"], response_model=AboutPets if several else About)(api.about)
    app.post(
        "/api/predict",
        tags=["api"],
        openapi_extra=BODY,
        response_model=AnswerOfPets if several else Answer,
        response_model_exclude_none=True,
    )(api.predict)
    app.post("/api/feedback", tags=["api"], openapi_extra=BODY)(api.feedback)


class _Endpoints:
    def __init__(self, service: Service, takes_feedback: bool) -> None:
        self.service = service
        self.takes_feedback = takes_feedback

    def about(self) -> About | AboutPets:
        """Which runs answer, and whether corrections are taken."""
        models = self.service.models.default.models
        known = {
            subject: Known(run=model.run_id, threshold=model.classifier.threshold)
            for subject, model in models.items()
        }
        if self.service.models.is_several:
            return AboutPets(subjects=known, feedback=self.takes_feedback)
        [(subject, model)] = models.items()
        self.service.prepare_explanations(model)  # the page asks this first, and for heat next
        return About(subject=subject, **dict(known[subject]), feedback=self.takes_feedback)

    async def predict(
        self,
        request: Request,
        run: str = "",
        heat: bool = False,
        nearest: Annotated[int, Query(ge=0, le=5)] = 0,
        subject: str = "",
    ) -> Answer | AnswerOfPets:
        """One photo as the body, or up to 16 as a form's files -> probability and verdict of each.

        `heat` adds a heat map as a data URI, `nearest` as many of the training photos that resemble
        it most: of the pet `subject`, otherwise of each that is in the photo. A photo that cannot be
        read gets an `error`; when none can be read the answer is a 4xx.
        """
        explaining = Explaining(heat=heat, nearest=nearest, subject=subject)
        async with self.service.asked(run, request) as (answering, uploads):
            _require_known(subject, answering)
            photos = await asyncio.gather(
                *(self._judge(answering, one, explaining) for one in uploads)
            )
        problems = [photo for photo in photos if isinstance(photo, PhotoError)]
        if len(problems) == len(photos):
            raise problems[0]
        answers = [
            NotJudged(name=upload.name, error=str(photo))
            if isinstance(photo, PhotoError)
            else photo
            for upload, photo in zip(uploads, photos, strict=True)
        ]
        return self._answer(answering, answers)

    def _answer(
        self, answering: Answering, photos: list[Judged | JudgedPets | NotJudged]
    ) -> Answer | AnswerOfPets:
        if self.service.models.is_several:
            return AnswerOfPets.model_validate({"photos": photos})
        first = answering.first
        return Answer.model_validate(
            {
                "run": first.run_id,
                "subject": first.classifier.subject,
                "threshold": first.classifier.threshold,
                "photos": photos,
            }
        )

    async def _judge(
        self, answering: Answering, upload: Upload, explaining: Explaining
    ) -> Judged | JudgedPets | PhotoError:
        pets = answering.pets
        try:
            looks, together = await self.service.judged(pets, upload)
        except PhotoError as error:
            return error
        whose = explaining.whose(together) if self.service.models.is_several else pets.runs
        why = {
            subject: await self.service.explanation(
                answering.models[subject],
                pets.views_of(subject, looks),
                together.subjects[subject].image,
                explaining,
            )
            for subject in (whose if explaining.is_asked_for else ())
        }
        animals = _animals(together) if pets.look_for_animals else None
        if self.service.models.is_several:
            return _judged_pets(upload.name, together, animals, why)
        return _judged(upload.name, together, animals, why)

    async def feedback(self, request: Request, label: str) -> Kept:
        """ "That's wrong": keep the photo's right label in the album, where `ismila check` and the
        next run find it: a pet's name, `not_NAME` where there is no animal, `pets/other` or `drop`."""
        if not self.takes_feedback:
            text = "corrections are taken on this machine's own page only, or with --feedback"
            raise HTTPException(403, text)
        async with self.service.asked("", request) as (answering, [upload, *_]):
            decoder = self.service.decoder
            # only a photo is kept
            await decoder.run(decoder.views, upload.content, answering.pets, LARGEST_PIXELS)
            correct = self.service.models.correct
            path = await asyncio.to_thread(correct, upload.content, label)
        return Kept(path=path)


def _require_known(subject: str, answering: Answering) -> None:
    if subject and subject not in answering.models:
        raise UserError(f"subject={subject[:40]}: expected {' or '.join(answering.models)}")


def _animals(together: PetPredictions) -> list[JudgedAnimal]:
    return [JudgedAnimal(**vars(animal)) for animal in together.animals]


def _judged(
    name: str,
    together: PetPredictions,
    animals: list[JudgedAnimal] | None,
    why: Mapping[str, Explanation],
) -> Judged:
    """The answer where there is one pet."""
    [(subject, answer)] = together.subjects.items()
    return Judged(
        name=name,
        probability=answer.probability,
        verdict=answer.verdict,
        is_subject=answer.is_subject,
        animals=animals,
        **dict(why.get(subject, Explanation())),
    )


def _judged_pets(
    name: str,
    together: PetPredictions,
    animals: list[JudgedAnimal] | None,
    why: Mapping[str, Explanation],
) -> JudgedPets:
    subjects = {
        subject: JudgedPet(**vars(answer), **dict(why.get(subject, Explanation())))
        for subject, answer in together.subjects.items()
    }
    return JudgedPets(name=name, names=list(together.names), subjects=subjects, animals=animals)
