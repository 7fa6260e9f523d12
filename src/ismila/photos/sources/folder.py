"""A folder of photos that name nobody, or one photo: whoever gives it says what it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.labels import walk
from ismila.photos.skipping import Skipping
from ismila.photos.sources import SourcePhoto

WHY = "given by hand"


class Folder:
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
        skipping = Skipping(self._path, self._exclude, self._hidden)
        unread: list[OSError] = []
        for path in sorted(walk(self._path, True, unread.append, skipping)):
            yield _photo(self._path / path)
        yield from map(unread_folder, unread)
        if words := skipping.words():
            self.notes.append(f"passed over: {self._path}: {words}")


def unread_folder(error: OSError) -> SourcePhoto:
    """What stands for the photos of a folder that cannot be read."""
    path = Path(error.filename)
    problem = f"this folder cannot be read: {error.strerror}"
    return SourcePhoto(key=str(path), name=path.name, why=WHY, path=path, problem=problem)


def _photo(path: Path) -> SourcePhoto:
    return SourcePhoto(key=str(path.absolute()), name=path.name, why=WHY, path=path)
