"""What Prometheus is told: requests by status, photos by verdict, seconds, requests under way."""

from __future__ import annotations

import time
from collections.abc import Callable

import prometheus_client as prometheus
from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """The figures of one application.

    Args:
        waiting: tells how many requests with photos are under way.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
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
        under_way = prometheus.Gauge(
            "ismila_requests_waiting", "Requests under way", registry=self.registry
        )
        under_way.set_function(waiting)

    def text(self) -> Response:
        """All of it in Prometheus' text format."""
        content = prometheus.generate_latest(self.registry)
        return Response(content, media_type=prometheus.CONTENT_TYPE_LATEST)


class Measured:
    """Counts and times each answer as it begins."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(str(message["status"])).inc()
                self.metrics.seconds.observe(time.perf_counter() - started)
            await send(message)

        await self.app(scope, receive, counted)
