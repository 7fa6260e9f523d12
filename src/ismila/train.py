"""Hydra entry: the story of a run. `python -m ismila.train model=mobilenet data=closeups`."""

from __future__ import annotations

import importlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

from ismila.cli.border import call_hydra, past_hydra
from ismila.cli.progress import progress
from ismila.cli.terminal import leave
from ismila.cli.training import choose_root, end_sweep, print_album, print_run
from ismila.settings import RunSettings, flat, register, settings_of

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from ismila.photos.album import Album
    from ismila.runs.record import RunDescription

CONF = Path(__file__).with_name("conf")
SWEEP = "ISMILA_SWEEP_RUN"
"""As in `runs.sweep`, which imports MLflow: a misspelt setting should not wait for that."""
IMPORTED_MEANWHILE = (
    "torch",
    "ismila.runs.registry",
    "ismila.learning.training",
    "mlflow.store.tracking.sqlalchemy_store",
)
"""They take seconds, on one core: meanwhile photos go through the backbone on the other."""
register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
@past_hydra
def run(config: DictConfig) -> float:
    """Read the album, train, record, report; returns `select_loss`, what a sweeper may minimise."""
    started = time.perf_counter()
    settings = settings_of(config)
    album, rows = read_album(settings)

    from omegaconf import OmegaConf

    from ismila.evidence.results import results_of
    from ismila.learning.training import train
    from ismila.photos.index import album_digest
    from ismila.runs.record import open_run, record_epochs, record_results
    from ismila.runs.registry import crown

    if not is_first_process():  # of a distributed training, which the first process records
        train(album, rows, settings)
        return 0.0
    digest = album_digest(rows)
    with open_run(described(settings, album, digest), settings.tracking.uri) as run_id:
        trained = train(album, rows, settings, progress)
        trained.classifier.run = run_id
        seconds = time.perf_counter() - started
        results = results_of(trained, seconds, OmegaConf.to_yaml(config), digest)
        record_epochs(run_id, trained.epochs)
        record_results(run_id, results)
    # each seed of a sweep would be the newest in its turn: it is crowned once, at its end
    is_champion = SWEEP not in os.environ and crown(settings.subject) == run_id
    print_run(trained, results.summary, seconds, is_champion)
    return results.figures.get("select_loss", float("inf"))


def is_first_process() -> bool:
    """Lightning starts the others by the same command, with their number in the environment."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def read_album(settings: RunSettings) -> tuple[Album, pd.DataFrame]:
    """The album and its usable rows with their fold; what a backbone makes of them is cached."""
    from ismila.learning.encoders import encode_ahead
    from ismila.photos.album import Album
    from ismila.photos.folds import assign_folds
    from ismila.photos.index import require_both_labels, usable

    root = choose_root(settings.data.root, settings.subject)
    cache = settings.data.cache
    album = Album.open(root, settings.subject, Path(cache) if cache else None)
    index = album.update(progress)
    require_both_labels(index, root, settings.subject)
    if is_first_process():
        print_album(index, root, settings.subject)
    imports = threading.Thread(target=_import_slow_ones, daemon=True)
    imports.start()
    rows = usable(index)
    if album.shares(rows) is None:
        from ismila.learning.closeups import subject_shares

        rows = album.keep_shares(rows, subject_shares(album, rows, progress))
    rows["fold"] = assign_folds(rows, settings.seed)
    encode_ahead(album, rows, settings.model, progress)
    imports.join()
    return album, rows


def _import_slow_ones() -> None:
    for name in IMPORTED_MEANWHILE:
        importlib.import_module(name)


def described(settings: RunSettings, album: Album, digest: str) -> RunDescription:
    """What is known of the run before it begins; one of a multirun is a child of its sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from ismila.runs.record import RunDescription
    from ismila.runs.sweep import open_sweep

    model = settings.model.name
    data = settings.data.name
    subject = settings.subject
    is_swept = HydraConfig.get().mode == RunMode.MULTIRUN
    return RunDescription(
        subject=subject,
        name=f"{model} {data} {settings.seed}",
        params={**flat(settings), "album.root": str(album.root.resolve())},
        tags={
            "model": model,
            "data": data,
            "subject": subject,
            "album": digest,
            "refit": settings.refit or "",
        },
        parent=open_sweep(subject, settings.tracking.uri) if is_swept else "",
    )


def main() -> None:
    """Run Hydra; what a person can put right is said in one line."""
    code = call_hydra(run, CONF)
    if SWEEP in os.environ:
        end_sweep()
    leave(code)


if __name__ == "__main__":
    main()
