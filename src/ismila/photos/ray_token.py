"""The token that a cluster of Ray's asks for from whoever joins it."""

from __future__ import annotations

import os
import secrets


def names_token() -> bool:
    """Whether the environment says which token Ray is to ask for, or to give."""
    return bool({"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys())


def keep_to_ourselves() -> None:
    """Give the Ray that this process starts, which asks for a token, one of its own, unless the environment names one.

    Ray itself would keep one in the user's home, and give it to each cluster that is joined later.
    """
    if not names_token():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
