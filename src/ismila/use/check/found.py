"""What a scan found in a library, asked one photo after another; what is confirmed joins the album."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.add import add_photos
from ismila.photos.added import read_records, write_records
from ismila.photos.album import Album
from ismila.photos.boxes import EXPECTED, box_text, plain_box
from ismila.photos.images import PhotoError
from ismila.photos.labels import folder_kinds
from ismila.photos.names import NOT, counted, is_text, require_text
from ismila.photos.progress import Progress
from ismila.photos.reviewed import DROP, ReviewAnswer, read_answers, write_answers
from ismila.photos.sources import SourcePhoto
from ismila.use.ask.judging import JudgedPhoto, Scan
from ismila.use.ask.library import sha256_of
from ismila.use.check.queue import Candidate, Question, questions_of
from ismila.use.check.review import Listing, ReviewItem, known_label
from ismila.use.check.thumbnails import NotListedError, Thumbnails
from ismila.vision.reading import decode_ahead
from ismila.vision.views import Viewer

KINDS = frozenset(["cat", "dog", "other"])
"""Kinds of animals that a photo can be said to show, whatever the album holds."""


@dataclass(frozen=True)
class Offered:
    """A photo to ask about.

    Attributes:
        sha256: of the file.
        boxes: of the animals in it, as labels.csv would say it.
        chosen: the number of the likeliest one, from 0; None where the whole photo was judged.
    """

    question: Question
    sha256: str
    boxes: tuple[str, ...] = ()
    chosen: int | None = None

    @property
    def path(self) -> str:
        """Below the library's root."""
        return self.question.photo.path


@dataclass(frozen=True)
class Confirmed:
    """A photo about which a person has answered, as a source that an album takes photos from.

    Attributes:
        key: its path below the library's root.
        where: that root.
    """

    path: Path
    key: str
    where: str
    why: str
    kind: str = "review"
    notes: list[str] = field(default_factory=list)

    @property
    def record_key(self) -> tuple[str, str, str]:
        """What the album's records know it by."""
        return self.kind, self.where, self.key

    def names(self) -> None:
        """Any will do: the person has said where it belongs."""

    def photos(self, _: str) -> Iterator[SourcePhoto]:
        """The one photo."""
        yield SourcePhoto(key=self.key, name=self.path.name, why=self.why, path=self.path)


