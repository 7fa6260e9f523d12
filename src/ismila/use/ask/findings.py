"""What a scan found, for others to use: a table, a folder of links, keywords in side files."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

from ismila.photos import UserError
from ismila.use.ask.library import Scan
from ismila.use.ask.sidecars import SidecarError, set_keyword, sidecar_of

COLUMNS = ("path", "probability", "verdict", "threshold", "run", "error")
"""Of the table."""
UNSURE = "unsure"


@dataclass
class Written:
    """How many photos carry the keyword, and (photo: reason) where a side file was not written."""

    photos: int = 0
    failed: list[str] = field(default_factory=list)


def write_csv(file: Path, scan: Scan) -> int:
    """Write a line for each photo, aside and then renamed; returns how many show the subject.

    Raises:
        UserError: the file cannot be written.
    """
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    threshold = f"{scan.classifier.threshold:.6f}"
    count = 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
            table = csv.writer(out, lineterminator="\n")
            table.writerow(COLUMNS)
            for judged in scan.results():
                count += judged.verdict == scan.classifier.subject
                probability = "" if judged.probability is None else f"{judged.probability:.6f}"
                table.writerow(
                    (judged.path, probability, judged.verdict, threshold, scan.run, judged.error)
                )
        aside.replace(file)
    except OSError as error:
        raise UserError(
            f"--csv {file}: {error.strerror}; give a file that may be written"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return count


def check_link_folder(folder: Path, root: Path) -> None:
    """Raise UserError where links would lie in the library: the next scan would judge them, too."""
    if folder.resolve().is_relative_to(root.resolve()):
        raise UserError(
            f"--link-to {folder}: lies in the library, whose next scan would find the links; "
            "give a folder outside it"
        )


def link_photos(folder: Path, scan: Scan) -> int:
    """Make `folder/SUBJECT/...` and `folder/unsure/...`: symbolic links in the library's own folders.

    A link of an earlier scan that no longer holds is taken away; what is no such link stays.

    Returns:
        How many photos of the subject are linked.

    Raises:
        UserError: the folder lies in the library, cannot be written, or holds something in the way.
    """
    check_link_folder(folder, scan.library.root)
    subject = scan.classifier.subject
    top = scan.library.root.resolve()
    wanted = {
        folder / judged.verdict / judged.path: top / judged.path
        for judged in scan.results()
        if judged.verdict in (subject, UNSURE)
    }
    try:
        for kind in (subject, UNSURE):
            _remove_stale(folder / kind, wanted, top)
        for link, photo in wanted.items():
            _link(link, photo, folder)
    except OSError as error:
        raise UserError(
            f"--link-to {folder}: {error.strerror}; give a folder that may be written"
        ) from error
    return sum(link.is_relative_to(folder / subject) for link in wanted)


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


def write_sidecars(scan: Scan) -> Written:
    """Put the subject's name among the keywords of XMP side files, and take out what no longer holds.

    A side file that several photos share (`a.xmp` beside `a.jpg` and `a.png`) gets the keyword when
    one of them shows the subject.
    """
    subject = scan.classifier.subject
    photos_of: dict[Path, list[str]] = {}
    shown: dict[Path, int] = {}
    for judged in scan.results():
        sidecar = sidecar_of(scan.library.root / judged.path)
        photos_of.setdefault(sidecar, []).append(judged.path)
        shown[sidecar] = shown.get(sidecar, 0) + (judged.verdict == subject)
    written = Written()
    for sidecar, photos in photos_of.items():
        try:
            set_keyword(sidecar, subject, shown[sidecar] > 0)
            written.photos += shown[sidecar]
        except SidecarError as error:
            written.failed += [f"{photo}: {error}" for photo in photos]
    return written
