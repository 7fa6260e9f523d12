"""What a walk through somebody's folders passes over: thumbnails, bins, older versions, what they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from ismila.photos import UserError
from ismila.photos.names import as_text, counted

IGNORE_FILE = ".ismilaignore"
OURS = ".ismila"
"""What is derived from an album, of which nobody need be told."""
OTHERS_FOLDERS = {
    "@eadir/": "@eaDir",  # Synology's thumbnails
    r"\#recycle/": "#recycle",  # its bin
    r"\#snapshot/": "#snapshot",
    "@recycle/": "@Recycle",  # QNAP's bin
    "$recycle.bin/": "$RECYCLE.BIN",
    ".thumbnails/": ".thumbnails",
    "thumbs/": "Thumbs",
    "*.photoslibrary/resources/derivatives/": "*.photoslibrary/resources/derivatives",
    "**/*.photoslibrary/resources/derivatives/": "*.photoslibrary/resources/derivatives",
    ".stversions/": ".stversions",  # Syncthing's older versions
    ".ismila/": OURS,
}
"""Folders that programs put beside photos: a pattern as in .gitignore, in lower case -> its name."""
_OTHERS = GitIgnoreSpec.from_lines(OTHERS_FOLDERS)
_NAMES = tuple(OTHERS_FOLDERS.values())
HIDDEN = "hidden"
HALF = "._"
"""How macOS names what it could not put into the photo's own file on a disk of another kind."""


@dataclass
class Skipping:
    """Which folders and photos below one folder are passed over, and by which rule.

    A folder that is passed over is not looked into. Where several rules could be meant: those for folders of
    programs come first, then hidden names, `exclude`, and the nearest `.ismilaignore` that says something.

    Attributes:
        exclude: patterns as in .gitignore, from `root`.
        hidden: hidden files and folders are taken, too.
        folders, photos: how many of each were passed over, by rule.

    Raises:
        UserError: a pattern, or an .ismilaignore, cannot be followed.
    """

    root: Path
    exclude: Sequence[str] = ()
    hidden: bool = False
    folders: Counter[str] = field(default_factory=Counter)
    photos: Counter[str] = field(default_factory=Counter)
    _specs: dict[str, GitIgnoreSpec | None] = field(default_factory=dict)
    _skipped: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._excluded = _spec(self.exclude, f"--exclude {' '.join(self.exclude)}")

    def rule(self, path: str) -> str | None:
        """What passes a path over whose folder is not passed over; None: nothing does.

        Args:
            path: below the root, with forward slashes, with one at its end for a folder.
        """
        if path.endswith("/"):
            found = _OTHERS.check_file(path.lower())
            if found.include:
                return _NAMES[found.index or 0]
        name = path.rstrip("/").rpartition("/")[2]
        if name.startswith(HALF) or (name.startswith(".") and not self.hidden):
            return HIDDEN
        if self.exclude and self._excluded.check_file(path).include:
            return "--exclude"
        return IGNORE_FILE if self._is_ignored(path) else None

    def takes_folder(self, path: str) -> bool:
        """Whether a walk goes into this folder, whose own folder it is in; counts it if not."""
        rule = self.rule(path)
        self.folders[rule or ""] += rule is not None
        return rule is None

    def takes_file(self, path: str, is_photo: bool) -> bool:
        """The same of a file; only photos are counted."""
        rule = self.rule(path)
        self.photos[rule or ""] += is_photo and rule is not None
        return rule is None

    def takes(self, path: str) -> bool:
        """Whether a walk comes to this photo: neither it nor a folder above it is passed over."""
        return not self._is_below_skipped(path) and self.rule(path) is None

    def _is_below_skipped(self, path: str) -> bool:
        folder = path.rstrip("/").rpartition("/")[0]
        if not folder:
            return False
        if folder not in self._skipped:
            self._skipped[folder] = not self.takes(f"{folder}/")
        return self._skipped[folder]

    def _is_ignored(self, path: str) -> bool:
        """As .gitignore: the file of the nearest folder that says something of the path decides."""
        folder = path.rstrip("/")
        while folder:
            folder = folder.rpartition("/")[0]
            spec = self._spec_of(folder)
            if spec is not None:
                said = spec.check_file(path[len(folder) :].lstrip("/")).include
                if said is not None:
                    return said
        return False

    def _spec_of(self, folder: str) -> GitIgnoreSpec | None:
        """What the folder's .ismilaignore says; None where there is none."""
        if folder not in self._specs:
            file = self.root / folder / IGNORE_FILE
            try:
                is_there = file.is_file()
            except OSError:  # the folder is closed to us: who walks it says so
                is_there = False
            self._specs[folder] = _read_spec(file) if is_there else None
        return self._specs[folder]

    def clear(self) -> None:
        """Count from 0 again."""
        self.folders.clear()
        self.photos.clear()

    def words(self) -> str:
        """What was passed over by which rule, in one line; empty where nothing was."""
        rules = [rule for rule in sorted({*self.folders, *self.photos}) if rule not in ("", OURS)]
        return ", ".join(f"{self._counted(rule)} by {self._named(rule)}" for rule in rules)

    def _counted(self, rule: str) -> str:
        counts = ((self.folders[rule], "folder"), (self.photos[rule], "photo"))
        return " and ".join(counted(n, what) for n, what in counts if n)

    def _named(self, rule: str) -> str:
        return f"--exclude {' '.join(self.exclude)}" if rule == "--exclude" else rule


def _read_spec(file: Path) -> GitIgnoreSpec:
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; let it be read, or delete it") from error
    return _spec(lines, str(file))


def _spec(lines: Sequence[str], where: str) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise UserError(
            f"{as_text(where)}: {error}; expected patterns as in .gitignore, such as screenshots/ or *.png"
        ) from error
