"""An album at an address, such as `s3://bucket/album`: a local copy of it, kept the same in both directions.

Everything else knows albums as folders. The copy lies in `data/cache/mirrors/<the address, quoted>`, so that its
path says where it comes from. What has changed at the address is fetched when the album is opened. What is derived
goes back whenever a lock on derived files is released, and what others derived is fetched before the lock is given.

An object store has no locks. What is promised instead: each file is there whole or not at all. Features are named by
their content and never collide. Of the derived tables the last one written counts; what it lacks is computed again. A
photo is never written over. labels.csv is written only over the version that was changed, or else changed anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from filelock import FileLock

from ismila.photos import UserError
from ismila.photos.addresses import address_of
from ismila.photos.buckets import Remote, asking, file_system, listing, version_in
from ismila.photos.files import write_aside, written_aside
from ismila.photos.skipping import IGNORE_FILE
from ismila.photos.walking import SUFFIXES

if TYPE_CHECKING:
    from ismila.photos.progress import Progress

LABELS = "labels.csv"
DERIVED = ".ismila/"
KEPT_HERE = ("thumbnails",)
"""Folders of derived files that each machine makes for itself."""
FILES = (LABELS, "flickr.parquet", "added.parquet", "reviewed.parquet")
"""Of an album, beside its photos."""
MAX_WORKERS = 16
"""Requests: an object store answers late, and as many as one likes."""
NOTED_EVERY = 256
"""Files after which a fetch notes what it has; what a killed one fetches again at most."""
TRIES = 8
"""So often a change of labels.csv is made anew when somebody else was faster."""
T = TypeVar("T")


class SyncedFile(NamedTuple):
    """A file that was the same here and there: its version there, and what tells a change here."""

    version: str
    size_bytes: int
    mtime_ns: int


class _ChangedError(Exception):
    """Somebody else has written the file since it was fetched."""


def mirror_of(folder: Path) -> Mirror | None:
    """The mirror that a folder, or its folder of derived files, is; None where it is no copy."""
    root = folder.parent if folder.name == DERIVED.rstrip("/") else folder
    address = address_of(root)
    return Mirror(address, root) if address else None


@contextmanager
def mirrored(root: Path) -> Iterator[None]:
    """Fetch what is at the root's address first, and send what is new afterwards; nothing for a folder.

    Raises:
        UserError: the address cannot be read or written.
    """
    mirror = mirror_of(root)
    if mirror:
        mirror.pull()
    yield
    if mirror:
        mirror.push()


@contextmanager
def shared(derived: Path) -> Iterator[None]:
    """The same of a folder of derived files alone."""
    mirror = mirror_of(derived)
    if mirror:
        mirror.pull(below=DERIVED)
    yield
    if mirror:
        mirror.push()


@dataclass(frozen=True)
class Mirror:
    """An address and its local copy.

    Attributes:
        root: the copy; beside it lie `<name>.json`, what was the same here and there, and `<name>.lock`.
    """

    address: str
    root: Path

    @property
    def _fs(self) -> tuple[Any, str]:
        return file_system(self.address)

    @property
    def _notes(self) -> Path:
        return self.root.with_name(f"{self.root.name}.json")

    @contextmanager
    def _held(self) -> Iterator[dict[str, SyncedFile]]:
        """What is known, while nobody else on this machine fetches or sends; noted at the end, however it ends."""
        file_system(self.address)  # where there is none no folder is made for it
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root.with_name(f"{self.root.name}.lock")):
                known = self.known()
                try:
                    yield known
                finally:
                    self._note(known)
        except OSError as error:
            raise UserError(
                f"{self.root}: {error.strerror or error}; the copy of {self.address} needs a folder that "
                "may be written and has room"
            ) from error

    def known(self) -> dict[str, SyncedFile]:
        """What was the same here and there when it was last looked at, by path."""
        try:
            noted = json.loads(self._notes.read_text())
            return {path: SyncedFile(*fields) for path, fields in noted.items()}
        except (OSError, ValueError, TypeError):  # none, or damaged: all is fetched again
            return {}

    def _note(self, known: Mapping[str, SyncedFile]) -> None:
        write_aside(self._notes, json.dumps(known).encode())

    def pull(self, progress: Progress | None = None, below: str = "") -> None:
        """Fetch what is new or changed at the address, and drop what is gone there.

        Args:
            below: of this folder alone, with a slash at its end.

        Raises:
            UserError: the address cannot be read, or the copy not written.
        """
        with self._held() as known:
            there = {
                below + path: one
                for path, one in listing(f"{self.address}/{below}".rstrip("/")).items()
                if _is_ours(below + path)
            }
            for path in [path for path in known if path.startswith(below) and path not in there]:
                (self.root / path).unlink(missing_ok=True)
                del known[path]
            todo = [path for path, one in there.items() if self._is_new(path, one, known)]
            self._fetch(todo, there, known, progress)

    def _is_new(self, path: str, there: Remote, known: Mapping[str, SyncedFile]) -> bool:
        noted = known.get(path)
        here = self._here(path)
        if noted is None or here is None or noted.version != there.version:
            return True
        # a change that never arrived: who made it was told so, or was killed
        return path == LABELS and here != noted[1:]

    def _here(self, path: str) -> tuple[int, int] | None:
        try:
            stat = (self.root / path).stat()
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns

    def _fetch(
        self,
        paths: Sequence[str],
        there: Mapping[str, Remote],
        known: dict[str, SyncedFile],
        progress: Progress | None,
    ) -> None:
        def fetched(path: str) -> tuple[str, SyncedFile]:
            return path, self._fetch_one(path, there[path].version)

        steps = self._each(fetched, paths)
        if progress and len(paths) > MAX_WORKERS:
            steps = progress(steps, len(paths), f"Fetching {self.address}")
        for done, (path, noted) in enumerate(steps, 1):
            known[path] = noted
            if done % NOTED_EVERY == 0:
                self._note(known)

    @staticmethod
    def _each(call: Callable[[str], T], paths: Sequence[str]) -> Iterable[T]:
        """Of each path, several at once; what waits is dropped when one fails."""
        pool = ThreadPoolExecutor(MAX_WORKERS)
        try:
            yield from pool.map(call, paths)
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch_one(self, path: str, version: str) -> SyncedFile:
        fs, base = self._fs
        with asking(f"{self.address}/{path}"):
            content = fs.cat_file(f"{base}/{path}")
        write_aside(self.root / path, content)
        return self._noted(path, version)

    def _noted(self, path: str, version: str) -> SyncedFile:
        return SyncedFile(version, *(self._here(path) or (0, 0)))

    def push(self) -> None:
        """Send what was made here: derived files, photos that are new; take away derived files that are gone.

        labels.csv is sent by `edit` alone.

        Raises:
            UserError: the address cannot be written; another photo has come to lie where one was added.
        """
        with self._held() as known:
            changed = [path for path in self._files() if self._is_unsent(path, known)]
            for path, noted in self._each(self._sent, changed):
                known[path] = noted
            gone = [path for path in known if path.startswith(DERIVED) and not self._here(path)]
            for path in gone:
                self._remove(path)
                del known[path]

    def _files(self) -> Iterator[str]:
        for folder, folders, names in os.walk(self.root):
            below = Path(folder).relative_to(self.root)
            if below.as_posix() == DERIVED.rstrip("/"):
                folders[:] = [name for name in folders if name not in KEPT_HERE]
            paths = ((below / name).as_posix() for name in names)
            yield from (path for path in paths if _is_ours(path) and path != LABELS)

    def _is_unsent(self, path: str, known: Mapping[str, SyncedFile]) -> bool:
        noted = known.get(path)
        if noted is None:
            return True
        return not _is_photo(path) and self._here(path) != noted[1:]

    def _sent(self, path: str) -> tuple[str, SyncedFile]:
        before = self._here(path)
        content = (self.root / path).read_bytes()
        try:
            version = self._send(path, content, mode="create" if _is_photo(path) else "overwrite")
        except FileExistsError as error:
            raise UserError(
                f"{self.address}/{path}: somebody else has put another file there meanwhile; "
                "give the same command again"
            ) from error
        return path, SyncedFile(version, *(before or (0, 0)))

    def _send(self, path: str, content: bytes, **how: str) -> str:
        """Write a file there; returns its new version."""
        fs, base = self._fs
        with asking(f"{self.address}/{path}"):
            answer = fs.pipe_file(f"{base}/{path}", content, **how)
            info = answer if isinstance(answer, dict) and "ETag" in answer else None
            return version_in(info or fs.info(f"{base}/{path}"))

    def _remove(self, path: str) -> None:
        fs, base = self._fs
        try:
            with asking(f"{self.address}/{path}"):
                fs.rm_file(f"{base}/{path}")
        except UserError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # another machine was faster
                raise

    def edit(self, change: Callable[[], T]) -> T:
        """Change labels.csv as it is there: one that somebody else has written meanwhile is changed anew.

        Other new files are sent first: a line may name a photo that has just come.

        Raises:
            UserError: the address cannot be written; labels.csv is as it was.
        """
        self.push()
        for _ in range(TRIES):
            try:
                return self._edited(change)
            except _ChangedError:
                continue
        raise UserError(
            f"{self.address}/{LABELS}: others keep changing it; wait for them and try again"
        )

    def _edited(self, change: Callable[[], T]) -> T:
        file = self.root / LABELS
        with self._held() as known:
            there = listing(self.address).get(LABELS)
            if there is None:
                file.unlink(missing_ok=True)
                known.pop(LABELS, None)
            elif self._is_new(LABELS, there, known):
                known[LABELS] = self._fetch_one(LABELS, there.version)
            result = change()
            try:
                version = self._send_over(file.read_bytes(), there)
            except BaseException:
                known.pop(LABELS, None)  # the next pull fetches it, whatever lies here now
                file.unlink(missing_ok=True)
                raise
            known[LABELS] = self._noted(LABELS, version)
        return result

    def _send_over(self, content: bytes, before: Remote | None) -> str:
        """Write labels.csv over that version of it, or where there was none. Raises _ChangedError."""
        fs, _ = self._fs
        is_s3 = "s3" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))
        how: dict[str, str] = {}
        if before is None:
            how["mode"] = "create"
        elif is_s3:  # other places have no such request in fsspec
            how["IfMatch"] = f'"{before.version}"'
        try:
            return self._send(LABELS, content, **how)
        except FileExistsError as error:
            raise _ChangedError from error
        except UserError as error:
            if "pre-condition" in str(error.__cause__):
                raise _ChangedError from error
            raise


def _is_photo(path: str) -> bool:
    """Of the files of an album: nobody writes over it."""
    return not path.startswith(DERIVED) and path not in FILES


def _is_ours(path: str) -> bool:
    """A file that is part of an album: a photo, what is said of them, what is derived."""
    name = PurePosixPath(path).name
    if path.startswith(DERIVED):
        is_kept_here = path.removeprefix(DERIVED).split("/")[0] in KEPT_HERE
        return not is_kept_here and not name.endswith(".lock") and not written_aside(name)
    if written_aside(name):
        return False
    return path in FILES or name == IGNORE_FILE or PurePosixPath(path).suffix.lower() in SUFFIXES
