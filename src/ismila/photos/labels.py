"""What an album's folders and its labels.csv say of each photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from filelock import FileLock

from ismila.photos import UserError
from ismila.photos.boxes import EXPECTED, plain_box
from ismila.photos.files import clear_aside, write_aside
from ismila.photos.labels_csv import COLUMNS, Line, Table, csv_of, read_table
from ismila.photos.names import (
    FEEDBACK,
    NOT,
    OTHER,
    PETS,
    RESERVED,
    as_text,
    is_text,
    name_problem,
    one_line,
    subject_problem,
)
from ismila.photos.skipping import Skipping
from ismila.photos.walking import SUFFIXES, walk

CLOSEUP = {
    "": None,
    "yes": True,
    "true": True,
    "1": True,
    "no": False,
    "false": False,
    "0": False,
}
NAMED_KINDS = 12
"""At most this many kinds are listed in a message."""


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo as the album's folders and labels.csv describe it.

    Attributes:
        path: relative to the album's root, with forward slashes.
        label: `subject`, `things` or `pets`; empty when the folder gives none and labels.csv
            neither.
        kind: what a photo without the subject shows (`things`, `dog`, ...); the subject's name
            otherwise.
        closeup: what labels.csv says, None when it says nothing.
        box: where in the photo the subject is, as labels.csv says it (`boxes.box_text`); empty
            when it says nothing, and for other photos, which need none.
        dropped: labels.csv takes the photo out.
        problem: why there is no photo to open at `path`: a folder that may not be read, an odd
            name.
    """

    path: str
    label: str
    kind: str
    closeup: bool | None = None
    box: str = ""
    dropped: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Choices:
    """What the label of a photo may be in this album.

    Attributes:
        kinds: of other animals that a folder of the album has.
    """

    subject: str
    kinds: Sequence[str]

    def meaning(self, label: str) -> tuple[str, str] | None:
        """(label, kind) of what a line of labels.csv says; None when we do not know it."""
        if label == self.subject:
            return "subject", self.subject
        if label.startswith(NOT) and label != NOT:
            return "things", "things"
        kind = label.removeprefix(f"{PETS}/")
        if kind in self.kinds or (kind != label and not name_problem(kind)):
            if _differs_in_case(kind, self.subject):
                return None
            return animal_label(kind, self.subject) if kind not in RESERVED else None
        return None

    def allows(self, label: str) -> bool:
        """Whether labels.csv may say this; nothing is fine, the folder decides then."""
        return label in ("", "drop") or self.meaning(label) is not None

    def __str__(self) -> str:
        kinds = [*self.kinds[:NAMED_KINDS], *(["..."] if len(self.kinds) > NAMED_KINDS else [])]
        named = [self.subject, f"{NOT}{self.subject}", "drop", *kinds]
        return f"{', '.join(named)} or {PETS}/KIND for a new kind"


def check_subject(subject: str) -> None:
    """Raise UserError for a subject whose folder would mean something else."""
    if problem := subject_problem(subject):
        raise UserError(
            f"subject={as_text(one_line(subject))}: expected the name of a pet that is also the name of its folder, "
            f"such as mila, {problem}"
        )


def read_album(root: Path, subject: str, skipping: Skipping | None = None) -> list[LabelledPhoto]:
    """The album's photos, sorted by path, and a row for each folder that may not be read.

    Args:
        skipping: counts what is passed over.

    Raises:
        UserError: the root is missing or may not be read; a folder's name differs from one that
            means something in upper and lower case only; labels.csv has a line that cannot be
            followed.
    """
    check_root(root, subject)
    errors: list[OSError] = []
    skipping = skipping or Skipping(root)
    paths = list(walk(root, on_error=errors.append, skipping=skipping))
    unread = {_folder_of(error, root): error.strerror for error in errors}
    if "./" in unread:
        raise UserError(f"data.root={root}: {unread['./']}; give a folder that may be read")
    _check_case(root, subject, paths)
    choices = Choices(subject, folder_kinds(root, subject))
    unasked = Unasked(tuple(unread), skipping)
    lines = _lines_by_path(root, choices, set(paths), unasked)
    rows = [_row(path, choices, lines.get(path)) for path in paths]
    for folder, reason in unread.items():
        problem = f"this folder cannot be read: {reason}"
        rows.append(LabelledPhoto(as_text(folder), "", "", problem=problem))
    return sorted(rows, key=lambda row: row.path)


