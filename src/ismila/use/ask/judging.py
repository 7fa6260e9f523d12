"""A whole library: which of its photos show the subject? Resumable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from ismila.photos.boxes import box_text
from ismila.photos.images import PhotoError
from ismila.photos.progress import Progress
from ismila.use.ask.library import LOOKED_UP, Library, Pending, StateRow, Version, version_of
from ismila.use.ask.pets import PetClassifier
from ismila.vision.decision import pet_verdict
from ismila.vision.encoders import BATCH
from ismila.vision.reading import decode_ahead
from ismila.vision.views import Views

Seen = TypeVar("Seen")


@dataclass
class Scanned:
    """How many photos a scan judged now, how many were judged before, how many are unreadable."""

    judged: int = 0
    before: int = 0
    broken: int = 0


@dataclass(frozen=True)
class JudgedPhoto:
    """What is known of one photo.

    Attributes:
        path: below the library's root, with forward slashes.
        probability: of the subject; None when the photo could not be read.
        verdict: in words; empty when the photo could not be read.
        error: why it could not be read, otherwise empty.
        box: of the likeliest animal, as `box_text` says it; empty where the whole photo was asked.
        sha256: of the file; empty where an older version judged it.
    """

    path: str
    probability: float | None
    verdict: str
    error: str
    box: str = ""
    sha256: str = ""


def predict_batch(classifier: PetClassifier, photos: Sequence[Views]) -> list[tuple[float, str]]:
    """The probability of each photo, and the box of its likeliest animal as text, empty where there is none."""
    return [
        (one.probability, box_text(one.animals[0][0].box) if one.animals else "")
        for one in classifier.judge(photos)
    ]


def predict_photo(
    classifier: PetClassifier, path: str, probability: float | None, error: str = "", box: str = ""
) -> JudgedPhoto:
    """What a classifier, asked alone, says of a photo: its verdict, unless the photo could not be read."""
    if probability is None:
        return JudgedPhoto(path, None, "", error, box)
    verdict = pet_verdict(probability, classifier.threshold, classifier.subject, is_named=True)
    return JudgedPhoto(path, probability, verdict, error, box)


class Judging(Protocol[Seen]):
    """What judges a library: a run, or the runs of several pets together."""

    @property
    def library(self) -> Library: ...

    def not_judged(
        self, scanned: Scanned, pending: dict[str, Pending]
    ) -> Iterator[tuple[str, Path]]: ...

    def read(self, path: Path) -> Seen: ...

    def keep_broken(self, row: StateRow) -> None: ...

    def judge_batch(self, batch: dict[str, Seen], pending: dict[str, Pending]) -> int: ...


def judge_all(judging: Judging[Seen], progress: Progress | None) -> Scanned:
    """Judge what was not judged; the cores decode while the backbones run.

    Raises:
        UserError: the state cannot be written.
    """
    scanned = Scanned()
    pending: dict[str, Pending] = {}

    def read(path: str, file: Path) -> Seen | None:
        return None if pending[path].is_the_same(file) else judging.read(file)

    total = sum(1 for _ in judging.not_judged(Scanned(), {})) if progress else 0
    todo = judging.not_judged(scanned, pending)
    decoded: Iterable[tuple[str, Seen | PhotoError | None]] = decode_ahead(todo, read)
    if progress:
        decoded = progress(decoded, total, "Scanning")
    batch: dict[str, Seen] = {}
    same: dict[str, Pending] = {}
    for path, seen in decoded:
        if isinstance(seen, PhotoError):
            asked = pending.pop(path)
            judging.keep_broken(StateRow(path, asked.version, None, str(seen), asked.sha256))
            scanned.broken += 1
        elif seen is None:
            same[path] = pending.pop(path)
        else:
            batch[path] = seen
        if len(batch) == BATCH:
            scanned.judged += judging.judge_batch(batch, pending)
        if len(same) == BATCH:
            scanned.before += _keep_times(judging.library, same)
    scanned.judged += judging.judge_batch(batch, pending)
    scanned.before += _keep_times(judging.library, same)
    return scanned


def _keep_times(library: Library, same: dict[str, Pending]) -> int:
    """Keep the times of files that hold what they held, and forget these; returns how many it were."""
    count = len(same)
    library.keep_times(same)
    same.clear()
    return count


@dataclass(frozen=True)
class Scan:
    """A library asked by one run.

    Attributes:
        run: the id of the run that the classifier comes from.
        others: photos whose animal another pet's run claims with more right, see `PetsScan`.
    """

    library: Library
    classifier: PetClassifier
    run: str
    others: Set[str] = frozenset()

    def judge(self, progress: Progress | None = None) -> Scanned:
        """Judge what the run has not judged; the cores decode while the backbone runs.

        Raises:
            UserError: the state cannot be written.
        """
        return judge_all(self, progress)

    def scans(self) -> list[Scan]:
        """Itself, as `PetsScan` gives one for each pet."""
        return [self]

    def results(self) -> Iterator[JudgedPhoto]:
        """What is known of each photo that is there, by path."""
        for row in self.library.unchanged(self.run):
            judged = predict_photo(
                self.classifier, row.path, row.probability, row.error or "", row.box
            )
            judged = replace(judged, sha256=row.sha256)
            is_others = row.probability is not None and row.path in self.others
            yield self._not_named(judged) if is_others else judged

    def _not_named(self, judged: JudgedPhoto) -> JudgedPhoto:
        """A photo whose animal got another pet's name."""
        probability = judged.probability or 0.0
        asked = self.classifier
        verdict = pet_verdict(probability, asked.threshold, asked.subject, is_named=False)
        return replace(judged, verdict=verdict)

    def read(self, path: Path) -> Views:
        """What the classifier is asked about. Raises PhotoError."""
        return self.classifier.viewer.read(path)

    def keep_broken(self, row: StateRow) -> None:
        """Keep why a photo could not be read."""
        self.library.keep(self.run, [row])

    def judge_batch(self, batch: dict[str, Views], pending: dict[str, Pending]) -> int:
        """Answer for a batch, keep that, and empty the batch; returns how many it were."""
        if not batch:
            return 0
        rows = []
        said = predict_batch(self.classifier, list(batch.values()))
        for path, (probability, box) in zip(batch, said, strict=True):
            asked = pending.pop(path)
            rows.append(StateRow(path, asked.version, probability, None, asked.sha256, box))
        self.library.keep(self.run, rows)
        batch.clear()
        return len(rows)

    def not_judged(
        self, scanned: Scanned, pending: dict[str, Pending]
    ) -> Iterator[tuple[str, Path]]:
        """Path and file of what is new or changed, all put into `pending`; counts the others in
        `scanned`."""
        library = self.library
        paths = library.photos()
        while some := list(islice(paths, LOOKED_UP)):
            known = library.known(self.run, some)
            for path in some:
                version = version_of(library.root / path)
                row = known.get(path)
                if version is None:
                    continue
                if row is not None and row.version == version:
                    scanned.before += 1
                    scanned.broken += row.error is not None
                    continue
                pending[path] = Pending(version, known_as(version, [row] if row else []))
                yield path, library.root / path


def known_as(version: Version, rows: Sequence[StateRow]) -> str:
    """The sha256 of what all these rows are about, where the file may still hold it; or empty.

    Of a photo that could not be read nothing is taken over: it may only have been hard to read.
    """
    if any(row.error is not None or row.version.size_bytes != version.size_bytes for row in rows):
        return ""
    digests = {row.sha256 for row in rows}
    return digests.pop() if len(digests) == 1 else ""
