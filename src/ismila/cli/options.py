"""Options that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ismila.photos.addresses import album_at
from ismila.photos.names import at_home, name_problem

if TYPE_CHECKING:
    Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

PHOTOS = Path("data/photos")
"""The album where none is named."""


def whole_number(low: int, high: float, expected: str) -> Callable[[str], int]:
    """A type of option; argparse turns its error into wrong usage, exit code 2.

    Args:
        low, high: the least and the largest number that is taken.
        expected: these in words.
    """

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return int(text)

    return number


port_number = whole_number(0, 65535, "a port, 0 to 65535")
photo_count = whole_number(0, inf, "a number of photos, 0 or more")
"""0 stands for all."""


def subject_name(text: str) -> str:
    """A name that a folder can bear, since the subject's photos lie in one."""
    if problem := name_problem(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected the name of a folder, such as mila, {problem}"
        )
    if "," in text:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected one subject here; predict, scan, serve, export, report and compare take several"
        )
    return text


def subject_names(text: str) -> tuple[str, ...]:
    """One name or several with commas between them, each once."""
    return tuple(dict.fromkeys(subject_name(name.strip()) for name in text.split(",")))


def frames_a_second(text: str) -> float:
    """How many frames of a film are asked about; argparse turns the error into wrong usage, exit code 2."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0.01 to 60 frames a second")
    return value


def some_of(text: str) -> tuple[int, int]:
    """`K/N`, such as 2/3: K of N frames."""
    some, slash, of = text.partition("/")
    is_written = slash and some.isascii() and some.isdigit() and of.isascii() and of.isdigit()
    if not is_written or not 1 <= int(some) <= int(of) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: expected K/N, such as 2/3: K of N frames")
    return int(some), int(of)


def _shared(
    *names: str, parents: tuple[argparse.ArgumentParser, ...] = (), **settings: Any
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, parents=parents)
    parser.add_argument(*names, **settings)
    return parser


SUBJECT = _shared("--subject", type=subject_name, default="mila")
SUBJECTS = _shared(
    "--subject",
    dest="subjects",
    type=subject_names,
    default=("mila",),
    metavar="NAME[,NAME]",
    help="one subject, or several with commas between them",
)
_WHICH_RUN: dict[str, Any] = {
    "default": "best",
    "help": "best, latest, an alias, a run id or its beginning",
}
RUN = _shared("--run", parents=(SUBJECT,), **_WHICH_RUN)
RUN_OF_EACH = _shared("--run", parents=(SUBJECTS,), **_WHICH_RUN)
ALBUM = _shared("--root", type=album_at, help="the album, when it has moved since the run")


def _skipping() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="pass over what matches, as a line of .gitignore would say it; may be repeated",
    )
    parser.add_argument(
        "--include-hidden", action="store_true", help="look into hidden folders and files, too"
    )
    return parser


def _films() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--fps",
        type=frames_a_second,
        default=2.0,
        metavar="N",
        help="ask about so many frames of a film a second (default: 2)",
    )
    parser.add_argument(
        "--agree",
        type=some_of,
        default=(2, 3),
        metavar="K/N",
        help="believe K of N frames that follow one another (default: 2/3)",
    )
    return parser


SKIPPING = _skipping()
FILMS = _films()
JSON = _shared("--json", action="store_true", help="one JSON object a line")
CACHE = _shared("--cache", type=at_home, help="where derived files go (default: <root>/.ismila)")
