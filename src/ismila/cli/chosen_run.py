"""Which run `--run` means."""

from __future__ import annotations

import argparse

from ismila.cli.terminal import say


def chosen_run(args: argparse.Namespace) -> str:
    """The id of the run that `--run` names for `--subject`; what `best` did not look at is said.

    Raises:
        UserError: there is no such run.
    """
    from ismila.runs.find import choose_run

    chosen = choose_run(args.run, args.subject)
    if words := chosen.words():
        say(words)
    return chosen.run.run_id
