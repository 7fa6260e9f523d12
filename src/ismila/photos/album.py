"""The one object that knows where things lie: photos, corrections, what is derived from them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from ismila.photos import UserError
from ismila.photos.addresses import place_of
from ismila.photos.cores import cores
from ismila.photos.files import clear_aside, write_aside
from ismila.photos.images import READER, ImageSpec, pixels_digest
from ismila.photos.index import (
    OCCASION_MINUTES,
    Facts,
    import_readers,
    make_index,
    read_facts,
    usable,
)
from ismila.photos.labels import change_lines, check_root, read_album
from ismila.photos.names import require_text
from ismila.photos.progress import Progress
from ismila.photos.remote import Mirror, mirror_of, shared
from ismila.photos.skipping import Skipping
from ismila.photos.tables import read_table

DERIVED = ".ismila"
FORMAT = 4
"""Of the index; raised when a column comes, or changes its meaning."""
FACTS_FORMAT = 3
FACTS_BY = f"{FACTS_FORMAT}, {READER}, ImageHash {version('ImageHash')}"
"""What read the facts: another release may read other ones, so that the old ones are read again."""
SHARES_VERSION = 3
"""Raised when `subject_share` is computed in another way."""
KEPT_SHARES = 16
"""Files of shares, one for each state of the album, that are kept."""
PROGRESS_FROM = 500
"""Fewer photos than this are read before anybody wonders."""


class Stamp(NamedTuple):
    """What changes when a file does; the last one, unlike its fellow, cannot be set back."""

    path: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Album:
    """Photos below one folder, seen from one subject.

    Attributes:
        root: the folder that holds the photos; nothing in it is changed but `labels.csv`. Of an album
            at an address it is the local copy, see `remote`.
        subject: whose photos are asked for.
        derived: where everything lies that can be made again: `facts.parquet` (what each file
            holds, so that only new or changed photos are opened), `index.parquet`, `shares/`, and
            what other rooms keep here.
        occasion_minutes: what groups are made by, see `make_index`.
    """

    root: Path
    subject: str
    derived: Path
    occasion_minutes: float | None = OCCASION_MINUTES

    @classmethod
    def open(
        cls,
        root: Path,
        subject: str,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> Album:
        """The album at `root`, with its derived files in `cache` or where the disk allows them.

        What has changed at its address, if it has one, is fetched.

        Raises:
            UserError: `cache`, or any place for derived files, cannot be made; a path is not UTF-8; the
            address cannot be read.
        """
        require_text(root, "data.root")
        if mirror := mirror_of(root):
            mirror.pull(progress)
        require_text(cache or root, "data.cache")
        return cls(root, subject, _derived_folder(root, cache))

    def update(
        self, progress: Progress | None = None, skipping: Skipping | None = None
    ) -> pd.DataFrame:
        """Bring the index up to date and return it, a row a photo, under the album's lock.

        The columns stand at `make_index`; `subject_share` is filled where it was computed for
        exactly these photos.

        Args:
            skipping: counts what is passed over.

        Raises:
            UserError: see `read_album`; the derived folder cannot be written.
        """
        check_root(self.root, self.subject)
        with self.locked("index"):
            rows = read_album(self.root, self.subject, skipping)
            facts = self._facts([row.path for row in rows if not row.problem], progress)
            made = make_index(rows, facts, self._flickr_records(), self.occasion_minutes)
            index = self.with_shares(made)
            self._write("index.parquet", index, self._whose())
        return index

    def read(self) -> pd.DataFrame:
        """The index as it was last written; brought up to date where that was for another subject or occasion gap.

        Raises:
            UserError: see `update`.
        """
        index = self._read("index.parquet", self._whose())
        return self.update() if index is None else self.with_shares(index)

    def photos(self, rows: pd.DataFrame) -> list[tuple[str, Path]]:
        """(sha256, file) of each row."""
        return [(str(row.sha256), self.root / str(row.path)) for row in rows.itertuples()]

    def correct(self, path: str, change: Mapping[str, str]) -> dict[str, str]:
        """Change one photo's line of `labels.csv`; returns the line as it was before.

        Args:
            change: `label`, `closeup`, `box`, `note`; what it does not name stays.

        Raises:
            UserError: not a photo of the album, not a label or a box; labels.csv cannot be followed
            or written.
        """
        return self.correct_each({path: change})[path]

    def correct_each(self, changes: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """The same for several photos, by their paths, in one go."""
        # not `self.derived`, which `data.cache` may name: all who write one labels.csv must meet
        lock = _derived_folder(self.root, None) / "labels.lock"

        def changed() -> dict[str, dict[str, str]]:
            return change_lines(self.root, self.subject, changes, lock)

        mirror = mirror_of(self.root)
        return mirror.edit(changed) if mirror else changed()

    def shares(self, index: pd.DataFrame) -> pd.Series | None:
        """`subject_share` by sha256; None unless it was computed for exactly these photos."""
        table = self._read(f"shares/{self._shares_digest(index)}.parquet", {})
        return None if table is None else table.set_index("sha256")["subject_share"]

    def keep_shares(self, rows: pd.DataFrame, shares: pd.Series) -> pd.DataFrame:
        """Keep what was computed, and return the rows with it.

        Args:
            rows: the usable index.
            shares: in [0, 1], with the index of `rows`; NaN where there is none.

        Raises:
            UserError: the derived folder cannot be written.
        """
        if not shares.index.equals(rows.index):
            raise ValueError("shares of other rows")
        of_subject = rows["label"] == "subject"
        table = pd.DataFrame(
            {"sha256": rows["sha256"][of_subject], "subject_share": shares[of_subject]}
        )
        with self.locked("index"):
            self._write(f"shares/{self._shares_digest(rows)}.parquet", table, {})
            for old in _newest_first(self.derived / "shares")[KEPT_SHARES:]:
                old.unlink(missing_ok=True)
        return self.with_shares(rows)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold `<derived>/<name>.lock`, which the system takes from a holder that dies.

        Raises:
            UserError: the derived folder cannot be written.
        """
        with locked(self.derived, name):
            yield

    def _facts(self, paths: Sequence[str], progress: Progress | None) -> dict[str, Facts]:
        """What each file holds, by path; only new or changed files are opened."""
        known = self._known_facts()
        stamps = self._stamps(paths)
        todo = [stamp for stamp in stamps if stamp not in known]
        files = [self.root / stamp.path for stamp in todo]
        if files:
            import_readers()
        with ThreadPoolExecutor(max_workers=cores() + 1) as pool:
            read: Iterable[Facts] = pool.map(read_facts, files)
            if progress and len(files) > PROGRESS_FROM:
                read = progress(read, len(files), "Indexing photos")
            known |= dict(zip(todo, read, strict=True))
        facts = {stamp: known[stamp] for stamp in stamps}
        self._write("facts.parquet", _facts_table(facts), {"by": FACTS_BY})
        return {stamp.path: facts[stamp] for stamp in stamps}

    def _stamps(self, paths: Sequence[str]) -> list[Stamp]:
        """What tells that files are the same: of an album at an address the same on every machine."""
        mirror = mirror_of(self.root)
        there = _stamps_there(mirror) if mirror else {}
        return [there.get(path) or _stamp(self.root, path) for path in paths]

    def _known_facts(self) -> dict[Stamp, Facts]:
        """Of whole photos; a damaged one is opened again: it may only have been hard to read."""
        table = self._read("facts.parquet", {"by": FACTS_BY})
        if table is None:
            return {}
        width = len(Stamp._fields)
        rows = table.itertuples(index=False, name=None)
        facts = {Stamp(*row[:width]): Facts(*row[width:]) for row in rows}
        return {stamp: fact for stamp, fact in facts.items() if not fact.damage}

    def _flickr_records(self) -> pd.DataFrame:
        """What `fetch` wrote down; empty when nothing was fetched, or it is damaged: fetching makes it again."""
        table = read_table(self.root / "flickr.parquet")
        return pd.DataFrame(columns=["id", "path", "taken_at"]) if table is None else table

    def with_shares(self, index: pd.DataFrame) -> pd.DataFrame:
        """The index, or the usable rows of it, with the `subject_share` that is known of them, else NaN."""
        shares = self.shares(index)
        if shares is None:
            return index.assign(subject_share=np.nan)
        asked = (index["problem"] == "") & (index["label"] == "subject")
        return index.assign(subject_share=index["sha256"].map(shares).where(asked).astype(float))

    def _shares_digest(self, index: pd.DataFrame) -> str:
        """Names what `subject_share` depends on: photos, their boxes, pixels."""
        rows = usable(index)
        rows = rows[rows["label"] != "pets"]
        lines = sorted(f"{row.sha256} {row.label} {row.box}" for row in rows.itertuples())
        how = [self.subject, str(SHARES_VERSION), pixels_digest(ImageSpec())]
        return hashlib.sha256("\n".join([*how, *lines]).encode()).hexdigest()[:16]

    def _whose(self) -> dict[str, str]:
        """Whose index it is, and by which occasion gap: one derived folder may serve several subjects and roots."""
        return {"of": f"{FORMAT} {self.subject} {place_of(self.root)} {self.occasion_minutes}"}

    def _read(self, name: str, marks: Mapping[str, str]) -> pd.DataFrame | None:
        """A derived table that carries these marks; None when there is none."""
        table = read_table(self.derived / name)
        if table is None:
            return None
        fits = table.attrs == dict(marks)
        table.attrs.clear()
        return table if fits else None

    def _write(self, name: str, table: pd.DataFrame, marks: Mapping[str, str]) -> None:
        """Write a derived table whole or not at all; the caller holds the lock."""
        marked = table.reset_index(drop=True)
        marked.attrs.update(marks)
        buffer = io.BytesIO()
        marked.to_parquet(buffer, index=False)
        path = self.derived / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            clear_aside(path)
            write_aside(path, buffer.getvalue())
        except OSError as error:
            raise _cannot_write(self.derived, error) from error


