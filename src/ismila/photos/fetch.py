"""Flickr -> an album: which folder each photo goes to, the files, and `<root>/flickr.parquet`."""

from __future__ import annotations

import errno
import io
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image, UnidentifiedImageError

from ismila.photos import UserError
from ismila.photos.files import write_aside, written_aside
from ismila.photos.flickr import Downloads, Flickr
from ismila.photos.flickr_photo import MIN_SIDE_PX, FlickrRecord, normal_tag
from ismila.photos.http import FetchError
from ismila.photos.images import MAX_PIXELS
from ismila.photos.names import as_text
from ismila.photos.tables import read_table

THREADS = 8
LARGE_PX = 25_000_000
"""Photos of more pixels are decoded one at a time: eight of 200 megapixels would take 6 GB."""
_one_large = threading.Lock()
WAITING = 4 * THREADS
"""Photos that are handed to the threads at a time: what bounds memory."""
TABLE_EVERY_S = 15.0
SUFFIX = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "BMP": ".bmp",
}
FETCHED = re.compile(r"[0-9]+\.(?:jpg|png|gif|webp|tif|bmp)|flickr\.parquet")
"""Name of a file that a fetch writes."""
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class FlickrRow:
    """A line of `flickr.parquet`: what Flickr says of a photo, where it went and why."""

    id: str
    owner: str
    title: str
    tags: str
    licence: str
    taken_at: datetime | None
    page: str
    url: str
    label: str
    why: str
    path: str


COLUMNS = list(FlickrRow.__dataclass_fields__)


class WantedPhoto(NamedTuple):
    """A photo on Flickr, the folder below the root that it belongs in, and why."""

    record: FlickrRecord
    folder: str
    why: str


@dataclass(frozen=True)
class Sorting:
    """Which tags make a photo what.

    Attributes:
        tags: of the subject.
        not_tags: photos that carry one of them are left out.
        pets_tags: each is a kind of other animal.
        balance: as many photos of the rest as of the subject, no more.
        limit: at most this many photos in all, the newest; 0 is all.
    """

    subject: str
    tags: tuple[str, ...]
    not_tags: tuple[str, ...] = ()
    pets_tags: tuple[str, ...] = ()
    balance: bool = False
    limit: int = 0

    def __post_init__(self) -> None:
        for name, tags in (
            ("--tags", self.tags),
            ("--not-tags", self.not_tags),
            ("--pets-tags", self.pets_tags),
        ):
            if bad := [tag for tag in tags if not normal_tag(tag)]:
                raise UserError(
                    f"{name} {','.join(bad)}: expected tags of letters and digits, with commas "
                    "between"
                )
        if not self.tags:
            raise UserError(
                "--tags: give the tag that your photos of the subject carry, such as --tags mila"
            )

    def place(self, record: FlickrRecord) -> tuple[str, str]:
        """(folder below the root, why); the folder is empty for a photo that is left out."""
        carried = set(record.tags)
        for tag in map(normal_tag, self.not_tags):
            if tag in carried:
                return "", f"left out: tag {tag}"
        for tag in map(normal_tag, self.tags):
            if tag in carried:
                return self.subject, f"tag {tag}"
        for tag in map(normal_tag, self.pets_tags):
            if tag in carried:
                return f"pets/{tag}", f"tag {tag}"
        return f"not_{self.subject}", "no such tag"


@dataclass
class Fetched:
    """What one fetch did.

    Attributes:
        promised, came: how many photos Flickr's listing said that there are, and how many it gave.
    """

    new: Counter[str] = field(default_factory=Counter)
    here_already: int = 0
    left_out: int = 0
    failed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    retagged: list[str] = field(default_factory=list)
    promised: int = 0
    came: int = 0


def fetch_album(
    flickr: Flickr, user: str, sorting: Sorting, root: Path, advance: Advance | None = None
) -> Fetched:
    """Fetch what is new; stopped anywhere, the same call goes on where it was.

    Args:
        advance: called with (photos known so far, bytes of the one that is finished or 0).

    Raises:
        UserError: Flickr or the disk refuses; another fetch into this album is running.
    """
    _make(root / ".ismila")
    try:
        with FileLock(root / ".ismila" / "fetch.lock", timeout=0):
            return _Fetch(flickr, sorting, root, advance).run(flickr.user_id(user))
    except Timeout as error:
        raise UserError(f"{root}: another fetch into this album is running; wait for it") from error