def _folder_of(error: OSError, root: Path) -> str:
    return f"{Path(error.filename).relative_to(root).as_posix()}/"


def check_root(root: Path, subject: str) -> None:
    """Raise UserError when there is no folder at `root`."""
    check_subject(subject)
    if not root.is_dir():
        raise UserError(
            f"data.root={root}: no such folder; "
            f"give the folder that holds {subject}/ and {NOT}{subject}/"
        )


def folder_label(path: str, subject: str) -> tuple[str, str]:
    """(label, kind) that a photo's folder gives it; empty where it gives none."""
    top, *rest = path.split("/")
    if not rest or top == FEEDBACK:
        return "", ""
    if top.startswith(NOT):
        return "things", "things"
    if top != PETS:
        return animal_label(top, subject)
    return animal_label(rest[0] if len(rest) > 1 else OTHER, subject)


def animal_label(kind: str, subject: str) -> tuple[str, str]:
    """(label, kind) of an animal: the subject is one too, a reserved word is none."""
    if kind == subject:
        return "subject", subject
    return ("", "") if kind in RESERVED else ("pets", kind)


def folder_kinds(root: Path, subject: str) -> list[str]:
    """Kinds of other animals that a folder of the album has, by name, and `other`."""
    kinds = {OTHER}
    for path in (f"{folder}/x" for folder in _folders(root, "") if folder != PETS):
        kinds.add(folder_label(path, subject)[1])
    kinds.update(animal_label(folder, subject)[1] for folder in _folders(root, f"{PETS}/"))
    return sorted(kinds - {"", "things", subject})


def _folders(root: Path, below: str) -> list[str]:
    """Names of the folders that may give a kind: one that breaks the rule for names gives none."""
    skipping = Skipping(root)
    try:
        folders = [path.name for path in (root / below).iterdir() if path.is_dir()]
        return [
            name
            for name in folders
            if not name_problem(name) and not skipping.rule(f"{below}{name}/")
        ]
    except OSError:  # none, or closed to us: whoever walks the album names it
        return []


def _check_case(root: Path, subject: str, paths: Sequence[str]) -> None:
    """A folder `Mila` must not make the subject mila another animal of kind "Mila"."""
    split = [path.split("/") for path in paths]
    for top in sorted({parts[0] for parts in split if len(parts) > 1}):
        for meant in (subject, PETS):
            if _differs_in_case(top, meant):
                raise _case_error(root, top, meant)
        if top.lower().startswith(NOT) and not top.startswith(NOT):
            raise _case_error(root, top, NOT + top[len(NOT) :])
    for kind in sorted({parts[1] for parts in split if parts[0] == PETS and len(parts) > 2}):
        if _differs_in_case(kind, subject):
            raise _case_error(root, f"{PETS}/{kind}", f"{PETS}/{subject}")


def _differs_in_case(name: str, meant: str) -> bool:
    """Also where a Mac wrote its accents as characters of their own: both look the same."""
    return name != meant and _folded(name) == _folded(meant)


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold()


def _case_error(root: Path, folder: str, meant: str) -> UserError:
    return UserError(
        f"{root}/{folder}: differs from {meant} in upper and lower case only, or in how an accent is encoded; "
        f"rename the folder, or say subject=NAME as the folder does"
    )


def _row(path: str, choices: Choices, line: Line | None) -> LabelledPhoto:
    label, kind = folder_label(as_text(path), choices.subject)
    if not is_text(path):
        return LabelledPhoto(as_text(path), label, kind, problem="its name is not UTF-8; rename it")
    if line is not None:
        label, kind = choices.meaning(line["label"]) or (label, kind)
    if label == "pets" and (problem := name_problem(kind)):
        return LabelledPhoto(
            path, "", "", problem=f"its folder: expected a name {problem}; rename it"
        )
    if line is None:
        return LabelledPhoto(path, label, kind)
    closeup = CLOSEUP[line["closeup"].lower()]
    box = plain_box(line["box"]) if label == "subject" else ""
    return LabelledPhoto(path, label, kind, closeup, box, line["label"] == "drop")


@dataclass(frozen=True)
class Unasked:
    """Where photos may lie that are not in the album: what a line says of one is neither right nor wrong.

    Attributes:
        unread: folders that cannot be read.
    """

    unread: tuple[str, ...]
    skipping: Skipping

    def __contains__(self, path: str) -> bool:
        is_plain = PurePosixPath(path).as_posix() == path and ".." not in path.split("/")
        passed_over = is_plain and not self.skipping.takes(path)
        return path.startswith(self.unread) or passed_over


