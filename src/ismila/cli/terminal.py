"""Lines for a person on stderr, and the end of the process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from ismila.photos.addresses import as_given
from ismila.photos.names import as_text, one_line, without_password

NAMED_PROBLEMS = 20
"""As many photos with a problem are named; how many more there are is said in one line."""


def say(line: str) -> None:
    """One line on stderr: what a program that reads stdout does not want."""
    print(as_text(one_line(without_password(as_given(line)))), file=sys.stderr)


def say_each(title: str, lines: Sequence[str]) -> None:
    """The first of the lines, each after the title, and how many more there are."""
    for line in lines[:NAMED_PROBLEMS]:
        say(f"{title}: {line}")
    if len(lines) > NAMED_PROBLEMS:
        say(f"{title}: {len(lines) - NAMED_PROBLEMS} more")


def leave(code: int) -> NoReturn:
    """End the process at once: tearing down torch's and MLflow's modules one by one takes 2 s."""
    logging.shutdown()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