class _Fetch:
    """One fetch into one album, under the album's lock."""

    def __init__(
        self, flickr: Flickr, sorting: Sorting, root: Path, advance: Advance | None
    ) -> None:
        self.flickr = flickr
        self.sorting = sorting
        self.root = root
        self.advance = advance
        self.fetched = Fetched()
        self.downloads = Downloads()
        self.known = read_records(root)
        self.rows = {str(row["id"]): _row(row) for row in self.known.to_dict("records")}
        _remove_leftovers(root, sorting.subject)
        self.here = _photos_here(root)
        self.pending: dict[Future[tuple[str, int]], WantedPhoto] = {}
        self.listed: set[str] = set()
        self.written_s = time.monotonic()

    def run(self, user_id: str) -> Fetched:
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                try:
                    for wanted in self._wanted(user_id):
                        self._hand_over(pool, wanted)
                        while len(self.pending) >= WAITING:
                            self._collect()
                    while self.pending:
                        self._collect()
                except BaseException:
                    self.downloads.stopped.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            self._write()
        if self.sorting.limit:
            return self.fetched
        self.fetched.promised = self.flickr.promised
        self.fetched.came = self.flickr.came
        if self.fetched.came >= self.fetched.promised:  # else nobody knows what is gone
            mine = self.known[self.known["owner"] == user_id] if user_id != "me" else self.known
            self.fetched.gone = [
                str(row.path) for row in mine.itertuples() if row.id not in self.listed
            ]
        return self.fetched

    def _wanted(self, user_id: str) -> Iterator[WantedPhoto]:
        """Photos with their folder; with `balance` the rest waits until the subject's are counted."""
        rest: list[WantedPhoto] = []
        of_subject = 0
        taken = 0
        anything = False
        for record in self.flickr.photos(user_id):
            anything = True
            if isinstance(record, str):
                self.fetched.failed.append(record)
                continue
            self.listed.add(record.id)
            folder, why = self.sorting.place(record)
            if not folder:
                self.fetched.left_out += 1
                continue
            of_subject += folder == self.sorting.subject
            if self.sorting.balance and folder == f"not_{self.sorting.subject}":
                rest.append(WantedPhoto(record, folder, why))
                continue
            taken += 1
            yield WantedPhoto(record, folder, why)
            if taken == self.sorting.limit:
                return
        if not anything:
            raise UserError(
                "Flickr shows no photo of this user: the album is empty or private; for your own "
                "private photos first: ismila fetch --login"
            )
        room = self.sorting.limit - taken if self.sorting.limit else len(rest)
        yield from rest[: min(of_subject, room)]

    def _hand_over(self, pool: ThreadPoolExecutor, wanted: WantedPhoto) -> None:
        record = wanted.record
        before = self.rows.get(record.id)
        if before is not None and before.label != wanted.folder:
            self.fetched.retagged.append(
                f"{before.path}: fetched as {before.label}, on Flickr it is {wanted.folder} now"
            )
            wanted = WantedPhoto(record, before.label, before.why)
        if record.id in self.here:
            self.fetched.here_already += 1
            self._note(wanted, self.here[record.id])
            return
        self.pending[pool.submit(self._save, record, wanted.folder)] = wanted
        self._advance(0)

    def _save(self, record: FlickrRecord, folder: str) -> tuple[str, int]:
        """(path below the root, bytes); the file is there whole or not at all."""
        content, suffix = self._whole_photo(record.url)
        path = f"{folder}/{record.id}{suffix}"
        write_aside(self.root / path, content)
        return path, len(content)

    def _whole_photo(self, url: str) -> tuple[bytes, str]:
        """A photo's bytes and suffix; what is damaged is asked for three times."""
        for attempt in range(3):
            content = self.downloads.get(url)
            try:
                return content, suffix_of(content)
            except DamagedError as error:
                if attempt == 2 or self.downloads.stopped.wait(0.5 * 2**attempt):
                    raise FetchError("not a whole picture, three times") from error
        raise AssertionError("the last attempt returns or raises")

    def _collect(self) -> None:
        """Take what is finished, at least one."""
        for future in wait(self.pending, return_when=FIRST_COMPLETED).done:
            wanted = self.pending.pop(future)
            try:
                path, size = future.result()
            except FetchError as error:
                self.fetched.failed.append(f"{wanted.record.id}: {error}")
                self._advance(0)
                continue
            except OSError as error:
                raise _cannot_write(self.root, error) from error
            self.fetched.new[wanted.folder] += 1
            self._note(wanted, path)
            self._advance(size)
        if time.monotonic() - self.written_s > TABLE_EVERY_S:
            self._write()

    def _advance(self, size: int) -> None:
        if self.advance:
            self.advance(len(self.pending) + sum(self.fetched.new.values()), size)

    def _note(self, wanted: WantedPhoto, path: str) -> None:
        record = wanted.record
        self.rows[record.id] = FlickrRow(
            id=record.id,
            owner=record.owner,
            title=record.title,
            tags=" ".join(record.tags),
            licence=record.licence,
            taken_at=record.taken_at,
            page=record.page,
            url=record.url,
            label=wanted.folder,
            why=wanted.why,
            path=path,
        )

    def _write(self) -> None:
        table = pd.DataFrame([asdict(self.rows[key]) for key in sorted(self.rows)], columns=COLUMNS)
        table["taken_at"] = pd.to_datetime(table["taken_at"])
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        try:
            write_aside(self.root / "flickr.parquet", buffer.getvalue())
        except OSError as error:
            raise _cannot_write(self.root, error) from error
        self.written_s = time.monotonic()


