"""Bundled graphs in onnxruntime, and the kinds of arrays that go in and out."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ismila.photos.cores import cores

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

_session_lock = threading.Lock()


def graph_session(graph: Path, threads: int) -> Any:
    """A graph in onnxruntime, created on first use, then cached; 0 threads are as many as this process may use."""
    with _session_lock:
        return _opened(graph, threads or cores())


def import_runtime() -> None:
    """Import onnxruntime, for who opens graphs in threads, which import nothing (docs/design.md, "Threads")."""
    from onnxruntime.capi import onnxruntime_inference_collection  # noqa: F401


@lru_cache
def _opened(graph: Path, threads: int) -> Any:
    from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession
    from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # waiting threads leave their core to those that decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
