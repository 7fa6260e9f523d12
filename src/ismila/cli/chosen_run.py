"""Which run `--run` means."""

from __future__ import annotations

import argparse


def chosen_run(args: argparse.Namespace) -> str:
    """The id of the run that `--run` names for `--subject`.

    Raises:
        UserError: there is no such run.
    """
    from ismila.runs import find_run

    return find_run(args.run, args.subject)