class DamagedError(Exception):
    """Bytes that are no whole picture: worth asking for again."""


def suffix_of(content: bytes) -> str:
    """Decode a download as photos are decoded everywhere: few formats, a bounded size.

    Returns:
        The suffix that a file of this format has.

    Raises:
        DamagedError: not a picture in a format that photos have, or cut off.
        FetchError: so large that decoding it would fill the memory.
    """
    Image.init()  # else Pillow does not know all of the formats yet
    formats = [name for name in SUFFIX if name in Image.OPEN]
    try:
        with Image.open(io.BytesIO(content), formats=formats) as photo:
            width_px, height_px = photo.size
            if width_px * height_px > MAX_PIXELS:
                raise FetchError(f"too large: {width_px} x {height_px} pixels")
            photo.draft("RGB", (MIN_SIDE_PX, MIN_SIDE_PX))  # reads all of it, keeps less
            with _one_large if width_px * height_px > LARGE_PX else nullcontext():
                photo.load()
            return SUFFIX[photo.format or ""]
    except (FetchError, ImportError, MemoryError):  # the last two are no fault of the photo
        raise
    except UnidentifiedImageError as error:
        raise DamagedError("not a picture") from error
    except Exception as error:  # Pillow's plug-ins raise almost anything on damaged input
        raise DamagedError("damaged") from error


def _photos_here(root: Path) -> dict[str, str]:
    """Flickr's id -> path below the root of photos that are there, wherever a person put them."""
    return {
        path.stem: as_text(path.relative_to(root).as_posix())
        for path in root.rglob("*")
        if path.stem.isdigit() and path.suffix in SUFFIX.values() and ".ismila" not in path.parts
    }


def _remove_leftovers(root: Path, subject: str) -> None:
    """Remove what a killed fetch was writing, in the folders that a fetch writes to.

    The caller holds the album's fetch lock, so no other fetch is writing. Others may be: a training
    keeps its rows below the same root.
    """
    pets = root / "pets"
    kinds = [path for path in pets.iterdir() if path.is_dir()] if pets.is_dir() else []
    for folder in (root, root / subject, root / f"not_{subject}", *kinds):
        for path in folder.glob(".*.part"):
            if FETCHED.fullmatch(written_aside(path.name)):
                path.unlink(missing_ok=True)


def _row(columns: Mapping[Hashable, object]) -> FlickrRow:
    """A row of a table that was read; pandas' NaT is a date that Flickr does not know."""
    taken_at = columns["taken_at"]
    texts = {name: str(columns[name]) for name in COLUMNS if name != "taken_at"}
    if not isinstance(taken_at, datetime) or pd.isna(taken_at):
        taken_at = None
    return FlickrRow(taken_at=taken_at, **texts)


def read_records(root: Path) -> pd.DataFrame:
    """`<root>/flickr.parquet`; empty when it is missing or damaged: fetching makes it again."""
    table = read_table(root / "flickr.parquet", COLUMNS)
    return pd.DataFrame(columns=COLUMNS) if table is None else table


def tags_of(given: Sequence[str]) -> tuple[str, ...]:
    """`["a,b", "c"]` -> `("a", "b", "c")`."""
    return tuple(tag.strip() for text in given for tag in text.split(",") if tag.strip())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--root {folder.parent}: {error.strerror}; give a folder that may be written"
        ) from error


def _cannot_write(root: Path, error: OSError) -> UserError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free some space" if full else "put that right"
    return UserError(
        f"{root}: {'disk full' if full else error.strerror}; {remedy} and give the same command "
        "again"
    )
