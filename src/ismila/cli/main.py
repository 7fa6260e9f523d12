"""All verbs in one parser, and the way from `sys.argv` to an exit code.

What a verb needs is imported when it is called: `ismila --help` must not wait for torch, MLflow or
pandas.
"""

from __future__ import annotations

import argparse
import os
import sys
from io import TextIOWrapper

from ismila import plugins
from ismila.cli import (
    add,
    camera,
    check,
    compare,
    demo,
    explain,
    export,
    fetch,
    index,
    predict,
    report,
    scan,
    serve,
    sync,
    ui,
    watch,
)
from ismila.cli.terminal import leave, say
from ismila.photos import UserError, WrongUsageError

VERBS = (
    fetch,
    index,
    add,
    check,
    demo,
    predict,
    scan,
    watch,
    camera,
    serve,
    export,
    explain,
    report,
    compare,
    sync,
    ui,
)
"""In the order in which `ismila --help` lists them."""


def make_parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    parser = argparse.ArgumentParser(
        prog="ismila",
        description="Is it Mila? Train with: python -m ismila.train data=pets",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in (*VERBS, *plugins.verbs()):
        verb.add_parser(verbs)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Call the verb that `argv` names.

    Only a `UserError` becomes one line. Every other exception is a mistake of ours and shows its
    traceback.

    Returns:
        0 fine, 1 something could not be done, 130 stopped by Ctrl-C; wrong usage exits with 2.
    """
    args = make_parser().parse_args(argv)
    try:
        return int(args.call(args))
    except UserError as error:
        say(f"error: {error}")
        return 2 if isinstance(error, WrongUsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `ismila predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def start() -> None:
    """What the `ismila` command calls."""
    for stream in (sys.stdin, sys.stdout):
        # A file name may hold bytes that are no UTF-8: they come out as they went in.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    leave(main())