@contextmanager
def locked(derived: Path, name: str) -> Iterator[None]:
    """Hold `<derived>/<name>.lock`, which the system takes from a holder that dies.

    Of an album at an address: what others have derived is fetched first, what is new is sent afterwards.

    Raises:
        UserError: the derived folder cannot be written, or the address neither read nor written.
    """
    lock = FileLock(derived / f"{name}.lock")
    try:
        derived.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _cannot_write(derived, error) from error
    try:
        with shared(derived):
            yield
    finally:
        lock.release()


def _stamps_there(mirror: Mirror) -> dict[str, Stamp]:
    """By path; of files whose version there is known."""
    stamps = {}
    for path, known in mirror.known().items():
        digest = hashlib.sha256(known.version.encode()).hexdigest()
        stamps[path] = Stamp(path, known.size_bytes, 0, int(digest[:15], 16))
    return stamps


def _cannot_write(derived: Path, error: OSError) -> UserError:
    return UserError(
        f"{derived}: {error.strerror or error}; "
        "give data.cache=DIR, a folder that may be written and has room"
    )


def _stamp(root: Path, path: str) -> Stamp:
    try:
        stat = (root / path).stat()
    except OSError:
        return Stamp(path, -1, -1, -1)
    return Stamp(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _facts_table(facts: Mapping[Stamp, Facts]) -> pd.DataFrame:
    columns = [*Stamp._fields, *Facts.__dataclass_fields__]
    rows = [(*stamp, *vars(fact).values()) for stamp, fact in facts.items()]
    return pd.DataFrame(rows, columns=columns)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"), key=lambda file: -file.stat().st_mtime_ns)


def _derived_folder(root: Path, cache: Path | None) -> Path:
    """Where everything derived from an album lies.

    `cache`, or `<root>/.ismila`, or `data/cache/<digest of the root's path>` where the root can't
    be written: a photo share is often read-only. A root that is not there yet gets its folder when
    it is made.
    """
    if cache is not None:
        return _made(
            cache, f"data.cache={cache}: cannot be made; give a folder that may be written"
        )
    own = root / DERIVED
    if not root.is_dir():
        return own
    if os.access(own if own.is_dir() else root, os.W_OK | os.X_OK):
        return own  # made by who first writes into it: an album that is only read gets none
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    elsewhere = Path("data/cache") / digest
    return _made(
        elsewhere,
        f"neither {own} nor {elsewhere} can be written; give data.cache=DIR, a folder that may be",
    )


def _made(folder: Path, otherwise: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(otherwise) from error
    return folder
