"""What lies at an address of an object store: opened and listed by fsspec, with a line for what goes wrong there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from ismila.photos import UserError
from ismila.photos.names import as_text, first_line

BUCKETS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az")
"""Protocols of object stores: what fsspec opens beside them has hosts, passwords and half-written files."""


class Remote(NamedTuple):
    """A file at an address.

    Attributes:
        version: differs when the content does: an ETag, or what else the place has.
    """

    version: str
    size_bytes: int


@contextmanager
def asking(address: str) -> Iterator[None]:
    """What goes wrong at an address becomes one line with the remedy.

    Raises:
        UserError: see there.
    """
    try:
        yield
    except (UserError, FileExistsError):
        raise
    except ImportError as error:
        what = "pip install 'ismila[s3]'" if address.startswith("s3:") else first_line(error)
        raise UserError(f"{address}: needs a package that is not here; {what}") from error
    except FileNotFoundError as error:
        raise UserError(f"{address}: {first_line(error)}; give a place that is there") from error
    except PermissionError as error:
        raise UserError(
            f"{address}: no rights ({first_line(error)}); give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "that may, or AWS_PROFILE; with data.cache=DIR nothing derived is written there"
        ) from error
    except Exception as error:  # whatever the library behind it raises: botocore, aiohttp
        if isinstance(error, OSError) or _is_of_a_library(error):
            raise UserError(
                f"{address}: {first_line(error)}; are the address, AWS_ENDPOINT_URL and the usual AWS variables right?"
            ) from error
        raise


def _is_of_a_library(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp", "fsspec")


def file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it; no listing is remembered.

    Raises:
        UserError: it is no bucket, or the package for it is not installed.
    """
    protocol = address.partition("://")[0]
    if protocol not in BUCKETS:
        raise UserError(
            f"{address}: no bucket; give s3://BUCKET/ALBUM, or mount the place and give its folder"
        )
    usual = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    with asking(address):
        fs = _opened(protocol, usual, os.getpid())
        return fs, str(fs._strip_protocol(address)).rstrip("/")


@cache
def _opened(protocol: str, usual: tuple[tuple[str, str], ...], process: int) -> Any:
    """Made once for what it depends on: variables, and a process, since a fork must not share connections."""
    import fsspec

    how: dict[str, Any] = {}
    if protocol == "s3":
        # one request for a photo instead of two; five tries take 6 s to find that nobody is there
        how["max_concurrency"] = 1
        how["config_kwargs"] = {"retries": {"max_attempts": 3}, "connect_timeout": 10}
    return fsspec.filesystem(protocol, skip_instance_cache=True, use_listings_cache=False, **how)


def version_in(info: Mapping[str, Any]) -> str:
    """The version that a listing tells of a file."""
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    when = info.get("LastModified") or info.get("mtime") or info.get("created") or ""
    return str(tag or f"{info.get('size')} {when}").strip('"')


def listing(address: str) -> dict[str, Remote]:
    """The files below an address, by path below it.

    Raises:
        UserError: the address cannot be read; a name there leads out of the folder.
    """
    fs, base = file_system(address)
    with asking(address):
        found = fs.find(base, detail=True)
    files: dict[str, Remote] = {}
    for full, info in found.items():
        path = str(full).removeprefix(base).removeprefix("/")
        parts = path.split("/")
        if not path or path.endswith("/") or info.get("type") == "directory":
            continue
        if ".." in parts or "" in parts or "." in parts or "\0" in path:
            raise UserError(
                f"{address}: {as_text(path)!r}: no name of a file in a folder; rename it"
            )
        files[path] = Remote(version_in(info), int(info.get("size") or 0))
    return files
