"""The page of `ismila check --serve` and `scan --review`: a review over HTTP, on this machine only."""

from __future__ import annotations

from importlib import resources
from typing import Annotated

from fastapi import Body, FastAPI, Request, Response
from pydantic import BaseModel

from ismila.photos.names import counted
from ismila.use.check.review import Listing, Reviewed
from ismila.use.check.thumbnails import LARGE_PX, THUMBNAIL_PX, NotListedError
from ismila.use.web import Guard, add_page, error_response, run_server, say_errors

HOST = "127.0.0.1"
PAGE = resources.files("ismila.use.check") / "page"
FILES = ("index.html", "check.css", "check.js")


class Corrected(BaseModel):
    """The photo about which something else is said now; none where there was nothing to undo."""

    path: str | None


def make_app(review: Reviewed) -> FastAPI:
    """The page's server; only the page itself may ask it."""
    app = FastAPI(openapi_url=None)
    say_errors(app)

    @app.exception_handler(NotListedError)
    async def not_listed(_: Request, __: NotListedError) -> Response:
        return error_response(404, "no such photo in the list")

    _add_routes(app, review)
    add_page(app, PAGE, FILES)
    app.add_middleware(Guard, loopback=True)
    return app


def _add_routes(app: FastAPI, review: Reviewed) -> None:
    @app.get("/album.json")
    def listing() -> Listing:
        return review.listing()

    @app.get("/photo")
    async def photo(path: str, large: bool = False) -> Response:
        size_px = LARGE_PX if large else THUMBNAIL_PX
        jpeg = await review.thumbnails.decoder.run(review.thumbnail, path, size_px)
        return Response(jpeg, media_type="image/jpeg")

    @app.post("/correction")
    def correction(
        path: Annotated[str, Body()],
        label: Annotated[str | None, Body()] = None,
        closeup: Annotated[bool | None, Body()] = None,
        box: Annotated[str | None, Body()] = None,
    ) -> Corrected:
        review.correct(path, label, closeup, box)
        return Corrected(path=path)

    @app.post("/undo")
    def undo() -> Corrected:
        return Corrected(path=review.undo())


def serve(review: Reviewed, port: int) -> int:
    """Serve the page on loopback until Ctrl-C. Raises UserError when the port is taken."""
    run_server(make_app(review), HOST, port, counted(len(review.listing().photos), "photo"))
    return 0
