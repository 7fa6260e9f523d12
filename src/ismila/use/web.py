"""What the pages of this package share: who may ask, what a browser is told, how an error reads,
and how a server starts."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import PurePath

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ismila.photos import UserError
from ismila.photos.images import PhotoError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:@/\[\]]+)(:\d*)?")

DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
"""What each of our pages may do, served or exported: nothing but ask where it came from."""


def content_policy(**more: str) -> str:
    """A Content-Security-Policy.

    Args:
        more: directives, `_` for `-`, that replace the shared ones or come after them.
    """
    directives = DIRECTIVES | {name.replace("_", "-"): value for name, value in more.items()}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


HEADERS = {
    "Content-Security-Policy": content_policy(frame_ancestors="'none'"),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, errors too. The last keeps other sites from showing photos as theirs."""


class Guard:
    """Lets in who may ask, and tells the browser what the page may do.

    A page of another site that is open in the same browser can send requests here. It can name this
    machine's address: its Origin gives it away. It can bind a name of its own to this machine (DNS
    rebinding): the Host gives it away.

    Args:
        loopback: only this machine can reach the server, so that no other Host is right.
        open_to_others: the first part of addresses that pages of other sites may ask.
    """

    def __init__(self, app: ASGIApp, loopback: bool, open_to_others: str | None = None) -> None:
        self.app = app
        self.loopback = loopback
        self.open_to_others = open_to_others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if reason := self._reason_to_refuse(Request(scope)):
            await error_response(403, reason)(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            if not started:
                answer = error_response(500, "a fault of the server: its terminal says more")
                await answer(scope, receive, send_with_headers)
            raise  # the traceback belongs into the terminal

    def _reason_to_refuse(self, request: Request) -> str:
        if self.loopback and host_of(request) not in LOOPBACK:
            return (
                "asked under another name than this machine's; start with --host 0.0.0.0 for others"
            )
        if first_part(request.url.path) == self.open_to_others:
            return ""
        return "" if is_of_own_page(request) else "only this server's own page may ask"


def host_of(request: Request) -> str:
    """The Host that was asked for, without its port; empty when it is none."""
    match = _HOST.fullmatch(request.headers.get("host", "").lower())
    return match[1].strip("[]") if match else ""


def first_part(path: str) -> str:
    """`model` of `/model/x`."""
    return path.lstrip("/").split("/")[0]


def is_of_own_page(request: Request) -> bool:
    """Whether no page of another origin sent it; programs that are no browsers name no origin."""
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if request.headers.get("origin", own) != own:
        return False
    # a link on another site may open the page, but nothing of theirs may change anything
    by = request.headers.get("sec-fetch-site", "none")
    return request.method in READING or by in ("none", "same-origin")


def error_response(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every address says it: `{"error": TEXT}`."""
    return JSONResponse({"error": text}, status, headers)


def say_errors(app: FastAPI) -> None:
    """Make the application's errors `{"error": TEXT}`."""

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        text = str(error.detail)
        if error.status_code == 404 and text == "Not Found":
            listed = f"; {app.openapi_url} lists them" if app.openapi_url else ""
            text = f"no such address{listed}"
        return error_response(error.status_code, text, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problems = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()]
        return error_response(422, "; ".join(problems))

    @app.exception_handler(PhotoError)
    async def photo(_: Request, error: PhotoError) -> Response:
        return error_response(413 if str(error).startswith("too large") else 422, str(error))

    @app.exception_handler(UserError)
    async def user(_: Request, error: UserError) -> Response:
        return error_response(400, str(error))


TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def add_page(app: FastAPI, folder: Traversable, names: Sequence[str]) -> None:
    """Serve files of a page, which are read once; `index.html` is at `/`."""
    for name in names:
        _add_file(app, "" if name == "index.html" else name, (folder / name).read_bytes(), name)


def _add_file(app: FastAPI, address: str, content: bytes, name: str) -> None:
    media_type = f"{TYPES[PurePath(name).suffix]}; charset=utf-8"

    def file() -> Response:
        return Response(content, media_type=media_type)

    app.add_api_route(f"/{address}", file, methods=["GET", "HEAD"], include_in_schema=False)


def run_server(app: FastAPI, host: str, port: int, about: str) -> None:
    """Say the address and serve until Ctrl-C or SIGTERM, which let the requests under way finish.

    Raises:
        UserError: the address is taken, or is none.
    """
    import uvicorn

    _require_free(host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"http://{shown}:{port}/  ({about}; Ctrl-C ends it)", flush=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=10)


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "expected 0 to 65535"
            raise UserError(f"--host {host} --port {port}: {reason}; give another") from error
