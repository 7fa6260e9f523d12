"""The suspects of an album as one file, without editing: `ismila check --html FILE`."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.files import write_aside
from ismila.photos.images import PhotoError, data_uri
from ismila.use.check.review import Review
from ismila.use.check.thumbnails import THUMBNAIL_PX

PAGE = resources.files("ismila.use.check") / "page"
STYLE = '<link rel="stylesheet" href="check.css">'
SCRIPT = '<script type="module" src="check.js"></script>'


def write_page(review: Review, file: Path) -> None:
    """Write the page, which needs nothing else. Raises UserError."""
    listing = asdict(review.listing())
    for photo in listing["photos"]:
        photo["src"] = _thumbnail(review, photo["path"])
    data = json.dumps(listing).replace("<", "\\u003c")
    scripts = (
        f"<script>window.ALBUM = {data};</script>\n"
        f'<script type="module">{_read("check.js")}</script>'
    )
    page = _read("index.html").replace(STYLE, f"<style>{_read('check.css')}</style>")
    try:
        write_aside(file, page.replace(SCRIPT, scripts).encode())
    except OSError as error:
        reason = f"{error.strerror}; give a file that may be written"
        raise UserError(f"--html {file}: {reason}") from error


def _thumbnail(review: Review, path: str) -> str:
    """The photo's thumbnail; empty where it cannot be decoded."""
    try:
        jpeg = review.thumbnail(path, THUMBNAIL_PX)
    except (PhotoError, OSError):
        return ""
    return data_uri(jpeg)


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
