"""What a person reads of a training: which album, what is in it, the run's table, the sweep's."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.filling import fill_caches, filling, is_filled
from ismila.cli.options import PHOTOS
from ismila.cli.progress import progress
from ismila.cli.terminal import NAMED_PROBLEMS, say
from ismila.photos.names import counted, named_problems
from ismila.runs import SWEEP

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.table import Table

    from ismila.evidence.intervals import Rate
    from ismila.learning.training import TrainingResult
    from ismila.photos.album import Album
    from ismila.settings import RunSettings

FEW = 10
SLOW_TO_IMPORT = (
    "torch",
    "ismila.runs.registry",
    "ismila.learning.training",
    "ismila.evidence.results",
    "mlflow.store.tracking.sqlalchemy_store",
)
"""They take seconds, on one core: meanwhile another process sends photos through the backbone on the other. They set
environment variables, so that no thread of this process may decode, detect or open a graph before they are there."""


def choose_root(given: str | None, subject: str) -> Path:
    """The album to train on: what was given, or data/photos, or the demo album, drawn if need be.

    Only photos make data/photos an album: a leftover `.ismila` or a README does not.
    """
    from ismila.photos.addresses import album_at
    from ismila.photos.walking import has_photos

    if given is not None:
        return album_at(given)
    if has_photos(PHOTOS):
        return PHOTOS
    from ismila.demo.drawn import demo_root, draw_album

    root = demo_root(subject)
    say(
        f"{PHOTOS} holds no photo: using the demo album in {root}, which is drawn, not "
        f"photographed. Put photos into {PHOTOS}/{subject} and {PHOTOS}/not_{subject}, "
        "or give data.root=DIR."
    )
    draw_album(root, subject, progress=progress)
    return root


def is_first_process() -> bool:
    """Lightning starts the others of a distributed training by the same command, numbered."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def read_album(settings: RunSettings, quiet: bool = False) -> tuple[Album, pd.DataFrame]:
    """The album and its usable rows with their fold; what a backbone makes of them is cached.

    Args:
        quiet: don't print what is in the album.
    """
    album, rows = index_album(settings, quiet)
    if settings.trainer.strategy != "auto":
        _import_slow_ones()
        from ismila.learning.networks import start_ranks

        start_ranks(settings.trainer, settings.seed)
        fill_caches(album, rows, settings, progress if is_first_process() else None)
    elif is_filled(album, rows, settings):
        _import_slow_ones()
    else:
        with filling(album, rows, settings):
            _import_slow_ones()
    return album, _folded(album, rows, settings)


def index_album(settings: RunSettings, quiet: bool = False) -> tuple[Album, pd.DataFrame]:
    """The album and its usable rows; what cannot be trained on is refused before anything slow.

    Args:
        quiet: don't print what is in the album.

    Raises:
        UserError: no such album, nothing to tell apart in it, or no device to train on.
    """
    from ismila.learning.inputs import device_of
    from ismila.photos.album import Album
    from ismila.photos.index import require_both_labels, time_problems, usable
    from ismila.photos.skipping import Skipping

    device_of(settings.trainer)  # is there a GPU?
    root = choose_root(settings.data.root, settings.subject)
    cache = settings.data.cache
    album = Album.open(root, settings.subject, Path(cache) if cache else None, progress)
    album = replace(album, occasion_minutes=settings.data.occasion_minutes)
    skipping = Skipping(root)
    index = album.update(progress, skipping)
    require_both_labels(index, root, settings.subject, not settings.data.strangers)
    if not quiet:
        print_album(index, root, settings.subject)
        if words := skipping.words():
            say(f"  passed over: {words}")
        if words := time_problems(index):
            say(f"  {words}")
    return album, usable(index)


def _folded(album: Album, rows: pd.DataFrame, settings: RunSettings) -> pd.DataFrame:
    """The rows with `subject_share` and `fold`, and a `problem` where a photo cannot be read any more."""
    from ismila.learning.closeups import with_shares
    from ismila.photos.folds import assign_folds

    return with_shares(album, rows).assign(fold=assign_folds(rows, settings.seed))


def _import_slow_ones() -> None:
    """Import them in a thread, beside which this one only waits: Ctrl-C in the middle of torch's own preparations would
    abort the process instead of raising a KeyboardInterrupt."""
    imports = threading.Thread(target=_import, daemon=True)
    imports.start()
    try:
        imports.join()
    except KeyboardInterrupt:
        if SWEEP in os.environ:  # whose end is still recorded by this process
            imports.join()
        raise


def _import() -> None:
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)


