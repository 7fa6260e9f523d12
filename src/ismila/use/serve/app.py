"""The application: routes and what they say."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client as prometheus
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from ismila.evidence.heat import overlay
from ismila.learning.decision import verdict_of
from ismila.photos import UserError
from ismila.photos.images import PhotoError, fit_photo, jpeg_bytes, open_photo
from ismila.use.serve.batcher import Batcher, BusyError
from ismila.use.serve.models import Model, Models
from ismila.use.serve.upload import LARGEST_PIXELS, read_photos

PLACES = 64
SHOWN_PX = 480
NEIGHBOUR_PX = 128
PAGE = resources.files("ismila.use.serve") / "page"
FILES = {
    "": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "answers.js": "text/javascript",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; frame-ancestors 'none'"


class _Metrics:
    def __init__(self, batcher: Batcher) -> None:
        self.registry = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter(
            "ismila_requests", "Requests by status", ["status"], registry=self.registry
        )
        self.photos = prometheus.Counter(
            "ismila_photos", "Photos by verdict", ["verdict"], registry=self.registry
        )
        self.seconds = prometheus.Histogram(
            "ismila_request_seconds", "Time to answer", registry=self.registry
        )
        waiting = prometheus.Gauge(
            "ismila_requests_waiting", "Requests under way", registry=self.registry
        )
        waiting.set_function(lambda: batcher.taken)


class Server:
    """What the routes need; one for each application."""

    def __init__(self, models: Models, feedback: bool, loopback: bool, places: int) -> None:
        self.models, self.feedback, self.loopback = (
            models,
            feedback and models.takes_corrections,
            loopback,
        )
        self.batcher = Batcher(places)
        self.metrics = _Metrics(self.batcher)
        self.decoders = ThreadPoolExecutor(os.cpu_count() or 1, "decode")

    async def model(self, name: str) -> Model:
        """Raises HTTPException 404."""
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self.models.get, name)
        except KeyError:
            shown = "".join(c if c.isprintable() else "?" for c in name[:80])
            raise HTTPException(404, f"Model not found: {shown}") from None

    async def answer(
        self, model: Model, name: str, content: bytes, heat: bool, nearest: int
    ) -> dict[str, Any]:
        """One photo's answer. Raises PhotoError."""
        spec = model.classifier.spec
        loop = asyncio.get_running_loop()
        photo = await loop.run_in_executor(
            self.decoders, open_photo, content, spec.size_px, LARGEST_PIXELS
        )
        image = await loop.run_in_executor(self.decoders, fit_photo, photo, spec)
        p = await self.batcher.probability(model.classifier, image)
        subject, threshold = model.classifier.subject, model.classifier.threshold
        verdict = verdict_of(p, threshold, subject)
        self.metrics.photos.labels(
            "unsure" if verdict == "unsure" else str(p >= threshold).lower()
        ).inc()
        told: dict[str, Any] = {
            "name": name,
            "probability": p,
            "verdict": verdict,
            "is_subject": p >= threshold,
        }
        if heat or nearest:
            explained = await self.batcher.alone(model.explain, image)
            if explained.said:
                told["said"] = explained.said
            if heat and explained.heat is not None:
                shape = photo.size if spec.fit == "squash" else (1, 1)
                width, height = (max(1, round(side * SHOWN_PX / max(shape))) for side in shape)
                told["heat"] = _data_uri(
                    jpeg_bytes(overlay(image, explained.heat).resize((width, height)), 80)
                )
            near = explained.nearest[:nearest]
            told["nearest"] = [one | {"src": await self._thumbnail(path)} for path, one in near]
        return told

    async def _thumbnail(self, path: Path) -> str:
        def make() -> str:
            photo = open_photo(path, NEIGHBOUR_PX)
            photo.thumbnail((NEIGHBOUR_PX, NEIGHBOUR_PX))
            return _data_uri(jpeg_bytes(photo, 78))

        try:
            return await asyncio.get_running_loop().run_in_executor(self.decoders, make)
        except (PhotoError, OSError):
            return ""


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


