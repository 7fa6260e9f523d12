"""JSON over HTTP with one photo server, and plain words for all that can be wrong with it."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from ismila.extras.servers.server import ServerError
from ismila.photos import UserError
from ismila.photos.http import (
    ATTEMPTS,
    MAX_ANSWER_BYTES,
    MAX_BYTES,
    Client,
    FetchError,
    HttpResponse,
    Request,
    Secret,
    origin_of,
    printable,
)

Json = Mapping[str, object]
"""An object of JSON, in which anything may be missing or of another type."""
AT_HOME = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".fritz.box")
"""Ends of names that are given within a house; so is a name without a dot."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """How a program's API is reached.

    Attributes:
        name: as people know it.
        key_name: of the environment variable that holds the token.
        make_key: where a person gets one.
        example: an address as it looks.
        prefix: of all paths of the API.
    """

    name: str
    key_name: str
    make_key: str
    example: str
    prefix: str


def server_url(given: str, program: Program) -> str:
    """The address without what a browser adds to it.

    Raises:
        UserError: it is none.
    """
    parts = urlsplit(given if "://" in given else f"http://{given}")
    try:
        port = parts.port  # raises ValueError for one that is no number
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise UserError(f"{given}: expected the address of a server, such as {program.example}")
    if parts.username is not None or parts.password is not None:
        raise UserError(
            f"a server's address with a name or password in it: put the token into the environment "
            f"as {program.key_name}, and give the address as {program.example}"
        )
    path = parts.path.rstrip("/").removesuffix(program.prefix)
    return urlunsplit((parts.scheme, parts.netloc, path.rstrip("/"), "", ""))


def read_key(program: Program, folder: Path) -> str:
    """The token from the environment or `<folder>/.env`.

    Raises:
        UserError: there is none, or no header can hold it.
    """
    from dotenv import dotenv_values

    known = {**dotenv_values(folder / ".env"), **os.environ}
    key = (known.get(program.key_name) or "").strip()
    if not key:
        raise UserError(
            f"no {program.key_name}: make one ({program.make_key}) and put {program.key_name}=... "
            "into the environment or a file .env"
        )
    if not key.isascii() or not key.isprintable():
        raise UserError(
            f"{program.key_name}: expected letters and digits; copy the token once more"
        )
    return key


def in_the_clear(url: str, program: Program) -> str:
    """What to tell a person whose token can be read on its way; empty where it cannot."""
    scheme, host, _ = origin_of(url)
    if scheme == "https" or ("." not in host and ":" not in host) or host.endswith(AT_HOME):
        return ""
    try:
        if ipaddress.ip_address(host).is_private:  # which includes loopback
            return ""
    except ValueError:
        pass
    return f"{url}: http, so {program.key_name} and the photos travel in the clear; https is safer"


class ServerClient:
    """Calls to one server, one after another; the token goes to it and to no other.

    Args:
        url: as `server_url` gives it.
        headers: which hold the token.
    """

    def __init__(self, url: str, program: Program, headers: Mapping[str, str]) -> None:
        self.url = url
        self.program = program
        self._client = Client(Secret(headers, origin_of(url)))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        params: Mapping[str, str] | None = None,
        attempts: int = ATTEMPTS,
    ) -> object:
        """What the API answers, as JSON.

        Raises:
            ServerError: the server cannot be reached, says no, or is another one.
        """
        return self.call_with_headers(method, path, body, params, attempts)[0]

    def call_with_headers(
        self,
        method: str,
        path: str,
        body: object = None,
        params: Mapping[str, str] | None = None,
        attempts: int = ATTEMPTS,
    ) -> tuple[object, Mapping[str, str]]:
        """The same with the answer's headers."""
        request = Request(
            method=method,
            url=self._address(path),
            params=params,
            json=body,
            most_bytes=MAX_ANSWER_BYTES,
            attempts=attempts,
        )
        try:
            answer = self._client.send(request)
        except FetchError as error:
            raise self._unreachable(error) from error
        self._require_yes(answer, f"{method} {path}")
        try:
            return json.loads(answer.content or b"null"), answer.headers
        except (
            ValueError,
            RecursionError,
        ) as error:  # the second: brackets in brackets without end
            raise self.another_program() from error

    def photo(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The bytes of a photo.

        Raises:
            FetchError: this photo cannot be had.
            ServerError: none can.
        """
        answer = self._client.get(self._address(path), params)
        if answer.status in (401, 403):
            self._require_yes(answer, f"GET {path}")
        if answer.status != 200:
            raise FetchError(f"status {answer.status}")
        if len(answer.content) > MAX_BYTES:
            raise FetchError(f"larger than {MAX_BYTES // 2**20} MiB")
        return answer.content

    def require(self, path: str, name: str, kind: type) -> None:
        """Make sure that it is the program: its answer has something of this name and type.

        Raises:
            ServerError: it does not, or cannot be reached.
        """
        try:
            answer = self.call("GET", path, attempts=2)
        except ServerError as error:
            if error.status == 404:
                raise self.another_program() from error
            raise
        if not isinstance(answer, dict) or not isinstance(answer.get(name), kind):
            raise self.another_program()

    def another_program(self) -> ServerError:
        """For an answer that this program's API does not give."""
        return ServerError(
            f"{self.url}: answers, but not as {self.program.name} does; give the address of "
            f"the server itself, such as {self.program.example}"
        )

    def _address(self, path: str) -> str:
        return f"{self.url}{self.program.prefix}{path}"

    def _unreachable(self, error: FetchError) -> ServerError:
        words = str(error)
        remedy = (
            "check that it runs and that the address is right, then give the same command again"
        )
        if "SSLError" in words:
            remedy = (
                "its certificate is not known here: name the file of its authority in "
                "REQUESTS_CA_BUNDLE"
            )
        return ServerError(f"{self.url}: no answer that can be used ({words}); {remedy}")

    def _require_yes(self, answer: HttpResponse, what: str) -> None:
        """Raise ServerError for an answer that leads elsewhere or is none."""
        if answer.leads_to is not None:
            scheme, host, port = origin_of(answer.leads_to)
            raise ServerError(
                f"{self.url}: leads to {printable(f'{scheme}://{host}:{port}')}; if that is your "
                "server, give its address instead"
            )
        if answer.status in (200, 201, 204):
            return
        key = self.program.key_name
        if answer.status == 401:
            raise ServerError(
                f"{key}: {self.program.name} at {self.url} does not know this token; make one: "
                f"{self.program.make_key}"
            )
        message = _message(answer)
        if answer.status == 403:
            raise ServerError(
                f"{key}: the token has not the right for {what}{message}; docs/extras/servers.md says which "
                "it needs"
            )
        if answer.status == 404 and not message:
            raise self.another_program()
        raise ServerError(f"{self.url}: status {answer.status} at {what}{message}", answer.status)


def _message(answer: HttpResponse) -> str:
    """What the API says is wrong, in brackets; empty where it says nothing."""
    try:
        said = json.loads(answer.content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    words = said.get("message") or said.get("error") or ""
    return f" ({printable(str(words))[:120]})" if words else ""


def objects(value: object) -> Iterator[Json]:
    """The objects in a list; none where it is no list."""
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield one


def text_of(parent: Json, name: str) -> str:
    """A text of an object; empty when it is missing or none."""
    value = parent.get(name)
    return value if isinstance(value, str) else ""


def object_of(parent: object, name: str) -> Json:
    """A nested object; empty when it is missing or none."""
    value = parent.get(name) if isinstance(parent, dict) else None
    return cast(Json, value) if isinstance(value, dict) else {}
