"""`ismila compare`, and the table that ends a sweep."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from ismila.cli.options import JSON, SUBJECT
from ismila.cli.terminal import say

if TYPE_CHECKING:
    import pandas as pd

    from ismila.cli.options import Verbs

SHOWN = {
    "test_recall": "recall",
    "test_fpr_things": "things taken for it",
    "test_fpr_pets": "animals taken for it",
}
"""Figures of the table and what they are called there."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "compare", parents=[SUBJECT, JSON], help="all runs side by side: model x variant over seeds"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Compare the subject's finished runs."""
    from ismila.evidence.compare import compare_runs, figures_of
    from ismila.runs.find import finished_runs

    runs, left_out = figures_of(finished_runs(args.subject))
    table = compare_runs(runs)
    if args.json:
        print_as_json(table)
    else:
        print_table(table)
        if left_out:
            say(f"{left_out} runs on another album, or on this one before it changed, are left out")
    return 0


def print_as_json(table: pd.DataFrame) -> None:
    """A JSON object a row; what could not be measured is null."""
    for row in table.to_dict("records"):
        print(json.dumps({key: None if value != value else value for key, value in row.items()}))


def print_table(table: pd.DataFrame) -> None:
    """Model x variant, a row each, and below it what it means in words."""
    from rich.console import Console
    from rich.table import Table

    named = ["model", "data"]
    if any(table["settings"]):
        named.append("settings")
    shown = Table(title="held-out photos; mean over seeds, 95 % interval", title_justify="left")
    for name in (*named, "seeds", *SHOWN.values(), "AUROC"):
        left = name in named
        shown.add_column(name, justify="left" if left else "right", no_wrap=name != "settings")
    for row in table.to_dict("records"):
        cells = [str(row[name]) for name in (*named, "seeds")]
        cells += [_interval(row, name) for name in SHOWN]
        cells.append(f"{row['test_auroc']:.3f}" if "test_auroc" in row else "")
        shown.add_row(*cells)
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)
    console.print(shown)
    for model, reading in zip(table["model"], table["reading"], strict=True):
        if reading:
            print(f"{model}: {reading}")


def _interval(row: Mapping[Hashable, Any], name: str) -> str:
    """A figure with its interval; a column that a run has no photo for is NaN or missing."""
    value = row.get(name, float("nan"))
    if value != value:
        return "no photo"
    return f"{value:.3f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"
