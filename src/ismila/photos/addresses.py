"""Where an album is: a folder, or an address such as `s3://bucket/album`, whose local copy has a path of its own."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

from ismila.photos.names import at_home

MIRRORS = Path("data/cache/mirrors")
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://.+", re.DOTALL)


def is_address(text: str) -> bool:
    """Whether it names a place that fsspec opens, not a folder."""
    return ADDRESS.fullmatch(text) is not None


def album_at(text: str) -> Path:
    """The folder that a person names, or the local copy of the address that they name."""
    if not is_address(text):
        return at_home(text)
    return MIRRORS / quote(text.rstrip("/"), safe="")


def address_of(folder: Path) -> str:
    """The address whose local copy this is; empty for any other folder."""
    address = unquote(folder.name)
    is_mirror = folder.parent.parts[-len(MIRRORS.parts) :] == MIRRORS.parts
    return address if is_mirror and is_address(address) else ""


def place_of(root: Path) -> str:
    """Where an album is: its address, or its folder's full path."""
    return address_of(root) or str(root.resolve())


def as_given(text: str) -> str:
    """A message in which local copies are called by their address."""
    mirrors = re.escape(str(MIRRORS))
    return re.sub(rf"[^\s=]*{mirrors}/([^/\s:;,]+)", lambda found: unquote(found[1]), text)
