"""Python reads this first in every process that `make test` starts: foreign imports are not traced while they run.

Before Python 3.12 coverage is told of every call, also of those in torch's and MLflow's imports, only to ignore them. A
training and two questions took 1.5 times as long with it, and 1.2 times with this; the lines counted are the same.
"""

import builtins
import sys

_import = builtins.__import__


def _untraced(name, globals=None, locals=None, fromlist=(), level=0):
    trace = sys.gettrace()
    ours = level == 0 and name.partition(".")[0] == "ismila"  # we import by full names only
    if trace is None or ours:
        return _import(name, globals, locals, fromlist, level)
    sys.settrace(None)
    try:
        return _import(name, globals, locals, fromlist, level)
    finally:
        sys.settrace(trace)
        _call()


def _call():
    """coverage's tracer puts itself back in place at the first call that it sees."""


if "coverage" in sys.modules:  # coverage's own .pth has run by now
    builtins.__import__ = _untraced
