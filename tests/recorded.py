"""Runs without a training: what they measured is made up, what records and finds them is not."""

import multiprocessing
import os
import traceback
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd

from ismila.learning.held_out import HeldOutClassifiers
from ismila.runs.database import is_whole, workplaces
from ismila.runs.record import RunDescription, RunResults, open_run, record


class NoClassifier:
    """Enough of a classifier for runs that nobody asks."""

    threshold = 0.5

    def __init__(self, subject: str = "mila") -> None:
        self.subject = subject

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "classifier.json").write_text("{}")


class Ledger:
    """A tracking store of a test session; each test takes a subject of its own, which is an
    experiment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder}/mlflow.db"

    def run(self, subject, *, loss=0.1, predictions=None, classifier=None, protocol="fold", **more):
        """Record a run; returns its id. `more`: seed, album, model, data, params, tags, epochs,
        parent."""
        params = {"seed": more.get("seed", 0), **more.get("params", {})}
        tags = {
            "model": more.get("model", "mobilenet"),
            "data": more.get("data", "pets"),
            "subject": subject,
            "album": more.get("album", "a" * 16),
            **more.get("tags", {}),
        }
        description = RunDescription(
            subject=subject, name="made up", params=params, tags=tags, parent=more.get("parent", "")
        )
        table = predictions_of(4, 4, 4) if predictions is None else predictions
        figures = {"select_auroc": 1.0, "threshold": 0.5}
        if loss is not None:
            figures["select_loss"] = loss
        with chdir(self.folder), open_run(description, self.uri) as run_id:
            results = RunResults(
                figures=figures,
                predictions=table,
                selection=table[["path", "group", "label", "kind", "probability"]],
                strangers=None,
                classifier=classifier or NoClassifier(subject),
                held_out=answering(table, classifier),
                config_yaml="seed: 0\n",
                digest=tags["album"],
                protocol=protocol,
                selection_is_clean=more.get("selection_is_clean", True),
                summary=f"loss {loss}",
                plots={},
            )
            record(run_id, more.get("epochs", []), results)
        return run_id


def answering(predictions, classifier):
    """One classifier for all that is reported; none where there is none."""
    if classifier is None:
        return HeldOutClassifiers({})
    folds = [fold for fold in predictions["held_out_by"].unique() if fold not in ("", "val")]
    return HeldOutClassifiers(dict.fromkeys(folds, classifier))


def trained_of(classifier, table, epochs):
    """A training by folds that nobody did, whose reported answers are the classifier's own."""
    from ismila.learning.training import TrainingResult  # which imports torch

    return TrainingResult(
        classifier=classifier,
        held_out=HeldOutClassifiers({"test": classifier}),
        predictions=table,
        selection=table,
        selection_is_clean=True,
        epochs=epochs,
        best_epoch=0,
        protocol="fold",
    )


def at_once(n, function, *args):
    """Call a function in `n` processes at once; see `in_processes`."""
    return in_processes(function, [args] * n)


def in_processes(function, calls):
    """Call a function with each of the arguments, in a process each, at once; the exit code of each,
    negative when it was killed.

    They are forked, so that they import nothing: a process of its own takes seconds for MLflow.
    """
    apart = multiprocessing.get_context("fork")
    processes = [apart.Process(target=_called, args=(function, *args)) for args in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _called(function, *args):
    try:
        function(*args)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # pytest's own clearing up is the parent's


def predictions_of(subject, things, pets, seed=0, held_out_by="test", threshold=0.5):
    """A table with so many photos of each side, most of them judged rightly."""
    rng = np.random.default_rng(seed)
    label = np.repeat(["subject", "things", "pets"], [subject, things, pets])
    n = len(label)
    middle = np.select([label == "subject", label == "pets"], [0.75, 0.4], 0.15)
    kind = np.where(label == "pets", np.where(np.arange(n) % 2, "dog", "goat"), label)
    return pd.DataFrame(
        {
            "path": [f"{name}/{at}.jpg" for at, name in enumerate(kind)],
            "sha256": [f"{at:064x}" for at in range(n)],
            "group": [f"g{at}" for at in range(n)],
            "fold": "test",
            "label": label.astype(object),
            "kind": kind.astype(object),
            "closeup": False,
            "probability": np.clip(rng.normal(middle, 0.2), 0.01, 0.99),
            "threshold": threshold,
            "held_out_by": held_out_by,
            "used": False,
        }
    )


def is_tidy(file: Path) -> bool:
    """It is whole, and no process left anything beside it that `store.connect` would clear."""
    place = workplaces(file)
    return is_whole(file) and not (place.is_dir() and any(place.iterdir()))