def _lines_by_path(
    root: Path, choices: Choices, photos: set[str], unasked: Unasked
) -> dict[str, Line]:
    """The lines of labels.csv by photo, each checked."""
    file = root / "labels.csv"
    lines: dict[str, Line] = {}
    for line in read_table(file).lines:
        _check_line(file, line, choices)
        path, place = line["path"], f"{file}:{line.number}"
        if path in lines:
            raise UserError(
                f"{place}: path={path}: stands in line {lines[path].number} already; "
                "delete one of the two"
            )
        if path not in photos and path not in unasked:
            raise UserError(
                f"{place}: path={path!r}: no such photo in the album; expected a path below {root} "
                f"with forward slashes, such as {choices.subject}/1.jpg; "
                "correct it or delete the line"
            )
        lines[path] = line
    return lines


def _check_line(file: Path, line: Line, choices: Choices) -> None:
    if line["closeup"].lower() not in CLOSEUP:
        raise UserError(
            f"{file}:{line.number}: closeup={line['closeup']!r}: expected yes, no or nothing"
        )
    if not _is_box(line["box"]):
        raise UserError(f"{file}:{line.number}: box={line['box']!r}: expected {EXPECTED}")
    if not choices.allows(line["label"]):
        raise UserError(f"{file}:{line.number}: label={line['label']!r}: expected {choices}")


def _is_box(text: str) -> bool:
    try:
        plain_box(text)
    except ValueError:
        return False
    return True


def change_lines(
    root: Path, subject: str, changes: Mapping[str, Mapping[str, str]], lock: Path
) -> dict[str, dict[str, str]]:
    """Change photos' lines of labels.csv; returns the lines as they were, for another call.

    The other lines stay as they are, also one that cannot be followed.

    Args:
        changes: of each photo by its path: `label`, `closeup`, `box`, `note`; what it does not name stays. A
            line that says nothing any more goes.
        lock: file that whoever writes this labels.csv holds.

    Raises:
        UserError: not a photo of the album, not a label or a box; labels.csv cannot be followed or
        written.
    """
    file = root / "labels.csv"
    choices = Choices(subject, folder_kinds(root, subject))
    for path, change in changes.items():
        _check_change(root, path, change, choices)
    before: dict[str, dict[str, str]] = {}
    try:
        with FileLock(lock):
            table = read_table(file)
            for path, change in changes.items():
                table, before[path] = _changed(file, table, path, change)
            clear_aside(file)
            write_aside(file.resolve(), csv_of(table))  # a link to a file elsewhere stays one
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; corrections need a folder that may be written"
        ) from error
    return before


def _check_change(root: Path, path: str, change: Mapping[str, str], choices: Choices) -> None:
    if unknown := set(change) - set(COLUMNS[1:]):
        raise ValueError(f"unknown columns of labels.csv: {unknown}")
    if not _is_photo(root, path):
        raise UserError(f"{path}: no such photo in the album {root}")
    if change.get("closeup", "").lower() not in CLOSEUP:
        raise UserError(f"closeup={change['closeup']}: expected yes, no or nothing")
    if not _is_box(change.get("box", "")):
        raise UserError(f"box={change['box']}: expected {EXPECTED}")
    if not choices.allows(change.get("label", "")):
        raise UserError(f"label={change['label']}: expected {choices}")


def _is_photo(root: Path, path: str) -> bool:
    parts = path.split("/")
    inside = not any(part == "" or part.startswith(".") for part in parts)
    looks_so = Path(path).suffix.lower() in SUFFIXES and is_text(path)
    return inside and looks_so and (root / path).is_file()


def _changed(
    file: Path, table: Table, path: str, change: Mapping[str, str]
) -> tuple[Table, dict[str, str]]:
    """The table after the change, and what the photo's line said before."""
    standing = [line for line in table.lines if line["path"] == path]
    if len(standing) > 1:
        raise UserError(
            f"{file}:{standing[1].number}: path={path}: stands in line {standing[0].number} "
            "already; delete one of the two"
        )
    line = standing[0] if standing else Line(0, {"path": path})
    after = Line(line.number, {**line.cells, **change})
    lines = [after if other is line else other for other in table.lines]
    lines += [] if standing else [after]
    says_something = any(value.strip() for column, value in after.cells.items() if column != "path")
    kept = [line for line in lines if line is not after or says_something]
    return replace(table, lines=kept), {name: line[name] for name in COLUMNS[1:]}
