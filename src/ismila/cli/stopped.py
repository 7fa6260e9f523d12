"""Ctrl-C while Python still imports a command: one line, where there would be a traceback.

It is imported for its effect, before everything that is slow to import.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

STOPPED = 130
"""The exit code of what Ctrl-C stopped, by a shell's custom."""


def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """What Python does with an exception that nobody caught."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print("stopped before anything was done", file=sys.stderr, flush=True)
    os._exit(STOPPED)


sys.excepthook = show
