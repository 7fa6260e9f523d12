"""What a person reads in the terminal: progress, the album, the result table, errors in one line."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ismila.photos import UserError

if TYPE_CHECKING:
    import pandas as pd

    from ismila.learning.training import Trained
    from ismila.photos.fetch import Fetched
    from ismila.use.ask.scan import Scanned

PHOTOS, DEMO = Path("data/photos"), Path("data/demo")
NAMED_PROBLEMS = 20


def progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Yield the items with a bar on stderr (count, items per second, time left) that goes away when it is done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    console = Console(stderr=True)
    quiet = not console.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=quiet
    ) as bar:
        task = bar.add_task(what, total=total, speed="")
        for item in items:
            yield item
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, speed=f"{speed:.0f}/s" if speed else "")


@contextmanager
def transfer(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with counts and speed; yields a function of (photos known so far, bytes of the finished one or 0)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(
        TextColumn(what), *columns, console=console, transient=True, disable=not console.is_terminal
    )
    started, size, task = time.monotonic(), 0, bar.add_task(what, speed="", total=None)

    def advance(known: int, n_bytes: int) -> None:
        nonlocal size
        size += n_bytes
        speed = f"{size / 1e6 / max(time.monotonic() - started, 1e-3):.1f} MB/s"
        bar.update(task, total=known, advance=1 if n_bytes else 0, speed=speed)

    with bar:
        yield advance


def say_fetched(fetched: Fetched, root: Path) -> int:
    """What a fetch did, in a few lines; 1 when a photo could not be fetched."""
    new = ", ".join(f"{n} to {folder}" for folder, n in sorted(fetched.new.items())) or "none"
    print(
        f"{root}: new: {new}; here already: {fetched.here_already}; left out by tag: {fetched.left_out}"
    )
    for title, lines in (
        ("not fetched", fetched.failed),
        ("no longer on Flickr, kept here", fetched.gone),
        ("retagged on Flickr, left where it is", fetched.retagged),
    ):
        for line in lines[:NAMED_PROBLEMS]:
            say(f"{title}: {line}")
        if len(lines) > NAMED_PROBLEMS:
            say(f"{title}: {len(lines) - NAMED_PROBLEMS} more")
    if fetched.failed:
        say("the same command tries again what was not fetched")
    return 1 if fetched.failed else 0


def say_scanned(scanned: Scanned, root: Path) -> int:
    """What a scan did, in a line; 1 when a photo could not be read."""
    print(f"{root}: {scanned.judged} photos judged now, {scanned.before} before")
    if scanned.broken:
        say(f"{scanned.broken} photos could not be read; --csv names each with the reason")
    return 1 if scanned.broken else 0


def say(line: str) -> None:
    """One line on stderr: what a program that reads stdout does not want."""
    print(line, file=sys.stderr)


def choose_root(given: str | None, subject: str) -> Path:
    """The album to use: what was given, or data/photos, or the demo album, drawn when it is not there yet."""
    if given is not None:
        return Path(given)
    if any(path.is_file() and not path.name.startswith(".") for path in PHOTOS.rglob("*")):
        return PHOTOS
    root = DEMO / subject if subject != "mila" else DEMO
    say(
        f"{PHOTOS} holds no photo: using the demo album in {root}, which is drawn, not photographed. "
        f"Put photos into {PHOTOS}/{subject} and {PHOTOS}/not_{subject}, or give data.root=DIR."
    )
    from ismila.demo.scenes import draw_album

    draw_album(root, subject, progress=progress)
    return root


def say_album(index: pd.DataFrame, root: Path, subject: str) -> None:
    """How many photos of which kind, and each photo that takes no part, with its problem."""
    fine, left_out = index[index["problem"] == ""], index[index["problem"] != ""]
    counts = fine["label"].value_counts()
    say(
        f"{root}: {counts.get('subject', 0)} photos of {subject}, {counts.get('things', 0)} of things, "
        f"{counts.get('pets', 0)} of other animals; {len(left_out)} left out"
    )
    for row in left_out.head(NAMED_PROBLEMS).itertuples():
        say(f"  left out: {row.path}: {row.problem}")
    if len(left_out) > NAMED_PROBLEMS:
        say(f"  ... and {len(left_out) - NAMED_PROBLEMS} more; `ismila index` names them all")
    if counts.get("subject", 0) < 10:
        say(
            f"Fewer than 10 photos of {subject}: the figures below rest on a handful of photos and can be far off; "
            "more photos help more than anything else."
        )


def say_suspects(suspects: pd.DataFrame, as_json: bool) -> None:
    """What looks wrong, a line each, the worst first."""
    import json

    for row in suspects.to_dict("records"):
        if as_json:
            print(
                json.dumps(
                    {**row, "closeup": row["closeup"] if isinstance(row["closeup"], bool) else None}
                )
            )
        else:
            hint = f"  (maybe {row['suggested']})" if row["suggested"] else ""
            print(f"{row['score']:.2f}  {row['path']}: {row['reason']}{hint}")
    if not as_json:
        say(
            f"{len(suspects)} photos to look at; `ismila check --serve` settles them with a key each"
        )


def say_run(
    trained: Trained,
    figures: dict[str, float],
    run_id: str,
    subject: str,
    verdict: str,
    champion: bool,
) -> None:
    """The run's short table: each figure with its n and 95 % interval, and where to look next."""
    from rich.console import Console
    from rich.table import Table

    from ismila.evidence.metrics import rates, wilson

    epoch, folds = trained.epochs[trained.best_epoch], trained.predictions["fold"].value_counts()
    table = Table(title=f"run {run_id[:8]}: is it {subject}?", title_justify="left")
    for name in ("figure", "value", "n", "95 % interval"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    table.add_row("accuracy (train)", f"{epoch['accuracy']:.3f}", "", "")
    if "val_accuracy" in epoch:
        table.add_row("validation accuracy", f"{epoch['val_accuracy']:.3f}", "", "")
    test = trained.predictions[trained.predictions["held_out"]]
    words = {
        "recall": f"test: {subject} recognised",
        "recall_closeups": f"test: {subject} recognised, close-ups",
        "fpr_things": f"test: things taken for {subject}",
        "fpr_pets": f"test: animals taken for {subject}",
    }
    for name, (hits, n) in rates(test, trained.classifier.threshold).items():
        low, high = wilson(hits, n)
        shown = words.get(name, f"test:   {name.removeprefix('fpr_')}")
        value, interval = (f"{hits / n:.3f}", f"{low:.3f} to {high:.3f}") if n else ("no photo", "")
        table.add_row(shown, value, f"{hits}/{n}", interval)
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    console.print(
        f"threshold {trained.classifier.threshold:.3f}, best epoch {trained.best_epoch + 1} of "
        f"{len(trained.epochs)}, {folds.sum()} photos, {figures['train_seconds']:.1f} s",
        highlight=False,
    )
    console.print(verdict, highlight=False)
    if trained.predictions["held_out"].all():
        console.print(
            "From cross-validation; the threshold was chosen on the same answers: a little too good."
        )
    if champion:
        console.print(f"It is the best run so far: models:/{subject}@champion", highlight=False)
    console.print(
        "Look next: `ismila report` shows its mistakes, `ismila compare` all runs, `make ui` MLflow.",
        highlight=False,
    )


def say_compared(table: pd.DataFrame, left_out: int, as_json: bool) -> None:
    """Model x variant, a row each, and what it means."""
    import json

    from rich.console import Console
    from rich.table import Table

    if as_json:
        for row in table.to_dict("records"):
            print(
                json.dumps({key: None if value != value else value for key, value in row.items()})
            )
        return
    columns = {
        "test_recall": "recall",
        "test_fpr_things": "things taken for it",
        "test_fpr_pets": "animals taken for it",
    }
    shown = Table(title="held-out photos; mean over seeds, 95 % interval", title_justify="left")
    named = ("model", "data", *(["settings"] if any(table["settings"]) else []))
    for name in (*named, "seeds", *columns.values(), "AUROC"):
        shown.add_column(
            name, justify="left" if name in named else "right", no_wrap=name != "settings"
        )
    for row in table.to_dict("records"):
        cells = [f"{row[name]}" for name in (*named, "seeds")]
        for name in columns:
            has = row.get(name, float("nan")) == row.get(name)
            cells.append(
                f"{row[name]:.3f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"
                if has
                else "no photo"
            )
        shown.add_row(*cells, f"{row['test_auroc']:.3f}" if "test_auroc" in row else "")
    Console(width=None if sys.stdout.isatty() else 120).print(shown)
    for model, reading in zip(table["model"], table["reading"], strict=True):
        if reading:
            print(f"{model}: {reading}")
    if left_out:
        say(f"{left_out} runs on another album, or on this one before it changed, are left out")


def say_sweep() -> None:
    """Compare the runs of the multirun that just ended, and keep the table in its parent run."""
    from ismila.evidence.compare import compare_runs, figures_of
    from ismila.runs import close_sweep, finished_sweep

    runs = finished_sweep()
    if not runs:
        return
    table = compare_runs(figures_of(runs)[0])
    close_sweep(table, [reading for reading in table["reading"] if reading])
    say_compared(table, 0, as_json=False)


def leave(code: int) -> NoReturn:
    """End the process at once: tearing down torch's and MLflow's modules one by one would take 2 s more."""
    logging.shutdown()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def flat(settings: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings -> `{"model.lr": 0.001, ...}`."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        out |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return out


class _Told(BaseException):
    """What a person can put right, on its way through Hydra, which adds lines of its own to every Exception."""


def told(story: Callable[[Any], float]) -> Callable[[Any], float]:
    """Let what a person can put right pass Hydra in silence, for `guarded` to say."""

    @wraps(story)
    def run(config: Any) -> float:
        try:
            return story(config)
        except UserError as error:
            raise _Told(str(error)) from error
        except ValueError as error:  # a config's value: "model.weights=x: expected ..."
            if "expected" not in str(error):
                raise
            raise _Told(str(error)) from error

    return run


def guarded(run: Callable[[], Any], conf: Path) -> int:
    """Call a Hydra entry; an error that a person can put right becomes one line on stderr and exit code 1."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing half a traceback
    try:
        run()
    except _Told as error:
        say(f"error: {error}")
        return 1
    except (HydraException, OmegaConfBaseException) as error:
        say(f"error: {_readable(error, conf)}")
        return 1
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the cached rows")
        return 130
    return 0


def _readable(error: BaseException, conf: Path) -> str:
    text = " ".join(str(error).split())
    groups = sorted(path.name for path in conf.iterdir() if path.is_dir())
    choices = "; ".join(
        f"{group}={'|'.join(sorted(p.stem for p in (conf / group).glob('*.yaml')))}"
        for group in groups
    )
    text = text.split(" To append to your")[0].split(" full_key:")[0]
    return f"{text} (choices: {choices}; and subject=, seed=, data.root=, ...)"
