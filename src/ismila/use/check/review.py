"""`ismila check`: the suspects of an album as a page, and a local page that writes labels.csv."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from ismila.evidence.suspects import find_suspects
from ismila.learning.features import Progress
from ismila.photos import UserError
from ismila.photos.images import PhotoError, jpeg_bytes, open_photo, write_aside
from ismila.photos.index import index_album
from ismila.photos.labels import correct

THUMBNAIL_PX, LARGE_PX = 320, 1280
PAGE = resources.files("ismila.use.check") / "page"


class Album:
    """An album and what in it looks wrong.

    Attributes:
        suspects: see `find_suspects`.
    """

    def __init__(
        self, root: Path, subject: str, derived: Path, progress: Progress | None = None
    ) -> None:
        self.root, self.subject, self.derived = root, subject, derived
        index = index_album(root, subject, derived, progress)
        self.suspects = find_suspects(index, root, derived, subject, progress)
        self.kinds = sorted(set(index.loc[index["label"] == "pets", "kind"]) | {"other"})
        self._paths = set(self.suspects["path"])
        self._done: list[tuple[str, dict[str, str]]] = []
        self._lock = threading.Lock()

    def described(self) -> dict[str, Any]:
        """What the page shows, as plain values."""
        return {
            "subject": self.subject,
            "root": self.root.name,
            "kinds": self.kinds,
            "photos": [
                {**row, "closeup": None if pd.isna(row["closeup"]) else bool(row["closeup"])}
                for row in self.suspects.to_dict("records")
            ],
        }

    def thumbnail(self, path: str, size_px: int = THUMBNAIL_PX) -> bytes:
        """A JPEG of a suspect, upright, made when it is asked for first and kept beside the index.

        Raises:
            KeyError: not one of the suspects.
            PhotoError: it cannot be decoded.
        """
        if path not in self._paths:
            raise KeyError(path)
        photo = self.root / path
        name = f"{path}\0{photo.stat().st_mtime_ns}" if photo.is_file() else path
        kept = (
            self.derived
            / "thumbnails"
            / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}-{size_px}.jpg"
        )
        if kept.is_file():
            return kept.read_bytes()
        image = open_photo(photo, size_px)
        image.thumbnail((size_px, size_px))
        content = jpeg_bytes(image, 82)
        write_aside(kept, content)
        return content

    def correct(self, path: str, label: str | None, closeup: bool | None) -> None:
        """Write a correction to labels.csv.

        Args:
            label: `SUBJECT`, `not_SUBJECT`, `pets/KIND` or `drop`; None leaves it as it is.

        Raises:
            KeyError: not one of the suspects.
            UserError: the label is none, or labels.csv cannot be written.
        """
        if path not in self._paths:
            raise KeyError(path)
        kinds = [f"pets/{kind}" for kind in self.kinds]
        if label is not None and label not in (self.subject, f"not_{self.subject}", "drop", *kinds):
            raise UserError(
                f"label={label}: expected {self.subject}, not_{self.subject}, {', '.join(kinds)} or drop"
            )
        change = {} if label is None else {"label": label}
        change |= {} if closeup is None else {"closeup": "yes" if closeup else "no"}
        with self._lock:
            self._done.append((path, correct(self.root, self.subject, path, change)))

    def undo(self) -> str | None:
        """Put the last correction back; the photo's path, None when there is nothing to undo."""
        with self._lock:
            if not self._done:
                return None
            path, before = self._done.pop()
            correct(self.root, self.subject, path, before)
            return path

    def write_page(self, file: Path) -> None:
        """One self-contained page of thumbnails, without editing."""
        told = self.described()
        for photo in told["photos"]:
            try:
                data = base64.b64encode(self.thumbnail(photo["path"])).decode()
                photo["src"] = f"data:image/jpeg;base64,{data}"
            except (PhotoError, OSError):
                photo["src"] = ""
        page = _read("index.html").replace(
            '<link rel="stylesheet" href="check.css">', f"<style>{_read('check.css')}</style>"
        )
        data = json.dumps(told, default=str).replace("<", "\\u003c")
        script = f'<script>window.ALBUM = {data};</script>\n<script type="module">{_read("check.js")}</script>'
        page = page.replace('<script type="module" src="check.js"></script>', script)
        try:
            write_aside(file, page.encode())
        except OSError as error:
            raise UserError(
                f"--html {file}: {error.strerror}; give a file that may be written"
            ) from error

    def serve(self, port: int) -> int:
        """Serve the page on loopback until Ctrl-C."""
        import socket

        import uvicorn

        with socket.socket() as probe:
            try:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise UserError(f"--port {port}: {error.strerror}; give another port") from error
        print(
            f"http://127.0.0.1:{port}/  ({len(self.suspects)} photos; Ctrl-C ends it)", flush=True
        )
        uvicorn.run(make_app(self, port), host="127.0.0.1", port=port, log_level="warning")
        return 0


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def make_app(album: Album, port: int) -> Any:
    """The page's server. Only requests that name this loopback address are answered, so that no other web page that
    is open in the same browser can read photos or write labels (DNS rebinding, cross-site requests)."""
    from fastapi import Body, FastAPI, Request, Response
    from fastapi.responses import JSONResponse

    app = FastAPI(openapi_url=None)
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    @app.middleware("http")
    async def only_this_page(
        request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        origin = request.headers.get("origin")
        if request.headers.get("host") not in hosts or (
            origin and origin.split("://")[-1] not in hosts
        ):
            return JSONResponse({"error": "only the page itself may ask"}, 403)
        return await go_on(request)

    @app.exception_handler(UserError)
    async def say(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(KeyError)
    async def unknown(_: Request, __: Exception) -> Response:
        return JSONResponse({"error": "no such photo in the list"}, 404)

    @app.get("/album.json")
    def described() -> Response:
        return Response(json.dumps(album.described(), default=str), media_type="application/json")

    @app.get("/photo")
    def photo(path: str, large: bool = False) -> Response:
        try:
            return Response(
                album.thumbnail(path, LARGE_PX if large else THUMBNAIL_PX), media_type="image/jpeg"
            )
        except (PhotoError, OSError) as error:
            return JSONResponse({"error": str(error)}, 404)

    @app.post("/correction")
    def correction(
        path: str = Body(),
        label: str | None = Body(default=None),
        closeup: bool | None = Body(default=None),
    ) -> dict[str, str]:
        album.correct(path, label, closeup)
        return {"path": path}

    @app.post("/undo")
    def undo() -> dict[str, str | None]:
        return {"path": album.undo()}

    types = {"": "text/html", "check.css": "text/css", "check.js": "text/javascript"}
    for name, media_type in types.items():

        def file(name: str = name or "index.html", media_type: str = media_type) -> Response:
            return Response(_read(name), media_type=f"{media_type}; charset=utf-8")

        app.add_api_route(f"/{name}", lambda file=file: file(), methods=["GET"])
    return app
