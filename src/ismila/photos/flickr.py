"""Flickr -> records of photos, and their bytes.

flickrapi 2.4.0 makes and signs the calls. What it does not do is done here: paging (its `walk*`
helpers call `Element.getchildren`, gone since Python 3.9), retries (on its requests session), a polite
rate, and telling an HTML error page with status 200 from an answer.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from ismila.photos import UserError
from ismila.photos.flickr_photo import SIZES, FlickrRecord, Json, number_in, record_of
from ismila.photos.http import (
    ATTEMPTS,
    LONGEST_WAIT_S,
    MAX_ANSWER_BYTES,
    STATUS_TO_RETRY,
    TIMEOUT_S,
    Client,
    FetchError,
    NoRedirectSession,
    printable,
    read_at_most,
)

API_URL = "https://api.flickr.com/services/rest/"
PER_PAGE = 500
QUERY_LIMIT = 4000
"""Past this many results Flickr repeats itself within one query; a longer one is split by date."""
MOST_PASSES = 20
"""Through a listing that gives fewer photos than it promises: pages shift while somebody uploads."""
EXTRAS = ",".join(
    [
        "date_upload",
        "date_taken",
        "tags",
        "license",
        "media",
        "path_alias",
        *(f"url_{s}" for s in SIZES),
    ]
)
PASSING = ("0", "105", "106", "")
"""Codes of errors that pass: the service is busy, or the answer was none."""
logging.getLogger("flickrapi").setLevel(
    logging.CRITICAL
)  # it logs whole answers, and ours say what is wrong


@dataclass
class Keys:
    """API key and secret; they never stand in a repr or a log."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


def read_keys(folder: Path) -> Keys:
    """`FLICKR_API_KEY` and `FLICKR_API_SECRET` from the environment or `<folder>/.env`.

    Raises:
        UserError: there is no key.
    """
    from dotenv import dotenv_values

    known = {**dotenv_values(folder / ".env"), **os.environ}
    key = (known.get("FLICKR_API_KEY") or "").strip()
    if not key:
        raise UserError(
            "no FLICKR_API_KEY: get one at https://www.flickr.com/services/apps/create/ and put "
            "FLICKR_API_KEY=... and FLICKR_API_SECRET=... into the environment or a file .env"
        )
    return Keys(key, (known.get("FLICKR_API_SECRET") or "").strip())


class _Session(NoRedirectSession):
    """What flickrapi speaks HTTP with: unsigned without a login, and answers bounded in size."""

    signed = True

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if not self.signed:
            kwargs["auth"] = None
        answer = super().request(*args, **{**kwargs, "stream": True})
        # flickrapi asks for `content`, which requests would read without any limit.
        answer._content = read_at_most(answer, MAX_ANSWER_BYTES)
        return answer


