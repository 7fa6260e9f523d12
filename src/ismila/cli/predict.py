"""`ismila predict`: photos and films, of one subject or of several in one pass."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ismila.cli.chosen_run import chosen_runs
from ismila.cli.options import FILMS, JSON, RUN_OF_EACH
from ismila.photos.names import at_home, counted, one_line

if TYPE_CHECKING:
    from ismila.cli.options import Verbs
    from ismila.use.ask.films import BurstPrediction, FilmPrediction, Seen
    from ismila.use.ask.pets import PetPredictions
    from ismila.use.ask.predict import MultiPetPrediction, Prediction, Unread

    Result: TypeAlias = Prediction | MultiPetPrediction | FilmPrediction | BurstPrediction | Unread

UNSURE = "unsure"


def add_parser(verbs: Verbs) -> None:
    """Add the verb to `ismila`."""
    parser = verbs.add_parser(
        "predict",
        parents=[RUN_OF_EACH, JSON, FILMS],
        help="ask about photos, folders of photos, and films",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        type=at_home,
        help="a photo, a film, a folder of photos, or - for a list on stdin",
    )
    parser.add_argument(
        "--burst", action="store_true", help="the photos are one burst: one answer for them all"
    )
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """A line for each photo, as its answer comes; 1 when a photo could not be read."""
    from ismila.use.ask.predict import Unread

    failed = False
    for answer in _answers(args):
        failed = failed or isinstance(answer, Unread) or bool(getattr(answer, "broken", ""))
        print(_as_json(answer) if args.json else one_line(_as_line(answer)), flush=True)
    return 1 if failed else 0


def _answers(args: argparse.Namespace) -> Iterator[Result]:
    from ismila.use.ask.films import FilmOptions, FrameVote
    from ismila.use.ask.pets import Pets
    from ismila.use.ask.predict import predict, predict_burst, predict_pets

    runs = chosen_runs(args)
    paths = _with_listed(args.paths)
    films = FilmOptions(args.fps, FrameVote(*args.agree))
    if args.burst:
        return predict_burst(paths, Pets.load(runs))
    if len(runs) > 1:
        return predict_pets(paths, Pets.load(runs), films)
    [run] = runs.values()
    return predict(paths, run, films)


def _with_listed(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths; `-` stands for those that stdin lists, a line each."""
    for path in paths:
        if str(path) == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield path


def _as_json(answer: Result) -> str:
    from ismila.use.ask.films import BurstPrediction, FilmPrediction
    from ismila.use.ask.predict import MultiPetPrediction

    if isinstance(answer, FilmPrediction):
        return json.dumps({**asdict(answer), "path": str(answer.path)})
    if isinstance(answer, BurstPrediction):
        return json.dumps({**asdict(answer), "paths": [str(path) for path in answer.paths]})
    if isinstance(answer, MultiPetPrediction):
        return json.dumps({"path": str(answer.path), **_fields_of(answer.together)})
    fields = {**asdict(answer), "path": str(answer.path)}
    fields.pop("verdict", None)
    return json.dumps(fields)


def _fields_of(together: PetPredictions) -> dict[str, object]:
    subjects = {name: asdict(answer) for name, answer in together.subjects.items()}
    for fields in subjects.values():
        del fields["verdict"], fields["image"]
    animals = [asdict(animal) for animal in together.animals]
    return {"names": together.names, "subjects": subjects, "animals": animals}


def _as_line(answer: Result) -> str:
    from ismila.use.ask.films import BurstPrediction, FilmPrediction
    from ismila.use.ask.predict import MultiPetPrediction, Unread

    if isinstance(answer, FilmPrediction):
        return _film_as_line(answer)
    if isinstance(answer, BurstPrediction):
        return f"{_in_all(answer.subjects)}  {counted(len(answer.paths), 'photo')}"
    if isinstance(answer, Unread):
        return f"{'error':>10}         {answer.path}: {answer.error}"
    if isinstance(answer, MultiPetPrediction):
        subjects = answer.together.subjects
        sure = "  ".join(f"{name} {one.probability:6.1%}" for name, one in subjects.items())
        return f"{_who(answer.together):>20}  {sure}  {answer.path}"
    return f"{answer.verdict:>10}  {answer.probability:6.1%}  {answer.path}"


def _film_as_line(answer: FilmPrediction) -> str:
    """Who is seen in a film, and from when to when."""
    lines = f"{_in_all(answer.subjects)}  {answer.path}"
    for name, seen in answer.subjects.items():
        when = ", ".join(_as_stretch(*stretch) for stretch in seen.times)
        lines += f"  {name} at {when}" if when else ""
    if answer.broken:
        lines += f"  (breaks off after {_as_time(answer.length_s)}: {answer.broken})"
    return lines


def _in_all(subjects: Mapping[str, Seen]) -> str:
    """A verdict and a probability for each."""
    return "  ".join(f"{seen.verdict:>10}  {seen.probability:6.1%}" for seen in subjects.values())


def _as_stretch(first_s: float, last_s: float) -> str:
    first, last = _as_time(first_s), _as_time(last_s)
    return first if first == last else f"{first}-{last}"


def _as_time(seconds: float) -> str:
    """`m:ss`, as players show it."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _who(together: PetPredictions) -> str:
    """Who is in the photo or may be; who is not where that is nobody."""
    words = {
        name: f"{name} {UNSURE}" if answer.verdict == UNSURE else answer.verdict
        for name, answer in together.subjects.items()
    }
    there = [said for name, said in words.items() if said != f"not {name}"]
    return ", ".join(there or words.values())
