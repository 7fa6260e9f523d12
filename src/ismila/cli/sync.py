"""`ismila sync`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ismila.cli.options import Verbs


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "sync", help="send results of runs whose tracking server had gone when they ended"
    )
    parser.add_argument("--uri", help="of the server, when it has another address now")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Send what waits in mlruns/unsent, and say what was sent."""
    from ismila.photos.names import without_password
    from ismila.runs.outbox import RefusedError, sync
    from ismila.runs.registry import promote_champion
    from ismila.runs.store import answering, tracking_uri

    subjects = set()
    refused = None
    try:
        for parcel in sync(args.uri):
            place = without_password(tracking_uri())
            print(f"sent run {parcel.run_id} ({parcel.subject}) to {place}", flush=True)
            subjects.add(parcel.subject)
    except RefusedError as error:  # the others were sent
        refused = error
    for subject in sorted(subjects):
        with answering():
            promote_champion(subject)
    if refused:
        raise refused
    if not subjects:
        print("nothing waits to be sent")
    return 0
