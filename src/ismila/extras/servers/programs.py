"""Which server `--to immich --server URL` and `--from immich URL` mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ismila.extras.servers import immich, photoprism
from ismila.extras.servers.api import in_the_clear, read_key, server_url

if TYPE_CHECKING:
    from ismila.extras.servers.api import Program
    from ismila.extras.servers.immich import Immich
    from ismila.extras.servers.photoprism import PhotoPrism

PROGRAMS: dict[str, Program] = {"immich": immich.PROGRAM, "photoprism": photoprism.PROGRAM}


def open_server(kind: str, given: str) -> Immich | PhotoPrism:
    """The server of this kind at an address, with the token from the environment or `.env`.

    Raises:
        UserError: the address is none, or there is no token.
    """
    program = PROGRAMS[kind]
    url = server_url(given, program)
    key = read_key(program, Path.cwd())
    if kind == "immich":
        return immich.Immich(url, key)
    return photoprism.PhotoPrism(url, key)


def clear_text_warning(kind: str, url: str) -> str:
    """What to tell a person whose token can be read on its way; empty where it cannot."""
    return in_the_clear(url, PROGRAMS[kind])
