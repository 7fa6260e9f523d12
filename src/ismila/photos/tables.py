"""Parquet files that are read back: damage is one thing, a file that may not be read or a missing library another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ismila.photos import UserError


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """The table at `path`; None where there is none, or it is damaged.

    Raises:
        UserError: it is there and may not be read: whoever took it for damaged would write over it.
    """
    try:
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
    except (ImportError, MemoryError):
        raise
    except PermissionError as error:
        raise UserError(f"{path}: may not be read: {error.strerror}; give the right to") from error
    except Exception:  # whatever pyarrow raises on a damaged file
        return None
