"""`ismila predict`: of one subject, or of several in one pass."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import JSON, RUN_OF_EACH
from ismila.photos.names import at_home, one_line

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.use.ask.pets import Together
    from ismila.use.ask.predict import Answer, AnswerOfPets, Unread

    Result: TypeAlias = Answer | AnswerOfPets | Unread

UNSURE = "unsure"


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "predict", parents=[RUN_OF_EACH, JSON], help="ask about photos and folders of photos"
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        type=at_home,
        help="a photo, a folder, or - for a list on stdin",
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """A line for each photo, as its answer comes; 1 when a photo could not be read."""
    from ismila.use.ask.predict import Unread

    failed = False
    for answer in _answers(_with_listed(args.paths), chosen_runs(args)):
        failed = failed or isinstance(answer, Unread)
        print(_as_json(answer) if args.json else one_line(_as_line(answer)), flush=True)
    return 1 if failed else 0


def _answers(paths: Iterator[Path], runs: Mapping[str, str]) -> Iterator[Result]:
    from ismila.use.ask.pets import Pets
    from ismila.use.ask.predict import predict, predict_pets

    if len(runs) > 1:
        return predict_pets(paths, Pets.load(runs))
    [run] = runs.values()
    return predict(paths, run)


def _with_listed(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths; `-` stands for those that stdin lists, a line each."""
    for path in paths:
        if str(path) == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield path


def _as_json(answer: Result) -> str:
    from ismila.use.ask.predict import AnswerOfPets

    if isinstance(answer, AnswerOfPets):
        return json.dumps({"path": str(answer.path), **_fields_of(answer.together)})
    fields = {**asdict(answer), "path": str(answer.path)}
    fields.pop("verdict", None)
    return json.dumps(fields)


def _fields_of(together: Together) -> dict[str, object]:
    subjects = {name: asdict(answer) for name, answer in together.subjects.items()}
    for fields in subjects.values():
        del fields["verdict"], fields["image"]
    animals = [asdict(animal) for animal in together.animals]
    return {"names": together.names, "subjects": subjects, "animals": animals}


def _as_line(answer: Result) -> str:
    from ismila.use.ask.predict import AnswerOfPets, Unread

    if isinstance(answer, Unread):
        return f"{'error':>10}         {answer.path}: {answer.error}"
    if isinstance(answer, AnswerOfPets):
        subjects = answer.together.subjects
        sure = "  ".join(f"{name} {one.probability:6.1%}" for name, one in subjects.items())
        return f"{_who(answer.together):>20}  {sure}  {answer.path}"
    return f"{answer.verdict:>10}  {answer.probability:6.1%}  {answer.path}"


def _who(together: Together) -> str:
    """Who is in the photo or may be; who is not where that is nobody."""
    words = {
        name: f"{name} {UNSURE}" if answer.verdict == UNSURE else answer.verdict
        for name, answer in together.subjects.items()
    }
    there = [said for name, said in words.items() if said != f"not {name}"]
    return ", ".join(there or words.values())
