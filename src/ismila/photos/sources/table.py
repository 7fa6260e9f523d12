"""A CSV that says who is in which photo: columns path and name, and box where somebody has drawn one."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ismila.photos import UserError
from ismila.photos.boxes import EXPECTED, Box, read_box
from ismila.photos.names import at_home
from ismila.photos.sources import SourcePhoto, same_name
from ismila.photos.sources.opening import SourceOptions, existing

PATHS = ("path", "file", "filename", "image", "photo")
NAMES = ("name", "label", "pet", "person", "subject")
BOXES = ("box",)
DELIMITERS = ",;\t|"
"""A spreadsheet in a country whose decimals have commas writes semicolons."""


class _NameRow(NamedTuple):
    number: int
    path: str
    name: str
    box: str


class NamesTable:
    """Photos by the rows of a CSV; paths are seen from its folder, or from `wanted.photos`.

    Raises:
        UserError: there is no such file, or it is no such table.
    """

    def __init__(self, kind: str, given: str, wanted: SourceOptions) -> None:
        self.kind = kind
        self._file = existing(given)
        self.where = str(self._file.absolute())
        self.notes: list[str] = []
        self._folder = wanted.photos or self._file.parent
        self._rows = _read(self._file)

    def names(self) -> list[str]:
        """Of all rows."""
        return sorted({row.name for row in self._rows} - {""})

    def photos(self, name: str) -> Iterator[SourcePhoto]:
        """Those of the rows with the name, each once."""
        taken = set()
        for row in self._rows:
            if same_name(row.name, name) and row.path and row.path not in taken:
                taken.add(row.path)
                yield self._photo(row)

    def _photo(self, row: _NameRow) -> SourcePhoto:
        path = self._path(row.path)
        return SourcePhoto(
            key=row.path,
            name=path.name,
            why=f"name {row.name} in {self._file.name}",
            path=path,
            box=self._box(row),
        )

    def _path(self, written: str) -> Path:
        path = self._folder / at_home(written)
        if "\\" in written and not path.exists():  # as Windows writes it
            return self._folder / written.replace("\\", "/")
        return path

    def _box(self, row: _NameRow) -> Box | None:
        try:
            return read_box(row.box) if row.box else None
        except ValueError as error:
            raise UserError(
                f"{self._file}:{row.number}: box={row.box!r}: expected {EXPECTED}"
            ) from error


def _read(file: Path) -> list[_NameRow]:
    try:
        text = _text(file.read_bytes())
        first = next(iter(text.splitlines()), "")
        delimiter = max(DELIMITERS, key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except OSError as error:
        raise UserError(
            f"{file}: {error.strerror}; give a CSV with the columns path and name"
        ) from error
    except (UnicodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV in UTF-8 ({error}); save it as such") from error
    filled = [(number, cells) for number, cells in rows if any(cells)]
    if not filled:
        raise UserError(f"{file}: empty; expected a first line path,name and a line for each photo")
    columns = [cell.lower() for cell in filled[0][1]]
    at = [_column(file, columns, filled[0][1], names) for names in (PATHS, NAMES, BOXES)]
    return [
        _NameRow(number, *(_cell(cells, column) for column in at)) for number, cells in filled[1:]
    ]


def _text(content: bytes) -> str:
    """As spreadsheets write it: UTF-8, with a mark or without, or UTF-16 with one."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def _column(file: Path, columns: Sequence[str], shown: Sequence[str], names: Sequence[str]) -> int:
    """Where the column of one of these names stands; -1 for a box, which may be left out."""
    found = next((columns.index(name) for name in names if name in columns), -1)
    if found < 0 and names != BOXES:
        raise UserError(
            f"{file}: its columns are {', '.join(shown)}; expected {names[0]} (or {', '.join(names[1:])}) "
            "among them: name the columns in the first line"
        )
    return found


def _cell(cells: Sequence[str], column: int) -> str:
    return cells[column] if 0 <= column < len(cells) else ""