class _FirstApiCors(CORSMiddleware):
    """Other sites' pages may ask the first is-mila's API, as they could; not for training photos."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        first = scope["type"] == "http" and scope["path"].split("/")[1] == "model"
        await (super().__call__ if first else self.app)(scope, receive, send)


def make_app(models: Models, feedback: bool, loopback: bool, places: int = PLACES) -> FastAPI:
    """The whole application.

    Args:
        feedback: the page may write corrections into the album, where there is one.
        loopback: only this machine can reach the server: a request that names another host comes from a page whose
            name was bound to this machine (DNS rebinding), and is refused.
        places: requests with photos under way at once; beyond them 503 with Retry-After.
    """
    server = Server(models, feedback, loopback, places)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(server.batcher.run())
        side = models.default.classifier.spec.size_px
        # torch is imported before the first photo comes, in the thread that uses it: two that import it at once meet it
        # half-way
        warm = asyncio.create_task(
            server.batcher.alone(models.default.explain, np.zeros((side, side, 3), np.uint8))
        )
        yield
        warm.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    app = FastAPI(title="Is it Mila?", lifespan=running, docs_url=None, redoc_url=None)
    app.add_middleware(_FirstApiCors, allow_origins=["*"], allow_methods=["GET", "POST"])
    _say_errors(app, server)
    _first_api(app, server)
    _api(app, server)
    _page(app)
    return app


def _host(request: Request) -> str:
    return request.headers.get("host", "").rsplit(":", 1)[0].strip("[]").lower()


def _say_errors(app: FastAPI, server: Server) -> None:
    def say(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({"error": text}, status, headers)

    @app.middleware("http")
    async def measured(
        request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        started = time.perf_counter()
        if server.loopback and _host(request) not in LOOPBACK:
            answer = say(
                403,
                "asked under another name than this machine's; start with --host 0.0.0.0 for others",
            )
        else:
            answer = await go_on(request)
        server.metrics.requests.labels(str(answer.status_code)).inc()
        server.metrics.seconds.observe(time.perf_counter() - started)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    @app.exception_handler(StarletteHTTPException)
    async def http(request: Request, error: Any) -> Response:
        text = str(error.detail)
        if error.status_code == 404 and text == "Not Found":
            text = "no such address; /openapi.json lists them"
        return say(error.status_code, text, error.headers)

    @app.exception_handler(PhotoError)
    async def photo(_: Request, error: Exception) -> Response:
        return say(413 if str(error).startswith("too large") else 422, str(error))

    @app.exception_handler(UserError)
    async def wrong(_: Request, error: Exception) -> Response:
        return say(400, str(error))

    @app.exception_handler(BusyError)
    async def busy(_: Request, __: Exception) -> Response:
        return say(503, "too many photos at once: try again in a second", {"Retry-After": "1"})


def _first_api(app: FastAPI, server: Server) -> None:
    @app.get("/model", tags=["first is-mila"])
    def names() -> dict[str, list[str]]:
        """Every model's name."""
        return {"models": server.models.names()}

    @app.post("/model/{name:path}/prediction", tags=["first is-mila"])
    async def prediction(name: str, request: Request) -> list[dict[str, float]]:
        """Raw image bytes -> the probability of the subject and of the rest."""
        with server.batcher.place():
            model = await server.model(name)
            [(_, content), *_more] = await read_photos(request)
            p = (await server.answer(model, "", content, False, 0))["probability"]
        subject = model.classifier.subject
        return [{subject: p, f"not_{subject}": 1 - p}]

    @app.get("/model/{name:path}", tags=["first is-mila"])
    async def described(name: str) -> dict[str, Any]:
        """What the network takes, and how well it did."""
        classifier = (await server.model(name)).classifier
        side, scores, subject = classifier.spec.size_px, classifier.scores, classifier.subject
        logs = {key: scores.get(key) for key in ("accuracy", "loss", "val_accuracy", "val_loss")}
        return {
            "network": {
                "batch_size": 1,
                "image": {"rows": side, "cols": side, "color_channels": 3},
            },
            "meta": {"classes": [subject, f"not_{subject}"], "latest_logs": logs},
        }