class Flickr:
    """Flickr's REST API, at most one call in `interval_s`.

    Args:
        url: of the REST end point; `FLICKR_API_URL` in the environment replaces Flickr's.

    Attributes:
        promised, came: how many photos the last listing said that there are, and how many it gave.
    """

    def __init__(self, keys: Keys, url: str | None = None, interval_s: float | None = None) -> None:
        import flickrapi

        self.url = url or os.environ.get("FLICKR_API_URL") or API_URL
        self.interval_s = float(
            os.environ.get("FLICKR_API_INTERVAL_S", 1) if interval_s is None else interval_s
        )
        self.promised = 0
        self.came = 0
        self._keys = keys
        self._next_call_s = 0.0
        self._api: Any = flickrapi.FlickrAPI(
            keys.key, keys.secret, format="json", timeout=TIMEOUT_S
        )
        self._api.REST_URL = self.url
        services = self.url.split("/services/")[0] + "/services/oauth/"
        oauth = self._api.flickr_oauth
        oauth.REQUEST_TOKEN_URL = f"{services}request_token"
        oauth.AUTHORIZE_URL = f"{services}authorize"
        oauth.ACCESS_TOKEN_URL = f"{services}access_token"
        oauth.session = _Session()
        retry = Retry(
            total=ATTEMPTS,
            connect=2,
            status_forcelist=STATUS_TO_RETRY,
            allowed_methods=None,
            backoff_factor=0.5,
            raise_on_status=False,
            respect_retry_after_header=True,
            retry_after_max=int(LONGEST_WAIT_S),
        )
        for scheme in ("http://", "https://"):
            oauth.session.mount(scheme, HTTPAdapter(max_retries=retry))
        self.logged_in = bool(keys.secret) and self._api.token_cache.token is not None
        oauth.session.signed = self.logged_in  # public photos: the key alone

    def login(self) -> None:
        """Flickr's OAuth for one's private photos: prints an address, asks for the code shown there.

        Raises:
            UserError: no secret, or Flickr refuses.
        """
        import flickrapi

        if not self._keys.secret:
            raise UserError(
                "no FLICKR_API_SECRET: --login signs its calls with it; put it beside the key"
            )
        try:
            self._api.get_request_token(oauth_callback="oob")
            print("Open this page, allow reading, and type the code it shows:")
            print(self._api.auth_url(perms="read"))
            self._api.get_access_token(input("code: ").strip())
        except (
            flickrapi.exceptions.FlickrError,
            requests.RequestException,
            FetchError,
            EOFError,
        ) as error:
            raise UserError(
                f"login did not work ({_first_line(error)}); check key, secret and code"
            ) from error
        token = Path(self._api.token_cache.filename)
        token.parent.chmod(0o700)
        token.chmod(0o600)

    def call(self, method: str, **params: str | int) -> Json:
        """One call of the API, parsed.

        Raises:
            UserError: no network, wrong key, unknown user, no permission, or no sensible answer.
        """
        problem = ""
        for attempt in range(3):
            wait_s = max(0.0, self._next_call_s - time.monotonic())
            time.sleep(wait_s + (2**attempt - 1) * 0.5)
            self._next_call_s = time.monotonic() + self.interval_s
            try:
                answer = json.loads(self._answer(method, params))
            except (ValueError, RecursionError):  # the second: brackets in brackets without end
                problem = "an answer that is not JSON"
                continue
            if not isinstance(answer, dict):
                problem = "an answer without stat"
                continue
            if answer.get("stat") == "ok":
                return answer
            code = str(answer.get("code", ""))
            if code not in PASSING:
                raise UserError(_remedy(method, code, str(answer.get("message", "")), params))
            problem = f"error {code}" if code else "an answer without stat"
        raise UserError(f"Flickr: {problem} at {method}, three times; try again later")

    def _answer(self, method: str, params: Mapping[str, str | int]) -> bytes:
        import flickrapi

        key = {} if self.logged_in else {"api_key": self._keys.key}
        ask = getattr(self._api, method.removeprefix("flickr.").replace(".", "_"))
        try:
            return cast(bytes, ask(nojsoncallback=1, **key, **params))
        except flickrapi.exceptions.FlickrError as error:
            raise UserError(f"Flickr: {_first_line(error)} at {method}; try again later") from error
        except FetchError as error:
            raise UserError(f"Flickr: an answer {error} at {method}; try again later") from error
        except requests.RequestException as error:
            raise UserError(
                f"cannot reach {urlsplit(self.url).hostname} ({type(error).__name__}); check the "
                "network, then give the same command again"
            ) from error

    def user_id(self, user: str) -> str:
        """NSID of an NSID, a user name or a profile address."""
        if re.fullmatch(r"\d+@N\d+", user) or (user == "me" and self.logged_in):
            return user
        if "/" in user:
            address = user if "://" in user else f"https://{user}"
            found = _object(self.call("flickr.urls.lookupUser", url=address), "user")
        else:
            found = _object(self.call("flickr.people.findByUsername", username=user), "user")
        user_id = str(found.get("nsid") or found.get("id") or "")
        if not user_id:
            raise UserError(f"--user {user}: Flickr's answer names no user; give the NSID")
        return user_id

    def photos(self, user_id: str) -> Iterator[FlickrRecord | str]:
        """Every photo of a user that this key may see, once; a str names one that cannot be used.

        One call for 500 photos. Flickr lists the newest upload first, so a query of more than 4,000 is
        followed by one that ends at the oldest upload seen; a server with another order has its time
        span halved instead. Where fewer came than the listing promised, which happens when its pages
        shift between two calls, it is gone through again until that brings nothing new.
        """
        seen: set[str] = set()
        for _ in range(MOST_PASSES):
            before = len(seen)
            for photo in self._query(user_id, 0, None, None):
                photo_id = str(photo.get("id"))
                if photo_id not in seen:
                    seen.add(photo_id)
                    self.came = len(seen)
                    yield record_of(photo, user_id)
            if len(seen) >= self.promised or len(seen) == before:
                return

    def _query(
        self, user_id: str, low: int, high: int | None, parent_total: int | None
    ) -> Iterator[Json]:
        """Photos uploaded from `low` to `high`, seconds since 1970.

        Args:
            parent_total: of the query that this one goes on from; a server that finds as many again
                does not look at the dates.
        """
        page = self._page(user_id, 1, low, high)
        total = page.total
        if not low and high is None:
            self.promised = total
        ignores_dates = parent_total is not None and total >= parent_total
        is_whole = total <= QUERY_LIMIT or ignores_dates
        pages = page.pages if is_whole else QUERY_LIMIT // PER_PAGE
        ids: set[str] = set()
        uploads: list[int] = []
        for number in range(1, pages + 1):
            if number > 1:
                page = self._page(user_id, number, low, high)
            for _ in range(3):  # a page whose photos were all there already: ask again
                if not page.photos or page.ids - ids:
                    break
                page = self._page(user_id, number, low, high)
            if not page.photos or not page.ids - ids:
                break
            ids |= page.ids
            uploads += [_upload(photo) for photo in page.photos]
            yield from page.photos
        if is_whole:
            return
        if uploads == sorted(uploads, reverse=True) and 0 < uploads[-1] < uploads[0]:
            yield from self._query(user_id, low, uploads[-1], total)
            return
        high = high or int(time.time()) + 86_400
        if high - low > 2:
            middle = (low + high) // 2
            # The halves overlap by a second: it does not matter whether bounds are inclusive.
            yield from self._query(user_id, middle, high, None)
            yield from self._query(user_id, low, middle + 1, None)

    def _page(self, user_id: str, number: int, low: int, high: int | None) -> _Page:
        dates = {"min_upload_date": low} if low else {}
        dates |= {"max_upload_date": high} if high else {}
        answer = self.call(
            "flickr.people.getPhotos",
            user_id=user_id,
            per_page=PER_PAGE,
            page=number,
            extras=EXTRAS,
            **dates,
        )
        page = _object(answer, "photos")
        listed = page.get("photo")
        photos: list[Json] = []
        if isinstance(listed, list):
            photos += [photo for photo in listed if isinstance(photo, dict)]
        return _Page(number_in(page, "total"), max(number_in(page, "pages"), 1), photos)


