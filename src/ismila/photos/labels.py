"""Folders of photos and labels.csv -> rows."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from ismila.photos import UserError
from ismila.photos.images import write_aside

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".heic",
        ".heif",
        ".avif",
        ".ppm",
        ".pgm",
    ]
)
DERIVED = ".ismila"
COLUMNS = ("path", "label", "closeup", "note")
"""Of labels.csv."""


@dataclass(frozen=True)
class Row:
    """One photo as the album's folders and labels.csv describe it.

    Attributes:
        path: relative to the album's root, with forward slashes.
        label: `subject`, `things` or `pets`; empty when the folder gives none and labels.csv neither.
        kind: what a photo without the subject shows (`things`, `dog`, ...); the subject's name otherwise.
        closeup: what labels.csv says, None when it says nothing.
        dropped: labels.csv takes the photo out.
    """

    path: str
    label: str
    kind: str
    closeup: bool | None = None
    dropped: bool = False


def read_album(root: Path, subject: str) -> list[Row]:
    """The album's photos, sorted by path.

    Raises:
        UserError: the root is missing or may not be read; labels.csv has a line that cannot be followed.
    """
    if not root.is_dir():
        raise UserError(
            f"data.root={root}: no such folder; give the folder that holds {subject}/ and not_{subject}/"
        )
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise UserError(
            f"data.root={root}: {error.strerror}; give a folder that may be read"
        ) from error
    corrections = _read_corrections(root / "labels.csv", subject)
    return [_row(path, subject, corrections.get(path)) for path in sorted(walk(root))]


def walk(root: Path, every_file: bool = False) -> Iterator[str]:
    """Relative paths of files that look like photos, or of every file that is not hidden.

    Follows links to folders, each folder once.
    """
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and (every_file or Path(name).suffix.lower() in SUFFIXES):
                yield Path(folder, name).relative_to(root).as_posix()


def _row(path: str, subject: str, correction: dict[str, str] | None) -> Row:
    top, *rest = path.split("/")
    label, kind = "", ""
    if rest and top == subject:
        label, kind = "subject", subject
    elif rest and top == f"not_{subject}":
        label, kind = "things", "things"
    elif rest and top == "pets":
        label, kind = "pets", rest[0] if len(rest) > 1 else "other"
    if correction is None:
        return Row(path, label, kind)
    said = correction["label"]
    if said == subject:
        label, kind = "subject", subject
    elif said == f"not_{subject}":
        label, kind = "things", "things"
    elif said and said != "drop":
        label, kind = "pets", said.removeprefix("pets/")
    closeup = {"": None, "1": True, "yes": True, "true": True}.get(
        correction["closeup"].lower(), False
    )
    return Row(path, label, kind, closeup, said == "drop")


def _read_corrections(path: Path, subject: str) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); write it as UTF-8 with path,label,closeup,note"
        ) from error
    if rows and not {"path", "label"} <= set(rows[0]):
        raise UserError(
            f"{path}: its first line is not path,label,closeup,note; put that line on top"
        )
    corrections = {}
    for number, row in enumerate(rows, 2):
        clean = {key: (row.get(key) or "").strip() for key in ("path", "label", "closeup")}
        if clean["closeup"].lower() not in ("", "0", "1", "yes", "no", "true", "false"):
            raise UserError(
                f"{path}:{number}: closeup={clean['closeup']!r}: expected yes, no or nothing"
            )
        if "/" in clean["label"].removeprefix("pets/"):
            raise UserError(
                f"{path}:{number}: label={clean['label']!r}: expected {subject}, not_{subject}, a kind, or drop"
            )
        corrections[clean["path"]] = clean
    return corrections


def correct(root: Path, subject: str, path: str, change: Mapping[str, str]) -> dict[str, str]:
    """Change one photo's line of labels.csv and return the line as it was before, to be put back by another call.

    Args:
        change: `label`, `closeup`, `note`; what it does not name stays. A line that says nothing any more goes.

    Raises:
        UserError: labels.csv cannot be followed or written.
    """
    file = root / "labels.csv"
    _read_corrections(file, subject)
    try:
        (root / DERIVED).mkdir(exist_ok=True)
        with FileLock(root / DERIVED / "labels.lock"):
            columns, rows = list(COLUMNS), []
            if file.is_file():
                with file.open(newline="", encoding="utf-8-sig") as lines:
                    reader = csv.DictReader(lines, restkey="")
                    rows = [{k: v for k, v in row.items() if k} for row in reader]
                    columns = [
                        *(reader.fieldnames or []),
                        *(c for c in COLUMNS if c not in (reader.fieldnames or [])),
                    ]
            before = next((row for row in rows if row["path"].strip() == path), {"path": path})
            after = {**before, **change}
            rows = [row for row in rows if row is not before]
            if any(value for key, value in after.items() if key != "path"):
                rows.append(after)
            out = io.StringIO()
            writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_aside(file, out.getvalue().encode())
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; corrections need a folder that may be written"
        ) from error
    return {name: before.get(name) or "" for name in COLUMNS[1:]}


def derived_folder(root: Path, cache: Path | None) -> Path:
    """Where everything derived from an album lies: `cache`, or `<root>/.ismila`, or `data/cache/<digest of
    the root's path>` when the root can't be written (a photo share is often read-only)."""
    if cache is not None:
        folder = cache
    else:
        folder = root / DERIVED
        if not os.access(folder if folder.is_dir() else root, os.W_OK):
            folder = (
                Path("data/cache") / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        if cache is not None:
            raise UserError(
                f"data.cache={cache}: cannot be made; give a folder that may be written"
            ) from None
        folder = Path("data/cache") / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    return folder