def _api(app: FastAPI, server: Server) -> None:
    body: dict[str, Any] = {"requestBody": {"content": {"image/*": {}, "multipart/form-data": {}}}}

    @app.get("/api", tags=["api"])
    def about() -> dict[str, Any]:
        """Which run answers, and whether corrections are taken."""
        classifier = server.models.default.classifier
        return {
            "subject": classifier.subject,
            "run": server.models.default.run_id,
            "threshold": classifier.threshold,
            "feedback": server.feedback,
        }

    @app.post("/api/predict", tags=["api"], openapi_extra=body)
    async def predict(
        request: Request, run: str = "", heat: bool = False, nearest: int = Query(0, ge=0, le=5)
    ) -> dict[str, Any]:
        """One photo as the body, or up to 16 as a form's files -> probability and verdict of each.

        `heat` adds a heat map as a data URI, `nearest` as many of the training photos that resemble it most. A photo
        that cannot be read gets an `error`; when none can be read the answer is a 4xx.
        """
        with server.batcher.place():
            model = await server.model(run)
            photos = await read_photos(request)

            async def one(name: str, content: bytes) -> dict[str, Any] | PhotoError:
                try:
                    return await server.answer(model, name, content, heat, nearest)
                except PhotoError as error:
                    return error

            found = await asyncio.gather(*(one(*photo) for photo in photos))
        if isinstance(found[0], PhotoError) and all(isinstance(told, PhotoError) for told in found):
            raise found[0]
        answers = [
            {"name": name, "error": str(told)} if isinstance(told, PhotoError) else told
            for (name, _), told in zip(photos, found, strict=True)
        ]
        classifier = model.classifier
        return {
            "run": model.run_id,
            "subject": classifier.subject,
            "threshold": classifier.threshold,
            "photos": answers,
        }

    @app.post("/api/feedback", tags=["api"], openapi_extra=body)
    async def feedback(request: Request, label: str) -> dict[str, str]:
        """ "That's wrong": keep the photo's right label in the album, where `ismila check` and the next run find it."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if not server.feedback or (origin and origin.split("://")[-1] != host):
            raise HTTPException(
                403, "corrections are taken on this machine's own page only, or with --feedback"
            )
        with server.batcher.place():
            [(_, content), *_more] = await read_photos(request)
            return {"path": await server.batcher.alone(server.models.correct, content, label)}

    @app.get("/health", tags=["operation"])
    def health() -> dict[str, str]:
        """It answers."""
        return {"status": "ok", "run": server.models.default.run_id}

    @app.get("/metrics", tags=["operation"], response_class=Response)
    def metrics() -> Response:
        """Prometheus' text format."""
        return Response(
            prometheus.generate_latest(server.metrics.registry),
            media_type=prometheus.CONTENT_TYPE_LATEST,
        )


def _page(app: FastAPI) -> None:
    for name, media_type in FILES.items():
        content = (PAGE / (name or "index.html")).read_bytes()

        def file(content: bytes = content, media_type: str = media_type) -> Response:
            return Response(content, media_type=f"{media_type}; charset=utf-8")

        app.add_api_route(
            f"/{name}", lambda file=file: file(), methods=["GET"], include_in_schema=False
        )


def serve(models: Models, host: str, port: int, feedback: bool) -> int:
    """Serve until Ctrl-C or SIGTERM, which let the requests under way finish.

    Raises:
        UserError: the address is taken, or there is no album for corrections.
    """
    import uvicorn

    if feedback and not models.takes_corrections:
        raise UserError(
            "--feedback needs the run's album; an exported model has none, serve the run or leave it out"
        )
    loopback = host in LOOPBACK
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"--host {host} --port {port}: {error.strerror}; give another"
            ) from error
    app = make_app(models, feedback or loopback, loopback)
    print(f"http://{host}:{port}/  (run {models.default.run_id[:8]}; Ctrl-C ends it)", flush=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=10)
    return 0
