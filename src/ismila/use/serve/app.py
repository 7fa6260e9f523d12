"""The application: the page, both APIs, and what an operator asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import resources

from fastapi import FastAPI, Request, Response

from ismila.photos import UserError
from ismila.use.serve.answering import AllModels
from ismila.use.serve.answers import Health, HealthOfPets
from ismila.use.serve.api import add_api
from ismila.use.serve.batcher import BusyError
from ismila.use.serve.first_api import FIRST, add_first_api
from ismila.use.serve.metrics import Measured
from ismila.use.serve.models import Models
from ismila.use.serve.service import PLACES, Service
from ismila.use.web import LOOPBACK, Guard, add_page, error_response, run_server, say_errors

PAGE = resources.files("ismila.use.serve") / "page"
FILES = ("index.html", "page.css", "page.js", "answers.js")


def make_app(*models: Models, feedback: bool, loopback: bool, places: int = PLACES) -> FastAPI:
    """The whole application.

    Args:
        models: of each pet that it answers for, at least one.
        feedback: the page may write corrections into the album, where there is one.
        loopback: only this machine can reach the server.
        places: requests with photos under way at once; beyond them 503 with Retry-After.
    """
    service = Service(AllModels(models), places)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(service.batcher.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    app = FastAPI(title="Is it Mila?", lifespan=running, docs_url=None, redoc_url=None)
    say_errors(app)
    _say_busy(app)
    add_first_api(app, service)
    add_api(app, service, feedback and service.models.takes_corrections)
    _add_operation(app, service)
    add_page(app, PAGE, FILES)
    # what is added last is asked first
    app.add_middleware(Guard, loopback=loopback, open_to_others=FIRST)
    app.add_middleware(Measured, metrics=service.metrics)
    return app


def _say_busy(app: FastAPI) -> None:
    @app.exception_handler(BusyError)
    async def busy(_: Request, __: BusyError) -> Response:
        text = "too many photos at once: try again in a second"
        return error_response(503, text, {"Retry-After": "1"})


def _add_operation(app: FastAPI, service: Service) -> None:
    models = service.models

    @app.get(
        "/health",
        tags=["operation"],
        response_model=HealthOfPets if models.is_several else Health,
    )
    def health() -> Health | HealthOfPets:
        """It answers."""
        if models.is_several:
            return HealthOfPets(status="ok", runs=models.default.runs)
        return Health(status="ok", run=models.default.first.run_id)

    @app.get("/metrics", tags=["operation"], response_class=Response)
    def metrics() -> Response:
        """Prometheus' text format."""
        return service.metrics.text()


def serve(models: Sequence[Models], host: str, port: int, feedback: bool) -> int:
    """Serve until Ctrl-C or SIGTERM, which let the requests under way finish.

    Args:
        models: of each pet.

    Raises:
        UserError: the address is taken, or there is no album for corrections.
    """
    if feedback and not all(one.takes_corrections for one in models):
        raise UserError(
            "--feedback needs the run's album; an exported model has none, "
            "serve the run or leave it out"
        )
    loopback = host in LOOPBACK
    app = make_app(*models, feedback=feedback or loopback, loopback=loopback)
    run_server(app, host, port, _runs(models))
    return 0


def _runs(models: Sequence[Models]) -> str:
    if len(models) == 1:
        return f"run {models[0].default.run_id[:8]}"
    return "runs " + ", ".join(f"{one.subject} {one.default.run_id[:8]}" for one in models)
