"""The only HTTP client: Flickr -> records of photos, and their bytes.

flickrapi 2.4.0 makes and signs the calls. What it does not do is done here: paging (its `walk*` helpers call
`Element.getchildren`, gone since Python 3.9), retries (on its requests session), a polite rate, and telling an
HTML error page with status 200 from an answer.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from ismila.photos import UserError

API_URL = "https://api.flickr.com/services/rest/"
PER_PAGE = 500
QUERY_LIMIT = 4000
"""Past this many results Flickr repeats itself within one query; a query with more is split by upload date."""
MIN_SIDE_PX = 320
"""The size that is fetched is the smallest whose shorter side has at least this."""
TIMEOUT_S = (10, 60)
MAX_BYTES = 64 * 2**20
ATTEMPTS = 5
LONGEST_WAIT_S = 120.0
SIZES = {
    "t": 100,
    "m": 240,
    "n": 320,
    "w": 400,
    "z": 640,
    "c": 800,
    "l": 1024,
    "h": 1600,
    "k": 2048,
    "o": 10**6,
}
"""Flickr's suffix of a size -> its longer side in pixels, for listings that do not say."""
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
STATUS_TO_RETRY = (429, 500, 502, 503, 504)

logging.getLogger("flickrapi").setLevel(
    logging.CRITICAL
)  # it logs whole answers, and ours say what is wrong


class FetchError(Exception):
    """One photo that could not be fetched; the message says why in a few words."""


@dataclass(frozen=True)
class Record:
    """What Flickr says of a photo.

    Attributes:
        id: digits only.
        tags: normalised as Flickr does: lower case, letters and digits.
        taken_at: None when Flickr does not know.
        page: the photo's page for people.
        url: of the chosen size; empty when the listing has none.
    """

    id: str
    owner: str
    title: str
    tags: tuple[str, ...]
    licence: str
    taken_at: datetime | None
    page: str
    url: str


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
            "FLICKR_API_KEY=... and FLICKR_API_SECRET=... into the environment or a file called .env"
        )
    return Keys(key, (known.get("FLICKR_API_SECRET") or "").strip())


class _Session(requests.Session):
    signed = True

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if not self.signed:
            kwargs["auth"] = None
        return super().request(*args, **kwargs)


