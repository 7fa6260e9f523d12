"""A folder of photos that name nobody, or one photo: whoever gives it says what it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.skipping import Skipping
from ismila.photos.sources import SourcePhoto
from ismila.photos.walking import walk

WHY = "given by hand"


class FolderSource:
    """Every photo of a folder, whatever name is asked for.

    Args:
        exclude, hidden: see `Skipping`.

    Raises:
        UserError: there is no such folder or file.
    """

    kind = "folder"

    def __init__(
        self, given: str | Path, exclude: Sequence[str] = (), hidden: bool = False
    ) -> None:
        self.where = str(Path(given).absolute())
        self.notes: list[str] = []
        self._path = Path(given)
        self._exclude = exclude
        self._hidden = hidden
        if not os.path.exists(given):  # noqa: PTH110 - which no name is too long for
            raise UserError(f"{given}: no such file or folder; give photos or folders of photos")

    def names(self) -> None:
        """Any will do."""

    def photos(self, _: str) -> Iterator[SourcePhoto]:
        """Every file of the folder, so that one that is no photo is named."""
        if not self._path.is_dir():
            yield _photo(self._path)
            return
        below = Below(self._path, self._exclude, self._hidden)
        for path in below.files():
            yield _photo(self._path / path)
        yield from below.unread()
        self.notes += below.notes()


class Below:
    """The files below a folder, and what was not looked at.

    Args:
        exclude, hidden: see `Skipping`.
    """

    def __init__(self, root: Path, exclude: Sequence[str], hidden: bool) -> None:
        self._root = root
        self._skipping = Skipping(root, exclude, hidden)
        self._unread: list[OSError] = []

    def files(self) -> list[str]:
        """Paths below the folder, in order."""
        return sorted(walk(self._root, True, self._unread.append, self._skipping))

    def unread(self) -> Iterator[SourcePhoto]:
        """What stands for the photos of folders that could not be read."""
        return map(_unread_folder, self._unread)

    def notes(self) -> list[str]:
        """What was passed over, in a line where there is any."""
        words = self._skipping.words()
        return [f"passed over: {self._root}: {words}"] if words else []


def _unread_folder(error: OSError) -> SourcePhoto:
    """What stands for the photos of a folder that cannot be read."""
    path = Path(error.filename)
    problem = f"this folder cannot be read: {error.strerror}"
    return SourcePhoto(key=str(path), name=path.name, why=WHY, path=path, problem=problem)


def _photo(path: Path) -> SourcePhoto:
    return SourcePhoto(key=str(path.absolute()), name=path.name, why=WHY, path=path)
