"""What a scan found, for others to use: a table, a folder of links, keywords in side files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

from ismila.photos import UserError
from ismila.photos.boxes import Box, read_box
from ismila.photos.images import PhotoError, is_stored_upright
from ismila.photos.names import as_text
from ismila.use.ask.judging import JudgedPhoto, Scan
from ismila.use.ask.pets import PetClassifier
from ismila.use.ask.sidecars import (
    FULL,
    SidecarError,
    has_regions,
    our_word,
    set_keyword,
    sidecar_of,
)

COLUMNS = ("path", "probability", "verdict", "threshold", "run", "error")
"""Of the table."""
UNSURE = "unsure"


class Findings(Protocol):
    """What a scan has found, on this machine or on a cluster."""

    @property
    def classifier(self) -> PetClassifier: ...

    @property
    def run(self) -> str: ...

    def results(self) -> Iterator[JudgedPhoto]: ...


class _Writer(Protocol):
    """What the csv module writes rows with."""

    def writerow(self, row: Iterable[str], /) -> object: ...


@dataclass
class Written:
    """How many photos carry the keyword, and (photo: reason) where a side file was not written."""

    photos: int = 0
    failed: list[str] = field(default_factory=list)


def write_csv(file: Path, scan: Findings) -> int:
    """Write a line for each photo, aside and then renamed; returns how many show the subject.

    Raises:
        UserError: the file cannot be written.
    """
    threshold = f"{scan.classifier.threshold:.6f}"
    count = 0
    with _table(file) as table:
        table.writerow(COLUMNS)
        for judged in scan.results():
            count += judged.verdict == scan.classifier.subject
            probability = _in_digits(judged.probability)
            table.writerow(
                (
                    as_text(judged.path),
                    probability,
                    judged.verdict,
                    threshold,
                    scan.run,
                    judged.error,
                )
            )
    return count


def _in_digits(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.6f}"


@contextmanager
def _table(file: Path) -> Iterator[_Writer]:
    """Rows for a table that takes the file's place when all are written."""
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", newline="", encoding="utf-8") as out:
            yield csv.writer(out, lineterminator="\n")
        aside.replace(file)
    except OSError as error:
        raise UserError(
            f"--csv {file}: {error.strerror}; give a file that may be written"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def write_pets_csv(file: Path, scans: Sequence[Scan]) -> dict[str, int]:
    """Write a line for each photo with a probability and a verdict for each pet: `path, mila,
    mila_verdict, rex, rex_verdict, error`.

    Returns:
        Subject -> how many photos show it.

    Raises:
        UserError: the file cannot be written.
    """
    subjects = [scan.classifier.subject for scan in scans]
    counts = dict.fromkeys(subjects, 0)
    columns = [column for name in subjects for column in (name, f"{name}_verdict")]
    with _table(file) as table:
        table.writerow(("path", *columns, "error"))
        for of_photo in _photo_by_photo(scans):
            cells: list[str] = []
            for name, judged in zip(subjects, of_photo, strict=True):
                counts[name] += judged.verdict == name
                cells += [_in_digits(judged.probability), judged.verdict]
            table.writerow((as_text(of_photo[0].path), *cells, of_photo[0].error))
    return counts


def _photo_by_photo(scans: Sequence[Scan]) -> Iterator[tuple[JudgedPhoto, ...]]:
    """What each scan knows of a photo, by path; one that not all know, since it changed meanwhile, is left out."""
    waiting: dict[str, dict[int, JudgedPhoto]] = {}
    for judged_of_all in zip_longest(*(scan.results() for scan in scans)):
        for number, judged in enumerate(judged_of_all):
            if judged is None:
                continue
            of_photo = waiting.setdefault(judged.path, {})
            of_photo[number] = judged
            if len(of_photo) == len(scans):
                del waiting[judged.path]
                yield tuple(of_photo[at] for at in range(len(scans)))


def check_link_folder(folder: Path, root: Path) -> None:
    """Raise UserError where links would lie in the library: the next scan would judge them, too."""
    if folder.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"--link-to {folder}: lies in the library, whose next scan would find the links; "
            "give a folder outside it"
        )


def link_photos(folder: Path, *scans: Scan) -> dict[str, int]:
    """Make `folder/SUBJECT/...` and `folder/unsure/...`: symbolic links in the library's own folders.

    A link of an earlier scan that no longer holds is taken away; what is no such link stays.

    Args:
        scans: of one library; of several pets together, since they share `unsure`.

    Returns:
        Subject -> how many photos of it are linked.

    Raises:
        UserError: the folder lies in the library, cannot be written, or holds something in the way.
    """
    root = scans[0].library.root
    check_link_folder(folder, root)
    top = root.resolve()
    subjects = [scan.classifier.subject for scan in scans]
    wanted = {
        folder / judged.verdict / judged.path: top / judged.path
        for scan in scans
        for judged in scan.results()
        if judged.verdict in (scan.classifier.subject, UNSURE)
    }
    try:
        for kind in (*subjects, UNSURE):
            _remove_stale(folder / kind, wanted, top)
        for link, photo in wanted.items():
            _link(link, photo, folder)
    except OSError as error:
        raise UserError(
            f"--link-to {folder}: {error.strerror}; give a folder that may be written"
        ) from error
    return {
        subject: sum(link.is_relative_to(folder / subject) for link in wanted)
        for subject in subjects
    }


def _remove_stale(below: Path, wanted: dict[Path, Path], top: Path) -> None:
    for link in list(below.rglob("*")):
        if link.is_symlink() and link not in wanted and link.readlink().is_relative_to(top):
            link.unlink()


def _link(link: Path, photo: Path, folder: Path) -> None:
    if link.is_symlink() and link.readlink() == photo:
        return
    if link.exists():
        raise UserError(f"--link-to {folder}: {link} is in the way; give an empty folder")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(photo)


def write_sidecars(scan: Scan, xmp_name: str = FULL) -> Written:
    """Put the subject's name among the keywords of XMP side files, and take out what no longer holds.

    A side file that several photos share (`a.xmp` beside `a.jpg` and `a.png`) gets the keyword when
    one of them shows the subject.

    Args:
        xmp_name: see `sidecar_of`.
    """
    subject = scan.classifier.subject
    photos_of: dict[Path, list[str]] = {}
    shown: dict[Path, int] = {}
    boxes: dict[Path, str] = {}
    for judged in scan.results():
        sidecar = sidecar_of(scan.library.root / judged.path, xmp_name)
        photos_of.setdefault(sidecar, []).append(judged.path)
        shown[sidecar] = shown.get(sidecar, 0) + (judged.verdict == subject)
        boxes[sidecar] = judged.box
    written = Written()
    ours: dict[str, bool] = {}
    for sidecar, photos in photos_of.items():
        try:
            box = None
            if shown[sidecar] and len(photos) == 1 and has_regions(sidecar):
                box = _stored_box(scan.library.root / photos[0], boxes[sidecar])
            set_keyword(sidecar, subject, shown[sidecar] > 0, box)
            written.photos += shown[sidecar]
            is_ours = our_word(sidecar, subject).stands if shown[sidecar] else False
            ours |= dict.fromkeys(photos, is_ours)
        except SidecarError as error:
            written.failed += [f"{photo}: {error}" for photo in photos]
    scan.library.keep_written(subject, ours)
    return written


def _stored_box(photo: Path, box: str) -> Box | None:
    """The box for a region; None where there is none, or the photo is stored turned.

    Programs do not agree whether a region is one of the pixels as stored or as shown.
    """
    try:
        return read_box(box) if box and is_stored_upright(photo) else None
    except PhotoError:
        return None
