"""HTTP with strangers: every answer is bounded, and what passes is tried again.

A secret (a token in a header) goes to the server that it belongs to and to no other, wherever an
answer leads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

TIMEOUT_S = (10, 60)
"""To be connected, and from one byte to the next."""
LONGEST_ANSWER_S = 600.0
"""To the last byte: a server may send one every 59 seconds."""
MAX_BYTES = 64 * 2**20
"""Of one photo."""
MAX_ANSWER_BYTES = 16 * 2**20
"""Of one answer of an API, unpacked."""
ATTEMPTS = 5
MOST_HOPS = 5
"""From one address to another, on the way to a photo."""
LONGEST_WAIT_S = 120.0
STATUS_TO_RETRY = (429, 500, 502, 503, 504)


class FetchError(Exception):
    """Something that could not be fetched; the message says why in a few words."""


class NoRedirectSession(requests.Session):
    """A session that goes where it was sent and no farther.

    requests reads the whole body of an answer that leads elsewhere, also when it is told not to
    follow.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None

    def leads_to(self, answer: requests.Response) -> str | None:
        """The address that an answer leads to; None when it is an answer of its own."""
        target = super().get_redirect_target(answer)
        return urljoin(answer.url, target) if target else None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        json: becomes the body, where there is one.
        most_bytes: of the answer's body, unpacked.
        attempts: how often it is asked at most; 1 for what must not happen twice.
    """

    method: str = "GET"
    url: str
    params: Mapping[str, str] | None = None
    json: object = None
    most_bytes: int = MAX_BYTES
    attempts: int = ATTEMPTS


class HttpResponse(NamedTuple):
    """A whole answer; `leads_to` is another address where it is only the way to one."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    leads_to: str | None


@dataclass
class Secret:
    """Headers that go to one origin (scheme, host and port) only, and never into a repr or a log."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    origin: tuple[str, str, int] = ("", "", 0)

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers where the address is one of its origin, else none."""
        return dict(self.headers) if origin_of(url) == self.origin else {}


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


class Client:
    """Asks from several threads at once."""

    def __init__(self, secret: Secret | None = None) -> None:
        self.secret = secret or Secret()
        self._local = threading.local()
        self.stopped = threading.Event()

    def get(self, url: str, params: Mapping[str, str] | None = None) -> HttpResponse:
        """The answer at the end of the way; of those that lead on nothing is read.

        Raises:
            FetchError: it did not work in the end.
        """
        for _ in range(MOST_HOPS):
            answer = self.send(Request(url=url, params=params))
            if answer.leads_to is None:
                return answer
            url = answer.leads_to
            params = None  # the new address has what it needs
        raise FetchError(f"leads from address to address, {MOST_HOPS} times")

    def send(self, request: Request) -> HttpResponse:
        """The answer, which may be one that leads elsewhere or says no.

        429, 5xx, time-outs and cut connections are tried again, ever later.

        Raises:
            FetchError: it did not work in the end.
        """
        problem = ""
        for attempt in range(request.attempts):
            wait_s = 0.5 * 2**attempt
            try:
                with self._answer(request) as answer:
                    if answer.status_code not in STATUS_TO_RETRY:
                        return self._whole(answer, request.most_bytes)
                    problem = f"status {answer.status_code}"
                    wait_s = _retry_after_s(answer.headers.get("Retry-After"), wait_s)
            except (requests.RequestException, ValueError) as error:  # the second: no address
                problem = f"connection: {type(error).__name__}"
            if attempt + 1 < request.attempts and self.stopped.wait(wait_s):
                break
        raise FetchError(
            f"{problem}, {request.attempts} times" if request.attempts > 1 else problem
        )

    def _answer(self, request: Request) -> requests.Response:
        return self._session().request(
            request.method,
            request.url,
            params=request.params,
            json=request.json,
            headers=self.secret.headers_for(request.url),
            timeout=TIMEOUT_S,
            stream=True,
        )

    def _whole(self, answer: requests.Response, most_bytes: int) -> HttpResponse:
        target = self._session().leads_to(answer)
        content = b"" if target else _body(answer, most_bytes)
        return HttpResponse(answer.url, answer.status_code, answer.headers, content, target)

    def _session(self) -> NoRedirectSession:
        if not hasattr(self._local, "session"):
            session = NoRedirectSession()
            session.auth = _as_it_is
            self._local.session = session
        kept: NoRedirectSession = self._local.session
        return kept


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without this, what a .netrc says of the host would take the place of the token."""
    return request


def _body(answer: requests.Response, most_bytes: int) -> bytes:
    content = read_at_most(answer, most_bytes)
    length = answer.headers.get("Content-Length", "")
    is_plain = not answer.headers.get("Content-Encoding")
    if is_plain and length.isdigit() and len(content) < int(length):
        raise requests.ConnectionError("cut off")
    return content


def read_at_most(answer: requests.Response, limit: int) -> bytes:
    """The body, unpacked, as it comes: `iter_content` waits for a whole piece of what drips.

    Raises:
        FetchError: it is larger than so many bytes, or has not come whole after `LONGEST_ANSWER_S`.
        requests.ConnectionError: it was cut off, or cannot be unpacked.
    """
    content = bytearray()
    until_s = time.monotonic() + LONGEST_ANSWER_S
    try:
        while piece := answer.raw.read1(2**16, decode_content=True):
            content += piece
            if len(content) > limit:
                raise FetchError(f"larger than {limit // 2**20} MiB")
            if time.monotonic() > until_s:
                raise FetchError(f"not whole after {LONGEST_ANSWER_S:.0f} s")
    except HTTPError as error:
        raise requests.ConnectionError("cut off") from error
    except FetchError:
        answer.close()
        raise
    return bytes(content)


def printable(text: str) -> str:
    """What a stranger wrote, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def _retry_after_s(header: str | None, otherwise: float) -> float:
    from email.utils import parsedate_to_datetime

    if not header:
        return otherwise
    try:
        return min(float(header), LONGEST_WAIT_S)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
        return min(max((when - datetime.now(when.tzinfo)).total_seconds(), 0.0), LONGEST_WAIT_S)
    except ValueError:
        return otherwise
