"""File names as text. A disk takes any bytes but `/` and NUL; tables, databases and terminals do not.

Python hands a byte that is no UTF-8 on as a lone surrogate (PEP 383), which opens the file again and which
sqlite, parquet and most writers of text refuse. How such a name is shown and kept is decided here, and what
a pet or a kind may be called.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from ismila.photos import UserError

_BYTE = re.compile("[\udc80-\udcff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What ends a line, moves a terminal's cursor or turns the direction of writing."""

PETS = "pets"
NOT = "not_"
OTHER = "other"
"""The kind of an animal that lies in `pets/` itself."""
FEEDBACK = "feedback"
"""Where the server puts photos that somebody corrected: labels.csv says what they show."""
RESERVED = frozenset(["subject", "things", "pets", "drop"])
"""Words with a meaning of their own among labels and figures: no animal's kind."""
VERDICT = "unsure"
"""What is said near the threshold, and the folder of such photos: no subject's name."""
LONGEST_NAME = 100

NAMED = 3
"""At most so many names stand in a line."""
_PASSWORD = re.compile(r"(://[^/?#\s:@]*:)[^/?#\s]+(?=@)")


def is_text(name: str) -> bool:
    """Whether the name can be written down as it is."""
    return as_text(name) == name


def as_text(name: str) -> str:
    r"""The name with its odd bytes written as `\xe9`: for people and tables, it opens no file."""
    shown = _BYTE.sub(lambda odd: f"\\x{ord(odd[0]) - 0xDC00:02x}", name)
    return shown.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    r"""Text that stays on its line, with `\n` for a line feed; odd bytes stay: they are the name."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def name_problem(name: str) -> str:
    """What a pet's or a kind's name would have to be instead; empty when it is fine.

    The one rule for a subject, a label and a folder that gives a kind: text of one line that a folder can bear. Quotes,
    colons, brackets, any script: all fine. What MLflow takes of it, `runs.naming` says.
    """
    if not name.strip():
        return "that is not empty"
    if not is_text(name):
        return "in UTF-8"
    if one_line(name) != name:
        return "without control characters"
    if "/" in name or "\\" in name:
        return "without / and \\"
    if name.startswith("."):
        return "that does not begin with a dot"
    if len(name) > LONGEST_NAME:
        return f"of at most {LONGEST_NAME} characters"
    return ""


def subject_problem(name: str) -> str:
    """What a subject's name would have to be instead; empty when it is fine."""
    taken = {*RESERVED, OTHER, FEEDBACK, VERDICT}
    if name in taken:
        return f"that is not one of {', '.join(sorted(taken))}"
    if name.startswith(NOT):
        return f"that does not begin with {NOT}"
    return name_problem(name)


def without_password(text: str) -> str:
    """Text in which addresses (`http://USER:PASSWORD@HOST`) keep their passwords to themselves."""
    return _PASSWORD.sub(r"\1***", text)


def counted(n: int, what: str) -> str:
    """`1 photo`, `2 photos`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def named_problems(problems: Mapping[str, str]) -> str:
    """A few of the names with what is wrong with each, in a line, and how many more there are."""
    named = [f"{name}: {problem}" for name, problem in islice(problems.items(), NAMED)]
    if len(problems) > NAMED:
        named.append(f"and {len(problems) - NAMED} more")
    return one_line("; ".join(named))


def first_line(error: BaseException) -> str:
    """The beginning of what a library says went wrong, without the traceback that some add."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:160]


def as_cell(name: str) -> str | bytes:
    """What a database keeps of a name: text, or its bytes where it is none. `from_cell` backwards."""
    return name if is_text(name) else os.fsencode(name)


def from_cell(cell: str | bytes) -> str:
    """The name that `as_cell` kept."""
    return cell if isinstance(cell, str) else os.fsdecode(cell)


def at_home(text: str) -> Path:
    """A path as a person writes it: `~` is their home, also where no shell has replaced it."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody is called so: a name that begins with ~
        return Path(text)


def require_text(folder: Path, what: str) -> None:
    """Raise UserError for a folder whose path cannot be written down (runs and indexes record it), or is
    too long for any folder."""
    try:
        folder.is_dir()
    except OSError as error:
        shown = f"{as_text(str(folder))[:40]}..."
        raise UserError(f"{what}={shown}: {error.strerror}; give another folder") from error
    if not is_text(str(folder.resolve())):
        raise UserError(f"{what}={as_text(str(folder))}: its path is not UTF-8; rename the folder")
