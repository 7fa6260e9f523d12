"""`ismila compare`: the runs of a subject or of several, and the table that ends a sweep."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ismila.cli.options import JSON, RUN_OF_EACH, SKIPPING
from ismila.cli.progress import progress
from ismila.cli.scan import opened_scan
from ismila.cli.terminal import say
from ismila.photos import WrongUsageError
from ismila.photos.names import at_home, counted

if TYPE_CHECKING:
    import pandas as pd

    from ismila.cli.options import Verbs
    from ismila.runs.find import Recorded
    from ismila.use.ask.agreement import LabelAgreement

SHOWN = {
    "test_recall": "recall",
    "test_fpr_things": "things taken for it",
    "test_fpr_pets": "animals taken for it",
}
"""Figures of the table and what they are called there."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "compare",
        parents=[RUN_OF_EACH, JSON, SKIPPING],
        help="all runs side by side: model x variant over seeds; or a run and a library's own tags",
    )
    parser.add_argument(
        "--library",
        dest="root",
        type=at_home,
        metavar="DIR",
        help="where tags say who is in a photo: how often they and the run agree",
    )
    parser.add_argument(
        "--name",
        help="the tag that stands for the subject, such as Pets/Mila (default: the subject)",
    )
    parser.add_argument(
        "--html", type=at_home, metavar="FILE", help="write what they do not agree about as a page"
    )
    parser.add_argument(
        "--state", type=at_home, metavar="FILE", help="see ismila scan, which shares it"
    )
    parser.set_defaults(call=call, link_to=None)


def call(args: argparse.Namespace) -> int:
    """Compare each subject's finished runs, and the subjects with each other."""
    from ismila.runs.find import finished_runs

    if args.root:
        return _compare_library(args)
    if args.html or args.name or args.state:
        raise WrongUsageError("--html, --name and --state go with --library DIR")
    runs = {subject: finished_runs(subject) for subject in args.subjects}
    is_only = len(runs) == 1
    for subject, of_subject in runs.items():
        _compare(of_subject, "" if is_only else subject, args.json)
    if not is_only:
        _compare_subjects(runs, args.json)
    return 0


def _compare_library(args: argparse.Namespace) -> int:
    """Judge what is new in a library, and compare that with its tags."""
    from ismila.photos.sources.opening import SourceOptions
    from ismila.runs.find import load_predictions
    from ismila.use.ask.agreement import compare_library, seen_by
    from ismila.use.ask.agreement_page import write_agreement

    if len(args.subjects) > 1:
        raise WrongUsageError("--library compares one pet: give --subject NAME, one after another")
    with opened_scan(args) as opened:
        opened.judge(progress)
        [scan] = opened.scans()
        wanted = SourceOptions(exclude=args.exclude, hidden=args.include_hidden, progress=progress)
        seen = seen_by(load_predictions(scan.run))
        agreement = compare_library(scan, args.name or scan.classifier.subject, seen, wanted)
        print_agreement(agreement, args.json)
        if args.html:
            write_agreement(agreement, args.root, scan.run, args.html)
            say(f"what they do not agree about: {args.html}")
    return 0


def print_agreement(agreement: LabelAgreement, as_json: bool = False) -> None:
    """How many of how many, a line each."""
    from ismila.use.ask.agreement_page import left_out

    if as_json:
        counts = {name: value for name, value in asdict(agreement).items() if name != "occasions"}
        print(json.dumps({**counts, "rates": {
            words: [rate.hits, rate.n, rate.low, rate.high, rate.groups]
            for words, rate in agreement.rates().items()
        }}))  # fmt: skip
        return
    for words, rate in agreement.rates().items():
        interval = f"({rate.low:.1%} to {rate.high:.1%})"
        days = f", of {counted(rate.groups, 'occasion')}" if rate.groups < rate.n else ""
        share = f"{rate.value:.1%} {interval}{days}" if rate.n else "no photo"
        print(f"{agreement.subject}: {words}: {rate.hits} of {rate.n}, {share}")
    say(left_out(agreement))


def _compare(recorded: Sequence[Recorded], subject: str, as_json: bool) -> None:
    from ismila.evidence.compare import compare_runs, figures_of

    runs, left_out = figures_of(recorded)
    table = compare_runs(runs)
    if as_json:
        print_as_json(table.assign(subject=subject) if subject else table)
        return
    print_table(table, subject)
    if left_out:
        say(
            f"left out: {counted(left_out, 'run')} on another album, or on this one before it changed"
        )


def _compare_subjects(runs: Mapping[str, Sequence[Recorded]], as_json: bool) -> None:
    """Who is taken for whom by the best run of each; that they cannot be compared is no error."""
    from ismila.evidence.confusion import taken_for_whom
    from ismila.photos import UserError
    from ismila.runs.find import best_of, load_predictions

    best = {subject: best_of(of_subject).run.run_id for subject, of_subject in runs.items()}
    predictions = {subject: load_predictions(run) for subject, run in best.items()}
    try:
        table = taken_for_whom(predictions)
    except UserError as error:
        say(str(error))
        return
    if as_json:
        print_as_json(table)
    else:
        print_taken(table, list(runs))


def print_taken(table: pd.DataFrame, subjects: Sequence[str]) -> None:
    """Who is taken for whom: of how many photos how many."""
    from rich.console import Console
    from rich.table import Table

    title = "who is taken for whom by the best runs, held-out photos; 95 % interval"
    shown = Table(title=title, title_justify="left")
    shown.add_column("the photo shows")
    for subject in subjects:
        shown.add_column(f"taken for {subject}", justify="right")
    for row in table.to_dict("records"):
        cells = [_of_how_many(row, subject) for subject in subjects]
        shown.add_row(str(row["shows"]), *cells)
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)
    console.print(shown)


def _of_how_many(row: Mapping[Hashable, Any], subject: str) -> str:
    taken, n = row[subject], row[f"{subject}_n"]
    if not n:
        return "no photo"
    low, high = row[f"{subject}_low"], row[f"{subject}_high"]
    return f"{taken}/{n}  {taken / n:6.1%} ({100 * low:.0f} to {100 * high:.0f} %)"


def print_as_json(table: pd.DataFrame) -> None:
    """A JSON object a row; what could not be measured is null."""
    for row in table.to_dict("records"):
        print(json.dumps({key: None if value != value else value for key, value in row.items()}))


def print_table(table: pd.DataFrame, subject: str = "") -> None:
    """Model x variant, a row each, and below it what it means in words.

    Args:
        subject: whose runs they are, where several subjects' tables stand one below the other.
    """
    from rich.console import Console
    from rich.table import Table

    named = ["model", "data"]
    if any(table["settings"]):
        named.append("settings")
    title = "held-out photos; mean over seeds, 95 % interval"
    shown = Table(title=f"{subject}: {title}" if subject else title, title_justify="left")
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