@dataclass(frozen=True)
class _Page:
    """A page of a listing; `total` photos on `pages` pages match the query."""

    total: int
    pages: int
    photos: list[Json]

    @property
    def ids(self) -> set[str]:
        return {str(photo.get("id")) for photo in self.photos}


def _object(parent: Json, name: str) -> Json:
    """A nested object; empty when it is missing or none."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _upload(photo: Json) -> int:
    return number_in(photo, "dateupload")


def _remedy(method: str, code: str, message: str, params: Mapping[str, str | int]) -> str:
    message = printable(message)
    if code == "100":
        return (
            "FLICKR_API_KEY: Flickr does not know this key (code 100); compare it with "
            "flickr.com/services/apps/by/me"
        )
    if code in ("96", "97", "98"):
        return f"Flickr refuses the login ({message}); log in again with: ismila fetch --login"
    if code == "99":
        return f"Flickr wants a login for this ({message}); first: ismila fetch --login"
    who = params.get("user_id") or params.get("username") or params.get("url")
    if code in ("1", "2", "5") and who:
        hidden = (
            " or its photos are private (then first: ismila fetch --login)" if code != "1" else ""
        )
        return (
            f"--user {who}: Flickr knows no such user{hidden}; give an NSID (12345@N00), a user name "
            "or an address"
        )
    return f"Flickr: {message or 'error'} (code {code}) at {method}"


def _first_line(error: BaseException) -> str:
    lines = printable(str(error)).strip()
    return lines[:160] or type(error).__name__


class Downloads:
    """Bytes of photos, from several threads at once."""

    def __init__(self) -> None:
        self._client = Client()
        self.stopped = self._client.stopped

    def get(self, url: str) -> bytes:
        """The whole body.

        Raises:
            FetchError: it did not work in the end.
        """
        answer = self._client.get(url)
        if "photo_unavailable" in answer.url:
            raise FetchError("no longer available on Flickr")
        if answer.status != 200:
            raise FetchError(f"status {answer.status}")
        return answer.content
