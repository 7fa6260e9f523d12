"""The first is-mila's API, `/model/NAME/prediction`, as its clients know it."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from ismila.use.serve.answers import Description, ImageShape, Meta, Names, NetworkShape
from ismila.use.serve.service import Service
from ismila.use.web import first_part

FIRST = "model"
"""First part of all its addresses."""
LOGS = ("accuracy", "loss", "val_accuracy", "val_loss")


class FirstApiCors(CORSMiddleware):
    """Lets other sites' pages ask the first is-mila's API, as they could; for no training photo."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and first_part(scope["path"]) == FIRST:
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def add_first_api(app: FastAPI, service: Service) -> None:
    """Add the routes, and the headers that let other sites' pages ask them."""
    api = _FirstApi(service)
    app.add_middleware(FirstApiCors, allow_origins=["*"], allow_methods=["GET", "POST"])
    app.get("/model", tags=["first is-mila"])(api.names)
    app.post("/model/{name:path}/prediction", tags=["first is-mila"])(api.prediction)
    app.get("/model/{name:path}", tags=["first is-mila"])(api.described)


class _FirstApi:
    def __init__(self, service: Service) -> None:
        self.service = service

    def names(self) -> Names:
        """Every model's name."""
        return Names(models=self.service.models.names())

    async def prediction(self, name: str, request: Request) -> list[dict[str, float]]:
        """Raw image bytes -> the probability of the subject and of the rest.

        Its clients know one subject: of several pets that a name means, the first.
        """
        async with self.service.asked(name, request) as (answering, [upload, *_]):
            _, together = await self.service.judged(answering.pets, upload)
        subject, answer = next(iter(together.subjects.items()))
        return [{subject: answer.probability, f"not_{subject}": 1 - answer.probability}]

    async def described(self, name: str) -> Description:
        """What the network takes, and how well it did."""
        classifier = (await self.service.answering(name)).first.classifier
        side = classifier.spec.size_px
        shape = ImageShape(rows=side, cols=side, color_channels=3)
        return Description(
            network=NetworkShape(batch_size=1, image=shape),
            meta=Meta(
                classes=[classifier.subject, f"not_{classifier.subject}"],
                latest_logs={name: classifier.scores.get(name) for name in LOGS},
            ),
        )
