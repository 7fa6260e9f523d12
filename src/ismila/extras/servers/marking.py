"""What a scan found, marked on a photo server. Nothing that a person has set there is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ismila.extras.servers.immich import path_checksum
from ismila.extras.servers.marks import (
    REMOVAL_PENDING,
    REMOVED_BY_USER,
    SET,
    SETTING,
    Carried,
    MarksRecord,
)
from ismila.extras.servers.server import Mark, PhotoServer
from ismila.photos.names import as_text, is_text
from ismila.photos.progress import Progress
from ismila.use.ask.judging import Scan

MARKS_PER_CALL = 200
"""Photos that are looked for together, or written down as about to be changed, then changed."""


@dataclass
class Marked:
    """What was done on a server, or would be.

    Attributes:
        found: photos that the scan says show the subject.
        carried: of these, how many carried the mark before.
        set, taken: paths of the photos whose mark was set or taken away.
        let_go: photos whose mark somebody has taken away on the server: they stay without.
        missing: paths of photos that the server does not have.
        failed: what could not be changed, `path: reason`.
    """

    found: int = 0
    carried: int = 0
    set: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    let_go: int = 0
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Marking:
    """One mark on one server.

    Attributes:
        server_dir: where the server sees the library's folder: Immich knows photos in an external
            library by their path.
    """

    server: PhotoServer
    mark: Mark
    record: MarksRecord
    server_dir: str = ""

    def run(self, scan: Scan, is_plan: bool, progress: Progress | None = None) -> Marked:
        """Set the mark on what the scan found, and take ours from what shows the subject no more.

        Stopped anywhere, the same call goes on.

        Args:
            is_plan: only say what would be done.

        Raises:
            ServerError: the server says no; what was done until then is written down.
            UserError: the record cannot be written.
        """
        ours = self.record.carried(self.server.url, self.mark)
        paths, others = _sorted_by_verdict(scan, {carried.path for carried in ours.values()})
        on_server = self._on_server(scan, paths, progress)
        carrying = self._carrying()
        ours = _settled(ours, carrying)
        has_photo = set(on_server.values())
        marked = Marked(found=len(paths), missing=[path for path in paths if path not in on_server])
        to_set: dict[str, Carried] = {}
        for path, photo in on_server.items():
            if photo in carrying:
                marked.carried += 1
            elif photo in ours and ours[photo].state == REMOVED_BY_USER:
                marked.let_go += 1
            else:
                to_set.setdefault(photo, Carried(path, SETTING))
        to_take = {
            photo: Carried(carried.path, REMOVAL_PENDING)
            for photo, carried in ours.items()
            if carried.state == SET and carried.path in others and photo not in has_photo
        }
        if is_plan:
            marked.set = [carried.path for carried in to_set.values()]
            marked.taken = [carried.path for carried in to_take.values()]
            return marked
        self._write_settled(ours)
        self.record.know(self.server.url)
        self._set(to_set, marked, progress)
        self._take(to_take, marked, progress)
        return marked

    def undo(self, is_plan: bool, progress: Progress | None = None) -> Marked:
        """Take away what ismila has set, and forget what it knew of this mark.

        Raises:
            ServerError: the server says no; the same call goes on.
            UserError: the record cannot be written.
        """
        ours = self.record.carried(self.server.url, self.mark)
        settled = _settled(ours, self._carrying())
        to_take = {
            photo: Carried(carried.path, REMOVAL_PENDING)
            for photo, carried in settled.items()
            if carried.state == SET
        }
        marked = Marked(
            let_go=sum(carried.state == REMOVED_BY_USER for carried in settled.values())
        )
        if is_plan:
            marked.taken = [carried.path for carried in to_take.values()]
            return marked
        self._take(to_take, marked, progress)
        self.record.forget(self.server.url, self.mark, ours.keys() - to_take.keys())
        return marked

    def _carrying(self) -> set[str]:
        """Ids of the photos that carry the mark now, whoever has set it."""
        mark_id = self.server.mark_id(self.mark)
        return set() if mark_id is None else set(self.server.marked(self.mark, mark_id))

    def _on_server(
        self, scan: Scan, paths: Sequence[str], progress: Progress | None
    ) -> dict[str, str]:
        """Path in the library -> the photo's id on the server, by content or by its path there."""
        portions = _portions(paths)
        steps = progress(portions, len(portions), "Looking") if progress else iter(portions)
        on_server: dict[str, str] = {}
        for some in steps:
            paths_of = self._checksums(scan.library.root, some)
            for checksum, photo in self.server.find(list(paths_of)).items():
                on_server |= dict.fromkeys(paths_of.get(checksum, ()), photo)
        return on_server

    def _checksums(self, root: Path, paths: Sequence[str]) -> dict[str, list[str]]:
        """Checksum that the server may know a photo by -> paths of photos that have it."""
        paths_of: dict[str, list[str]] = {}
        for path, sha1 in self.record.sha1s(root, paths).items():
            paths_of.setdefault(sha1, []).append(path)
        for path in paths if self.server_dir else ():
            if is_text(path):
                there = str(PurePosixPath(self.server_dir) / path)
                paths_of.setdefault(path_checksum(there), []).append(path)
        return paths_of

    def _write_settled(self, ours: Mapping[str, Carried]) -> None:
        before = self.record.carried(self.server.url, self.mark)
        self.record.keep(
            self.server.url,
            self.mark,
            {photo: carried for photo, carried in ours.items() if carried != before.get(photo)},
        )
        self.record.forget(self.server.url, self.mark, before.keys() - ours.keys())

    def _set(self, photos: dict[str, Carried], marked: Marked, progress: Progress | None) -> None:
        mark_id = self.server.mark_id(self.mark) if photos else None
        if photos and mark_id is None:
            mark_id = self.server.make_mark(self.mark)

        def put(some: Sequence[str]) -> Mapping[str, str]:
            return self.server.put(self.mark, mark_id or "", some)

        for some, failed in self._in_portions(photos, put, progress):
            done = {
                photo: Carried(photos[photo].path, SET) for photo in some if photo not in failed
            }
            self.record.keep(self.server.url, self.mark, done)
            self.record.forget(self.server.url, self.mark, failed)
            marked.set += [carried.path for carried in done.values()]
            marked.failed += _named(failed, photos)

    def _take(self, photos: dict[str, Carried], marked: Marked, progress: Progress | None) -> None:
        mark_id = self.server.mark_id(self.mark) if photos else None

        def take(some: Sequence[str]) -> Mapping[str, str]:
            return self.server.take(self.mark, mark_id or "", some)

        for some, failed in self._in_portions(photos, take, progress):
            done = [photo for photo in some if photo not in failed]
            self.record.forget(self.server.url, self.mark, done)
            marked.taken += [photos[photo].path for photo in done]
            marked.failed += _named(failed, photos)

    def _in_portions(
        self,
        photos: dict[str, Carried],
        change: Callable[[Sequence[str]], Mapping[str, str]],
        progress: Progress | None,
    ) -> Iterator[tuple[Sequence[str], Mapping[str, str]]]:
        """Write down that some are about to be changed, change them, yield them and what failed."""
        portions = _portions(list(photos))
        steps = progress(portions, len(portions), "Marking") if progress else iter(portions)
        for some in steps:
            self.record.keep(self.server.url, self.mark, {photo: photos[photo] for photo in some})
            yield some, change(some)


