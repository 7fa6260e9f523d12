"""Files that are there whole or not at all: written aside, then renamed."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

ASIDE = re.compile(r"\.(?P<name>.+)\.[0-9]+-[0-9a-f]{8}\.part", re.DOTALL)
LONGEST_NAME = 50
"""Characters of a file's name that its name aside keeps: a file name has at most 255 bytes."""


def write_aside(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whenever the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_path(path)
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def aside_path(path: Path) -> Path:
    """Where a file is written before it is renamed: beside itself, under a name that is nobody else's."""
    # the process id alone is not enough: threads, and containers that are all number 1
    writer = f"{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name[:LONGEST_NAME]}.{writer}.part")


def written_aside(name: str) -> str:
    """Which file `name` was to become, if a killed writer left it behind; otherwise empty."""
    left = ASIDE.fullmatch(name)
    return left["name"] if left else ""


def clear_aside(path: Path) -> None:
    """Delete what killed writers of this file left behind; only for who holds the file's lock."""
    for left in path.parent.iterdir():
        if written_aside(left.name) == path.name[:LONGEST_NAME]:
            left.unlink(missing_ok=True)