def print_album(index: pd.DataFrame, root: Path, subject: str) -> None:
    """How many photos of which kind, and each photo that takes no part, with its problem."""
    fine = index[index["problem"] == ""]
    left_out = index[index["problem"] != ""]
    counts = fine["label"].value_counts()
    of_subject = counts.get("subject", 0)
    say(
        f"{root}: {counted(of_subject, 'photo')} of {subject}, {counts.get('things', 0)} of things, "
        f"{counts.get('pets', 0)} of other animals; {len(left_out)} left out"
    )
    for row in left_out.head(NAMED_PROBLEMS).itertuples():
        say(f"  left out: {row.path}: {row.problem}")
    if len(left_out) > NAMED_PROBLEMS:
        more = len(left_out) - NAMED_PROBLEMS
        say(f"  ... and {more} more; `ismila index` names them all")
    if of_subject < FEW:
        say(
            f"Fewer than {FEW} photos of {subject}: the figures below rest on a handful of photos "
            "and can be far off; more photos help more than anything else."
        )


def print_unread(unread: Mapping[str, str]) -> None:
    """The photos that were there when the album was read, and cannot be read any more.

    Args:
        unread: why, by path.
    """
    if unread:
        say(f"{counted(len(unread), 'photo')} left out, read no more: {named_problems(unread)}")


def print_run(trained: TrainingResult, sentence: str, seconds: float, champion: bool) -> None:
    """The run's short table, what it means, and where to look next.

    Args:
        sentence: the run in words, see `evidence.summary`.
        seconds: what the training took.
        champion: the run is registered as the subject's best.
    """
    from rich.console import Console

    classifier = trained.classifier
    console = Console(width=None if sys.stdout.isatty() else 100, markup=False, emoji=False)
    console.print(_run_table(trained))
    lines = [
        f"threshold {classifier.threshold:.3f}, best epoch {trained.best_epoch + 1} of "
        f"{len(trained.epochs)}, {counted(len(trained.predictions), 'photo')}, {seconds:.1f} s",
        sentence,
    ]
    if trained.protocol == "crossval":
        lines.append(
            "From cross-validation: each photo was predicted, and each threshold chosen, without its "
            "group; the classifier that is kept was trained on all of them. The best run is chosen "
            "by the same photos, so the best of many looks a little better than it is."
        )
    if champion:
        from ismila.runs.naming import model_name

        lines.append(
            f"It is the best run so far: models:/{model_name(classifier.subject)}@champion"
        )
    lines.append(
        "Look next: `ismila report` shows its mistakes, `ismila compare` all runs, "
        "`make ui` MLflow."
    )
    for line in lines:
        console.print(line, highlight=False)


def print_job(trained: TrainingResult, name: str, sentence: str, seconds: float) -> None:
    """A job of a sweep in a line, at once: workers print beside each other.

    Args:
        name: what it is: model, variant, seed.
        sentence: the run in words, see `evidence.summary`.
        seconds: what the training took.
    """
    text = f"{name}, run {trained.classifier.run[:8]}, {seconds:.1f} s: {sentence}\n"
    sys.stdout.write(text)
    sys.stdout.flush()


def _run_table(trained: TrainingResult) -> Table:
    """Each figure with its photos, the occasions (groups) that they are of, and its 95 % interval."""
    from rich.table import Table

    from ismila.evidence.metrics import rates, reported, stranger_rates

    classifier = trained.classifier
    subject = classifier.subject
    table = Table(title=f"run {classifier.run[:8]}: is it {subject}?", title_justify="left")
    for name in ("figure", "value", "n", "occasions", "95 % interval"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    epoch = trained.epochs[trained.best_epoch]
    table.add_row("accuracy (train)", f"{epoch['accuracy']:.3f}", "", "", "")
    if "val_accuracy" in epoch:
        table.add_row("validation accuracy", f"{epoch['val_accuracy']:.3f}", "", "", "")
    titles = {
        "recall": f"test: {subject} recognised",
        "recall_closeups": f"test: {subject} recognised, close-ups",
        "recall_far": f"test: {subject} recognised, far away",
        "fpr_things": f"test: things taken for {subject}",
        "fpr_pets": f"test: animals taken for {subject}",
    }
    for name, rate in rates(reported(trained.predictions)).items():
        title = titles.get(name, f"test:   {name.removeprefix('fpr_')}")
        table.add_row(title, *_cells(rate, digits=3))
    for name, rate in stranger_rates(trained.strangers).items():
        kind = name.removeprefix("fpr_strangers").removeprefix("_")
        title = f"strangers: {kind}" if kind else f"strangers taken for {subject}"
        table.add_row(title, *_cells(rate, digits=4))
    return table


def _cells(rate: Rate, digits: int) -> tuple[str, str, str, str]:
    """Value, n, occasions and interval."""
    if not rate.n:
        return "no photo", "0/0", "", ""
    interval = f"{rate.low:.{digits}f} to {rate.high:.{digits}f}"
    return f"{rate.value:.{digits}f}", f"{rate.hits}/{rate.n}", str(rate.groups), interval