def _portions(items: Sequence[str]) -> list[Sequence[str]]:
    return [items[start : start + MARKS_PER_CALL] for start in range(0, len(items), MARKS_PER_CALL)]


def _sorted_by_verdict(scan: Scan, asked: set[str]) -> tuple[list[str], set[str]]:
    """Paths of the photos that show the subject, and which of those asked about surely do not."""
    found: list[str] = []
    others: set[str] = set()
    for judged in scan.results():
        if judged.verdict == scan.classifier.subject:
            found.append(judged.path)
        elif judged.verdict and judged.path in asked:
            others.add(judged.path)
    return found, others


def _settled(ours: Mapping[str, Carried], carrying: set[str]) -> dict[str, Carried]:
    """What the record should say, now that it is known which photos carry the mark."""
    settled: dict[str, Carried] = {}
    for photo, carried in ours.items():
        if photo in carrying and carried.state != REMOVED_BY_USER:
            settled[photo] = Carried(carried.path, SET)
        elif carried.state in (SET, REMOVED_BY_USER):
            settled[photo] = Carried(carried.path, REMOVED_BY_USER)
    return settled


def _named(failed: Mapping[str, str], photos: Mapping[str, Carried]) -> list[str]:
    return [f"{as_text(photos[photo].path)}: {reason}" for photo, reason in failed.items()]
