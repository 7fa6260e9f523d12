"""Write requirements-serve.txt: what `ismila serve --model` needs, at the versions of requirements.lock.

.venv/bin/python tools/serving_requirements.py          # `make lock` does it
.venv/bin/python tools/serving_requirements.py --check  # exit code 1 when it is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ismila.runs.requirements import requirements_of

ROOT = Path(__file__).parents[1]
MODULES = ("ismila.use.serve.app", "ismila.use.serve.from_file")
"""What answers for a file; what only runs need is imported within functions."""
LAZILY = ("pillow-heif", "onnxruntime", "uvicorn")
"""Imported within functions, and needed for a file, too."""
UNNAMED = ("python-multipart",)
"""Which fastapi imports where a form has files."""


def needed(names: Sequence[str]) -> set[str]:
    """The packages and all that they need, as they are installed here; without extras."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found


def main() -> int:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = {
        canonicalize_name(re.split("[=@ ]", line)[0]): line
        for line in lock
        if line and line[0] != "#"
    }
    imported = [line.partition("==")[0] for line in requirements_of(MODULES, lazily=False)]
    lines = [pinned[name] for name in sorted(needed([*imported, *LAZILY, *UNNAMED]))]
    text = "# Made by `make lock` from requirements.lock: what `ismila serve --model FILE` needs.\n"
    text += "\n".join(lines) + "\n"
    file = ROOT / "requirements-serve.txt"
    if "--check" in sys.argv:
        if file.read_text() != text:
            print(f"{file.name} is not what requirements.lock says: run `make lock`")
            return 1
        return 0
    file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
