"""How many threads a process may keep busy."""

from __future__ import annotations

import os


def cores() -> int:
    """OMP_NUM_THREADS where it is set, as joblib and Ray do for each of their workers; otherwise
    the cores that this process may run on.

    One number for decoding, onnxruntime and drawing, so that workers that share a machine do not
    each take all of it; torch and BLAS follow the same variable by themselves.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
