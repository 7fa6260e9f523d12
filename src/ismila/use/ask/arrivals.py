"""When to look at a library again: something in it has changed, or some time has gone by."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ismila.photos import UserError
from ismila.photos.walking import SUFFIXES
from ismila.use.ask.library import Library

SETTLED_MS = 1600
"""Photos that arrive one after another are looked at together: so long is waited for the next."""
TICK_MS = 1000


def arrivals(library: Library, every_s: int) -> Iterator[bool]:
    """Now, and then whenever photos have arrived, changed or gone, or `every_s` have passed.

    It is time to look then: the library's state knows what is new. A share on the network tells
    nobody what changes in it, which is why time alone will do.

    Yields:
        Whether something is known to have changed; True at first.

    Args:
        every_s: seconds.

    Raises:
        UserError: the system watches no more folders.
    """
    from watchfiles import Change, watch

    def is_photo(_: Change, path: str) -> bool:
        # not our own tables and side files, which would call us again for ever; folders are moved in whole
        return Path(path).suffix.lower() in SUFFIXES or Path(path).is_dir()

    watched = watch(
        library.root,
        watch_filter=is_photo,
        debounce=SETTLED_MS,
        rust_timeout=TICK_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
    )
    yield True
    looked = float("-inf")  # the first tick: what came while nobody watched yet
    try:
        for changes in watched:
            if changes or time.monotonic() - looked > every_s:
                yield bool(changes)
                looked = time.monotonic()
    except OSError as error:
        raise UserError(
            f"{library.root}: the system watches no more folders ({error.strerror or error}); "
            "raise fs.inotify.max_user_watches, or run ismila scan from cron"
        ) from error
