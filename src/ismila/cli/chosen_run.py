"""Which run `--run` means."""

from __future__ import annotations

import argparse

from ismila.cli.terminal import say


def chosen_run(args: argparse.Namespace) -> str:
    """The id of the run that `--run` names for `--subject`; what `best` did not look at is said.

    Raises:
        UserError: there is no such run.
    """
    return _chosen(args.run, (args.subject,))[args.subject]


def chosen_runs(args: argparse.Namespace) -> dict[str, str]:
    """The same where `--subject` may name several: subject -> id, in the order given."""
    return _chosen(args.run, args.subjects)


def _chosen(which: str, subjects: tuple[str, ...]) -> dict[str, str]:
    from ismila.runs.find import choose_each

    runs = {}
    for subject, chosen in choose_each(which, subjects).items():
        if words := chosen.words():
            say(words if len(subjects) == 1 else f"{subject}: {words}")
        runs[subject] = chosen.run.run_id
    return runs
