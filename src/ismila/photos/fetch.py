"""Flickr -> an album: which folder each photo goes to, the files, and `<root>/flickr.parquet`."""

from __future__ import annotations

import errno
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image

from ismila.photos import UserError
from ismila.photos.flickr import Downloads, FetchError, Flickr, Record, normal_tag
from ismila.photos.images import write_aside

THREADS = 8
WAITING = 4 * THREADS
"""Photos that are handed to the threads at a time: what bounds memory."""
TABLE_EVERY_S = 15.0
SUFFIX = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "GIF": ".gif",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "BMP": ".bmp",
}
COLUMNS = [
    "id",
    "owner",
    "title",
    "tags",
    "licence",
    "taken_at",
    "page",
    "url",
    "label",
    "why",
    "path",
]
Advance = Callable[[int, int], None]


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
                    f"{name} {','.join(bad)}: expected tags of letters and digits, with commas between"
                )
        if not self.tags:
            raise UserError(
                "--tags: give the tag that your photos of the subject carry, such as --tags mila"
            )

    def place(self, record: Record) -> tuple[str, str]:
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
    """What one fetch did."""

    new: Counter[str] = field(default_factory=Counter)
    here_already: int = 0
    left_out: int = 0
    failed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    retagged: list[str] = field(default_factory=list)


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
    def __init__(
        self, flickr: Flickr, sorting: Sorting, root: Path, advance: Advance | None
    ) -> None:
        self.flickr, self.sorting, self.root, self.advance = flickr, sorting, root, advance
        self.done, self.downloads = Fetched(), Downloads()
        self.known = read_records(root)
        self.rows: dict[str, dict[str, Any]] = {
            str(row["id"]): {str(name): value for name, value in row.items()}
            for row in self.known.to_dict("records")
        }
        self.here = {
            path.stem: path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.stem.isdigit()
            and path.suffix in SUFFIX.values()
            and ".ismila" not in path.parts
        }
        for left in root.rglob(".*.part"):
            left.unlink(missing_ok=True)
        self.pending: dict[Future[tuple[str, int]], tuple[Record, str, str]] = {}
        self.listed: set[str] = set()
        self.wrote = time.monotonic()

    def run(self, user_id: str) -> Fetched:
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                try:
                    for record, folder, why in self._wanted(user_id):
                        self._hand_over(pool, record, folder, why)
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
        if not self.sorting.limit:
            mine = self.known[self.known["owner"] == user_id] if user_id != "me" else self.known
            self.done.gone = [
                str(row.path) for row in mine.itertuples() if row.id not in self.listed
            ]
        return self.done

    def _wanted(self, user_id: str) -> Iterator[tuple[Record, str, str]]:
        """Photos with their folder; with `balance` the rest waits until the subject's are counted."""
        rest: list[tuple[Record, str, str]] = []
        of_subject = taken = 0
        anything = False
        for record in self.flickr.photos(user_id):
            anything = True
            if isinstance(record, str):
                self.done.failed.append(record)
                continue
            self.listed.add(record.id)
            folder, why = self.sorting.place(record)
            if not folder:
                self.done.left_out += 1
                continue
            of_subject += folder == self.sorting.subject
            if self.sorting.balance and folder == f"not_{self.sorting.subject}":
                rest.append((record, folder, why))
                continue
            taken += 1
            yield record, folder, why
            if taken == self.sorting.limit:
                return
        if not anything:
            raise UserError(
                "Flickr shows no photo of this user: the album is empty or private; for your own private photos "
                "first: ismila fetch --login"
            )
        room = self.sorting.limit - taken if self.sorting.limit else len(rest)
        yield from rest[: min(of_subject, room)]

    def _hand_over(self, pool: ThreadPoolExecutor, record: Record, folder: str, why: str) -> None:
        before = self.rows.get(record.id)
        if before is not None and before["label"] != folder:
            self.done.retagged.append(
                f"{before['path']}: fetched as {before['label']}, on Flickr it is {folder} now"
            )
            folder, why = before["label"], before["why"]
        if record.id in self.here:
            self.done.here_already += 1
            self._note(record, folder, why, self.here[record.id])
            return
        self.pending[pool.submit(self._save, record, folder)] = (record, folder, why)
        self._advance(0)

    def _save(self, record: Record, folder: str) -> tuple[str, int]:
        """(path below the root, bytes); the file is there whole or not at all."""
        for attempt in range(3):
            content = self.downloads.get(record.url)
            try:
                with Image.open(io.BytesIO(content)) as photo:
                    suffix = SUFFIX.get(photo.format or "", "")
                    photo.load()
                break
            except Exception as error:  # Pillow raises almost anything on damaged input
                if attempt == 2 or self.downloads.stopped.wait(0.5 * 2**attempt):
                    raise FetchError("not a whole picture, three times") from error
        if not suffix:
            raise FetchError("not in a format that photos have")
        path = f"{folder}/{record.id}{suffix}"
        write_aside(self.root / path, content)
        return path, len(content)

    def _collect(self) -> None:
        """Take what is finished, at least one."""
        for future in wait(self.pending, return_when=FIRST_COMPLETED).done:
            record, folder, why = self.pending.pop(future)
            try:
                path, size = future.result()
            except FetchError as error:
                self.done.failed.append(f"{record.id}: {error}")
                self._advance(0)
                continue
            except OSError as error:
                raise _cannot_write(self.root, error) from error
            self.done.new[folder] += 1
            self._note(record, folder, why, path)
            self._advance(size)
        if time.monotonic() - self.wrote > TABLE_EVERY_S:
            self._write()

    def _advance(self, size: int) -> None:
        if self.advance:
            self.advance(len(self.pending) + sum(self.done.new.values()), size)

    def _note(self, record: Record, folder: str, why: str, path: str) -> None:
        self.rows[record.id] = {
            **{name: getattr(record, name) for name in COLUMNS[:8]},
            "tags": " ".join(record.tags),
            "label": folder,
            "why": why,
            "path": path,
        }

    def _write(self) -> None:
        table = pd.DataFrame([self.rows[key] for key in sorted(self.rows)], columns=COLUMNS)
        table["taken_at"] = pd.to_datetime(table["taken_at"])
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        try:
            write_aside(self.root / "flickr.parquet", buffer.getvalue())
        except OSError as error:
            raise _cannot_write(self.root, error) from error
        self.wrote = time.monotonic()


def read_records(root: Path) -> pd.DataFrame:
    """`<root>/flickr.parquet`; empty when nothing was fetched or it cannot be read (fetching makes it again)."""
    try:
        return pd.read_parquet(root / "flickr.parquet")[COLUMNS]
    except Exception:
        return pd.DataFrame(columns=COLUMNS)


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
        f"{root}: {'disk full' if full else error.strerror}; {remedy} and give the same command again"
    )