class LibraryReview:
    """Photos of a scanned library while a person goes through them.

    Each answer is kept at once in the album's `reviewed.parquet`, then the photo joins the album. One that a killed
    process kept joins with the next start.

    Args:
        offered: those to ask about first come first.
    """

    def __init__(self, album: Album, scan: Scan, offered: Sequence[Offered]) -> None:
        self.album = album
        self.library_root = scan.library.root.resolve()
        self.run = scan.run
        self.threshold = scan.classifier.threshold
        self.offered = {photo.path: photo for photo in offered}
        self.kinds = sorted({*folder_kinds(album.root, album.subject), *KINDS} - {album.subject})
        self.thumbnails = Thumbnails(self.library_root, album.derived / "thumbnails")
        self._given: dict[str, ReviewAnswer] = {}
        self._undo: list[tuple[str, ReviewAnswer | None]] = []
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, album: Album, scan: Scan, most: int, progress: Progress | None = None
    ) -> LibraryReview:
        """Finish what a killed process began, and choose at most `most` photos that nobody was asked about.

        Raises:
            UserError: the album cannot be read or written; the library's path cannot be written down.
        """
        require_text(scan.library.root, "DIR")
        begun = cls(album, scan, ())
        for answer in read_answers(album.root).values():
            if not answer.path and answer.label != DROP:
                begun._join_if_it_is_there(answer)
        known = {*album.update(progress)["sha256"], *read_answers(album.root)}
        return cls(album, scan, _offered(scan, known, most, progress))

    def listing(self) -> Listing:
        """What the page shows."""
        photos = [self._asked(photo) for photo in self.offered.values()]
        subject = self.album.subject
        return Listing(subject, self.library_root.name, self.kinds, photos, self.threshold)

    def _asked(self, photo: Offered) -> ReviewItem:
        question = photo.question
        return ReviewItem(
            path=photo.path,
            label="",
            kind="",
            closeup=None,
            box="",
            boxes=list(photo.boxes),
            chosen=photo.chosen,
            sort=question.sort,
            score=question.photo.probability,
            reason="",
            suggested=self.album.subject if question.sort == "found" else "",
            probability=question.photo.probability,
        )

    def thumbnail(self, path: str, size_px: int) -> bytes:
        """A JPEG of a photo that is asked about, upright.

        Raises:
            NotListedError: nobody is asked about it.
            PhotoError: it cannot be decoded.
        """
        self._require_offered(path)
        return self.thumbnails.jpeg(path, size_px)

    def correct(
        self, path: str, label: str | None, closeup: bool | None = None, box: str | None = None
    ) -> None:
        """Keep what a person says of a photo, and bring it into the album; a later answer replaces an earlier one.

        Args:
            label: `SUBJECT`, `not_SUBJECT`, `pets/KIND`, or `drop`: it joins no side. None: the subject.
            closeup: has no meaning here: the album's index says it.
            box: where the subject is, `x0 y0 x1 y1` or `none` for the whole photo; None: where it was taken to be.

        Raises:
            NotListedError: nobody is asked about the photo.
            UserError: the label or the box is none, the photo has changed, or the album cannot be written.
        """
        photo = self._require_offered(path)
        place = known_label(label or self.album.subject, self.album.subject, self.kinds)
        why = f"asked as {photo.question.sort} at {photo.question.photo.probability:.4f}"
        where = self._box_of(photo, box) if place == self.album.subject else ""
        root = str(self.library_root)
        answer = ReviewAnswer(photo.sha256, root, path, place, where, why, self.run)
        with self._lock:
            before = self._given.get(path)
            self._replace(before, answer)
            self._undo.append((path, before))

    def undo(self) -> str | None:
        """Take the last answer back; the photo's path, None when there is nothing to undo. Raises UserError."""
        with self._lock:
            if not self._undo:
                return None
            path, before = self._undo[-1]
            self._replace(self._given.get(path), before)
            self._undo.pop()
            return path

    def joined(self) -> Counter[str]:
        """How many photos have joined each folder of the album since the page was opened."""
        return Counter(answer.label for answer in self._given.values() if answer.path)

    def _box_of(self, photo: Offered, box: str | None) -> str:
        """What labels.csv is to say; of one animal, taken for the subject, it need not."""
        if box is None:
            is_clear = len(photo.boxes) < 2 or photo.chosen is None
            return "" if is_clear else photo.boxes[photo.chosen or 0]
        try:
            return plain_box(box)
        except ValueError as error:
            raise UserError(f"box={box}: expected {EXPECTED}") from error

    def _replace(self, before: ReviewAnswer | None, after: ReviewAnswer | None) -> None:
        if before and after and before.path and before.label == after.label:
            self.album.correct(before.path, {"box": after.box})
            self._keep(replace(after, path=before.path))
            return
        if before:
            self._withdraw(before)
        if after:
            self._give(replace(after, path=""))

    def _give(self, answer: ReviewAnswer) -> None:
        self._keep(answer)  # before anything else: a person's answer is not lost
        if answer.label == DROP:
            return
        try:
            self._join(answer)
        except UserError:
            self._forget(answer)
            raise

    def _join_if_it_is_there(self, answer: ReviewAnswer) -> None:
        """Bring in what an earlier process was asked to; what has changed or gone meanwhile is asked about again."""
        try:
            self._join(answer)
        except UserError:
            if Path(answer.where).is_dir():  # else a disk that is not here today
                self._forget(answer)

    def _join(self, answer: ReviewAnswer) -> None:
        confirmed = _confirmed(answer)
        added = add_photos(self.album, [confirmed], answer.label)
        for photo, reason in added.skipped:
            raise UserError(f"{photo}: {reason}")
        path = read_records(self.album.root)[confirmed.record_key].path
        if answer.box:
            self.album.correct(path, {"box": answer.box})
        self._keep(replace(answer, path=path))

    def _withdraw(self, answer: ReviewAnswer) -> None:
        """Take a photo out of the album again; never the only file that holds it."""
        if answer.path:
            confirmed = _confirmed(answer)
            added = self.album.root / answer.path
            if sha256_of(added) == answer.sha256:
                self.album.correct(answer.path, {"box": ""})
                added.unlink()
            with self.album.locked("add"):
                records = read_records(self.album.root)
                records.pop(confirmed.record_key, None)
                write_records(self.album.root, records.values())
        self._forget(answer)

    def _keep(self, answer: ReviewAnswer) -> None:
        self._change(lambda answers: answers | {answer.sha256: answer})
        self._given[answer.source] = answer

    def _forget(self, answer: ReviewAnswer) -> None:
        others = partial(_without, answer.sha256)
        self._change(others)
        self._given.pop(answer.source, None)

    def _change(self, change: Callable[[dict[str, ReviewAnswer]], dict[str, ReviewAnswer]]) -> None:
        with self.album.locked("reviewed"):
            write_answers(self.album.root, change(read_answers(self.album.root)))

    def _require_offered(self, path: str) -> Offered:
        if path not in self.offered:
            raise NotListedError(path)
        return self.offered[path]