class Flickr:
    """Flickr's REST API, at most one call in `interval_s`.

    Args:
        url: of the REST end point; `FLICKR_API_URL` in the environment replaces Flickr's.
    """

    def __init__(self, keys: Keys, url: str | None = None, interval_s: float | None = None) -> None:
        import flickrapi

        self.url = url or os.environ.get("FLICKR_API_URL") or API_URL
        self.interval_s = float(
            os.environ.get("FLICKR_API_INTERVAL_S", 1) if interval_s is None else interval_s
        )
        self._keys, self._next_call = keys, 0.0
        self._api: Any = flickrapi.FlickrAPI(
            keys.key, keys.secret, format="json", timeout=TIMEOUT_S
        )
        self._api.REST_URL = self.url
        services = self.url.split("/services/")[0] + "/services/oauth/"
        oauth = self._api.flickr_oauth
        oauth.REQUEST_TOKEN_URL, oauth.AUTHORIZE_URL, oauth.ACCESS_TOKEN_URL = (
            services + name for name in ("request_token", "authorize", "access_token")
        )
        oauth.session = _Session()
        retry = Retry(
            total=ATTEMPTS,
            connect=2,
            status_forcelist=STATUS_TO_RETRY,
            allowed_methods=None,
            backoff_factor=0.5,
            raise_on_status=False,
            respect_retry_after_header=True,
        )
        for scheme in ("http://", "https://"):
            oauth.session.mount(scheme, HTTPAdapter(max_retries=retry))
        self.logged_in = bool(keys.secret) and self._api.token_cache.token is not None
        oauth.session.signed = self.logged_in  # public photos: the key alone

    def login(self) -> None:
        """Flickr's OAuth for one's private photos: prints an address, asks for the code that is shown there.

        Raises:
            UserError: no secret, or Flickr refuses.
        """
        import flickrapi

        if not self._keys.secret:
            raise UserError(
                "no FLICKR_API_SECRET: --login signs its calls with it; put it beside FLICKR_API_KEY"
            )
        try:
            self._api.get_request_token(oauth_callback="oob")
            print(
                f"Open this page, allow reading, and type the code it shows:\n{self._api.auth_url(perms='read')}"
            )
            self._api.get_access_token(input("code: ").strip())
        except (flickrapi.exceptions.FlickrError, requests.RequestException, EOFError) as error:
            raise UserError(
                f"login did not work ({_first_line(error)}); check key, secret and code"
            ) from error
        token = Path(self._api.token_cache.filename)
        token.parent.chmod(0o700)
        token.chmod(0o600)

    def call(self, method: str, **params: str | int) -> dict[str, Any]:
        """One call of the API, parsed.

        Raises:
            UserError: no network, a wrong key, an unknown user, no permission, or no sensible answer.
        """
        import flickrapi

        problem = ""
        for attempt in range(3):
            time.sleep(max(0.0, self._next_call - time.monotonic()) + (2**attempt - 1) * 0.5)
            self._next_call = time.monotonic() + self.interval_s
            extra = {} if self.logged_in else {"api_key": self._keys.key}
            try:
                answer = getattr(self._api, method.removeprefix("flickr.").replace(".", "_"))(
                    nojsoncallback=1, **extra, **params
                )
                told = json.loads(answer)
            except flickrapi.exceptions.FlickrError as error:
                raise UserError(
                    f"Flickr: {_first_line(error)} at {method}; try again later"
                ) from error
            except requests.RequestException as error:
                raise UserError(
                    f"cannot reach {urlsplit(self.url).hostname} ({type(error).__name__}); check the network, "
                    "then give the same command again"
                ) from error
            except ValueError:
                problem = "an answer that is not JSON"
                continue
            if isinstance(told, dict) and told.get("stat") == "ok":
                return told
            code = str(told.get("code", "")) if isinstance(told, dict) else ""
            if code not in ("0", "105", "106", ""):
                raise UserError(_remedy(method, code, str(told.get("message", "")), params))
            problem = f"error {code}" if code else "an answer without stat"
        raise UserError(f"Flickr: {problem} at {method}, three times; try again later")

    def user_id(self, user: str) -> str:
        """NSID of an NSID, a user name or a profile address."""
        if re.fullmatch(r"\d+@N\d+", user) or (user == "me" and self.logged_in):
            return user
        if "/" in user:
            address = user if "://" in user else f"https://{user}"
            return str(self.call("flickr.urls.lookupUser", url=address)["user"]["id"])
        told = self.call("flickr.people.findByUsername", username=user)["user"]
        return str(told.get("nsid") or told["id"])

    def photos(self, user_id: str) -> Iterator[Record | str]:
        """Every photo of a user that this key may see, each once; a str names one that cannot be used.

        One call for 500 photos. Flickr lists the newest upload first, so a query of more than 4,000 is followed by
        one that ends at the oldest upload seen; a server with another order has its time span halved instead.
        """
        seen: set[str] = set()
        for photo in self._query(user_id, 0, None, None):
            if (photo_id := str(photo.get("id"))) not in seen:
                seen.add(photo_id)
                yield _record(photo, user_id)

    def _query(
        self, user_id: str, low: int, high: int | None, parent_total: int | None
    ) -> Iterator[dict[str, Any]]:
        page = self._page(user_id, 1, low, high)
        total, pages = int(page.get("total") or 0), int(page.get("pages") or 1)
        ignores_dates = parent_total is not None and total >= parent_total
        if total > QUERY_LIMIT and not ignores_dates:
            pages = QUERY_LIMIT // PER_PAGE
        ids: set[str] = set()
        uploads: list[int] = []
        for number in range(1, pages + 1):
            if number > 1:
                page = self._page(user_id, number, low, high)
            for _ in range(3):  # a page whose photos were all there already: ask again
                if not page["photo"] or {str(photo.get("id")) for photo in page["photo"]} - ids:
                    break
                page = self._page(user_id, number, low, high)
            if not page["photo"]:
                break
            ids |= {str(photo.get("id")) for photo in page["photo"]}
            uploads += [_upload(photo) for photo in page["photo"]]
            yield from page["photo"]
        if total <= QUERY_LIMIT or ignores_dates:
            return
        if uploads == sorted(uploads, reverse=True) and 0 < uploads[-1] < uploads[0]:
            yield from self._query(user_id, low, uploads[-1], total)
            return
        high = high or int(time.time()) + 86_400
        if (
            high - low > 2
        ):  # the halves overlap by a second: it does not matter whether bounds are inclusive
            yield from self._query(user_id, (low + high) // 2, high, None)
            yield from self._query(user_id, low, (low + high) // 2 + 1, None)

    def _page(self, user_id: str, number: int, low: int, high: int | None) -> dict[str, Any]:
        dates = {"min_upload_date": low} if low else {}
        dates |= {"max_upload_date": high} if high else {}
        told = self.call(
            "flickr.people.getPhotos",
            user_id=user_id,
            per_page=PER_PAGE,
            page=number,
            extras=EXTRAS,
            **dates,
        )
        page = told.get("photos")
        page = page if isinstance(page, dict) else {}
        listed = page.get("photo")
        return {
            **page,
            "photo": [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else [],
        }


def _upload(photo: Mapping[str, Any]) -> int:
    said = str(photo.get("dateupload", ""))
    return int(said) if said.isdigit() else 0


def _remedy(method: str, code: str, message: str, params: Mapping[str, str | int]) -> str:
    message = _printable(message)
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
        return f"--user {who}: Flickr knows no such user{hidden}; give an NSID (12345@N00), a user name or an address"
    return f"Flickr: {message or 'error'} (code {code}) at {method}"


def _record(photo: Mapping[str, Any], user_id: str) -> Record | str:
    photo_id = str(photo.get("id", ""))
    if not re.fullmatch(r"[0-9]{1,20}", photo_id):
        return f"{_printable(photo_id)[:40]!r}: the photo's id is not a number"
    if photo.get("media", "photo") != "photo":
        return f"{photo_id}: a {_printable(str(photo['media']))[:20]}, not a photo"
    url = choose_url(photo)
    if not url:
        return f"{photo_id}: Flickr gives no address for it"
    title = photo.get("title", "")
    title = title.get("_content", "") if isinstance(title, dict) else title
    owner = str(photo.get("owner") or user_id)
    owner = owner if re.fullmatch(r"[\w@.-]{1,64}", owner) else user_id
    taken_at = None
    if str(photo.get("datetakenunknown", "0")) in ("0", "", "False"):
        try:
            taken_at = datetime.strptime(str(photo.get("datetaken")), "%Y-%m-%d %H:%M:%S")
        except ValueError:
            taken_at = None
    tags = photo.get("tags") or ""
    return Record(
        id=photo_id,
        owner=owner,
        title=_printable(str(title))[:300],
        tags=tuple(dict.fromkeys(filter(None, map(normal_tag, str(tags).split())))),
        licence=_printable(str(photo.get("license", "")))[:40],
        taken_at=taken_at,
        page=f"https://www.flickr.com/photos/{owner}/{photo_id}/",
        url=url,
    )


def choose_url(photo: Mapping[str, Any]) -> str:
    """Address of the smallest size with a shorter side of at least 320 px, or else of the largest; may be empty."""
    sizes = []
    for suffix, longer_px in SIZES.items():
        url = str(photo.get(f"url_{suffix}") or "")
        if urlsplit(url).scheme not in ("http", "https"):
            continue
        try:
            shorter_px = min(int(photo[f"width_{suffix}"]), int(photo[f"height_{suffix}"]))
        except (KeyError, ValueError, TypeError):
            shorter_px = longer_px * 2 // 3
        sizes.append((shorter_px, url))
    enough = [size for size in sizes if size[0] >= MIN_SIDE_PX]
    return min(enough)[1] if enough else max(sizes, default=(0, ""))[1]


def normal_tag(tag: str) -> str:
    """As Flickr compares tags: lower case, letters and digits only."""
    return "".join(c for c in tag.lower() if c.isalnum())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _first_line(error: BaseException) -> str:
    lines = _printable(str(error)).strip()
    return lines[:160] or type(error).__name__


class Downloads:
    """Bytes of photos, from several threads at once."""

    def __init__(self) -> None:
        self._local = threading.local()
        self.stopped = threading.Event()

    def get(self, url: str) -> bytes:
        """The whole body. 429, 5xx, time-outs and cut connections are tried again with growing pauses.

        Raises:
            FetchError: it did not work in the end.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            wait_s = 0.5 * 2**attempt
            try:
                with self._session().get(url, timeout=TIMEOUT_S, stream=True) as answer:
                    if "photo_unavailable" in answer.url:
                        raise FetchError("no longer available on Flickr")
                    if answer.status_code == 200:
                        return _body(answer)
                    problem = f"status {answer.status_code}"
                    if answer.status_code not in STATUS_TO_RETRY:
                        raise FetchError(problem)
                    wait_s = _retry_after_s(answer.headers.get("Retry-After"), wait_s)
            except requests.RequestException as error:
                problem = f"connection: {type(error).__name__}"
            if attempt + 1 < ATTEMPTS and self.stopped.wait(wait_s):
                break
        raise FetchError(f"{problem}, {ATTEMPTS} times")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


def _body(answer: requests.Response) -> bytes:
    content = bytearray()
    for piece in answer.iter_content(2**16):
        content += piece
        if len(content) > MAX_BYTES:
            raise FetchError(f"larger than {MAX_BYTES // 2**20} MiB")
    said = answer.headers.get("Content-Length", "")
    if said.isdigit() and not answer.headers.get("Content-Encoding") and len(content) < int(said):
        raise requests.ConnectionError("cut off")
    return bytes(content)


def _retry_after_s(said: str | None, otherwise: float) -> float:
    from email.utils import parsedate_to_datetime

    if not said:
        return otherwise
    try:
        return min(float(said), LONGEST_WAIT_S)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(said)
        return min(max((when - datetime.now(when.tzinfo)).total_seconds(), 0.0), LONGEST_WAIT_S)
    except ValueError:
        return otherwise
