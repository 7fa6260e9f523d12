"""The form of labels.csv, as people and spreadsheets write it; what a line means, `labels` says."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

from ismila.photos import UserError

COLUMNS = ("path", "label", "closeup", "box", "note")
"""Of labels.csv."""


@dataclass(frozen=True)
class Line:
    """A line of labels.csv.

    Attributes:
        number: counted as an editor does, from 1.
        cells: column -> text, as it stands in the file.
    """

    number: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "").strip()


@dataclass(frozen=True)
class Table:
    """labels.csv as it stands.

    Attributes:
        marked: it begins with a byte order mark, without which a spreadsheet garbles its umlauts.
    """

    columns: list[str] = field(default_factory=lambda: list(COLUMNS))
    lines: list[Line] = field(default_factory=list)
    marked: bool = False


def read_table(file: Path) -> Table:
    """labels.csv as it stands; empty when there is none.

    Raises:
        UserError: it cannot be read, its first line does not name the columns, or a line has too
        many cells.
    """
    if not os.path.lexists(file):
        return Table()
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            text = stream.read()
        reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
        begins, numbered = 1, []
        for cells in reader:
            numbered.append((begins, cells))
            begins = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{file}: cannot be read ({error}); write it as UTF-8 with {','.join(COLUMNS)}"
        ) from error
    filled = [(number, cells) for number, cells in numbered if any(c.strip() for c in cells)]
    if not filled:
        return Table(marked=text.startswith("\ufeff"))
    columns = _columns(file, filled[0][1])
    lines = [_line(file, number, cells, columns) for number, cells in filled[1:]]
    return Table(columns, lines, text.startswith("\ufeff"))


def _columns(file: Path, cells: list[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    while columns[-1] == "":
        columns.pop()
    named = [column for column in columns if column]
    if not {"path", "label"} <= set(named):
        raise UserError(
            f"{file}: its first line is not {','.join(COLUMNS)}; put that line on top, "
            "with commas between"
        )
    if twice := sorted({column for column in named if named.count(column) > 1}):
        raise UserError(
            f"{file}: its first line names {', '.join(twice)} twice; leave one of the columns"
        )
    return columns


def _line(file: Path, number: int, cells: list[str], columns: list[str]) -> Line:
    while len(cells) > len(columns) and not cells[-1].strip():
        cells = cells[:-1]  # a spreadsheet ends its lines with empty cells
    if len(cells) > len(columns):
        raise UserError(
            f"{file}:{number}: {len(cells)} cells, expected {len(columns)} "
            f"({','.join(columns)}); put a text that has a comma in double quotes"
        )
    return Line(number, dict(zip(columns, cells, strict=False)))


def csv_of(table: Table) -> bytes:
    """labels.csv as it is written: what an editor or a spreadsheet left in it stays."""
    columns = [*table.columns, *(name for name in COLUMNS if name not in table.columns)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([line.cells.get(column, "") for column in columns] for line in table.lines)
    text = ("\ufeff" if table.marked else "") + out.getvalue()
    return text.encode("utf-8", "replace")  # a note may hold half a character