def _confirmed(answer: ReviewAnswer) -> Confirmed:
    """The photo, if it is what the person saw. Raises UserError."""
    if sha256_of(answer.file) != answer.sha256:
        raise UserError(f"{answer.file}: has changed or gone since it was scanned; scan again")
    return Confirmed(answer.file, answer.source, answer.where, answer.why)


def _without(sha256: str, answers: dict[str, ReviewAnswer]) -> dict[str, ReviewAnswer]:
    return {key: answer for key, answer in answers.items() if key != sha256}


def _offered(scan: Scan, known: Set[str], most: int, progress: Progress | None) -> list[Offered]:
    """The photos to ask about first, each content once, with the animals in them."""
    judged = {
        one.path: one
        for one in scan.results()
        if one.probability is not None and one.sha256 not in known and is_text(one.path)
    }
    chosen = list(islice(_new_ones(judged, scan, known), most))
    files = ((photo.path, scan.library.root / photo.path) for photo in chosen)
    read = partial(_boxes_in, scan.classifier.viewer)
    looked: Iterable[tuple[str, list[str] | PhotoError]] = decode_ahead(files, read)
    if progress:
        looked = progress(looked, len(chosen), "Looking for animals")
    boxes = {path: found for path, found in looked if not isinstance(found, PhotoError)}
    return [
        _with_boxes(photo, boxes[photo.path], judged[photo.path].box)
        for photo in chosen
        if photo.path in boxes
    ]


def _new_ones(judged: dict[str, JudgedPhoto], scan: Scan, known: Set[str]) -> Iterator[Offered]:
    candidates = [Candidate(path, one.probability or 0.0) for path, one in judged.items()]
    seen = set(known)
    for question in questions_of(candidates, scan.classifier.threshold):
        path = question.photo.path
        sha256 = judged[path].sha256 or sha256_of(scan.library.root / path)
        if sha256 and sha256 not in seen:
            seen.add(sha256)
            yield Offered(question, sha256)


def _boxes_in(viewer: Viewer, _: str, file: Path) -> list[str]:
    return [box_text(animal.box) for animal in viewer.read(file).animals]


def _with_boxes(photo: Offered, boxes: list[str], likeliest: str) -> Offered:
    chosen = boxes.index(likeliest) if likeliest in boxes else None
    return replace(photo, boxes=tuple(boxes), chosen=chosen)


def in_words(joined: Counter[str], album: Album) -> str:
    """How many photos joined the album, in a line."""
    subject = album.subject
    kinds = {subject: subject, f"{NOT}{subject}": f"not {subject}"}
    by_kind = ", ".join(f"{count} {kinds.get(place, place)}" for place, count in joined.items())
    return f"{album.root}: {counted(joined.total(), 'photo')} joined" + (
        f" ({by_kind})" if by_kind else ""
    )
