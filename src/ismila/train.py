"""Hydra entry: the story of a run. `python -m ismila.train model=mobilenet data=closeups`."""

from __future__ import annotations

import importlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

from ismila.cli import console
from ismila.settings import RunSettings, flat, register, settings_of

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from ismila.photos.album import Album

CONF = Path(__file__).with_name("conf")
register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
@console.told
def run(config: DictConfig) -> float:
    """Read the album, train, record, report; returns select_auroc, what a sweeper may maximise."""
    started = time.perf_counter()
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    settings = settings_of(config)
    album, rows, digest = _read_album(settings)

    from ismila.evidence.metrics import held_out_figures
    from ismila.evidence.plots import run_plots
    from ismila.evidence.summary import verdict
    from ismila.learning.training import train
    from ismila.runs import crown, git_commit, record_epochs, record_results, recorded

    model, data, subject = settings.model, settings.data, settings.subject
    params = {**flat(settings), "album.root": str(album.root.resolve())}
    tags = {
        "model": model.name,
        "data": data.name,
        "subject": subject,
        "album": digest,
        "git": git_commit(),
    }
    tags["refit"] = str(settings.refit or "")
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    name = f"{model.name} {data.name} {settings.seed}"
    with recorded(subject, name, params, tags, settings.tracking.uri, sweep) as run_id:
        trained = train(album, rows, settings, console.progress)
        seconds = time.perf_counter() - started
        predictions, classifier = trained.predictions, trained.classifier
        predictions["held_out"] = predictions["held_out_by"].str.match("test|crossval")
        figures = held_out_figures(predictions, classifier.threshold)
        figures |= {"threshold": classifier.threshold, "best_epoch": float(trained.best_epoch)}
        figures |= {"train_seconds": seconds, "photos_per_second": len(rows) / seconds}
        classifier.scores, classifier.run = (
            {**trained.epochs[trained.best_epoch], **figures},
            run_id,
        )
        record_epochs(run_id, trained.epochs)
        plots = run_plots(trained.epochs, predictions, classifier.threshold)
        record_results(
            run_id, figures, predictions, classifier, OmegaConf.to_yaml(config), digest, plots
        )
    sentence = verdict(predictions[predictions["held_out"]], classifier.threshold, subject)
    champion = crown(run_id, subject, figures, sentence)
    console.say_run(trained, figures, run_id, subject, sentence, champion)
    return figures.get("select_auroc", 0.0)


def _read_album(settings: RunSettings) -> tuple[Album, pd.DataFrame, str]:
    """The album, its usable rows with their fold, its digest; the backbone runs while torch is imported."""
    from ismila.learning.encoders import encode_ahead
    from ismila.photos.album import Album
    from ismila.photos.folds import assign_folds
    from ismila.photos.index import album_digest, require_both_labels, usable

    data = settings.data
    root = console.choose_root(data.root, settings.subject)
    album = Album.open(root, settings.subject, Path(data.cache) if data.cache else None)
    index = album.update(console.progress)
    require_both_labels(index, root, settings.subject)
    console.say_album(index, root, settings.subject)
    rows = usable(index)
    imports = threading.Thread(target=_import_slow_ones, daemon=True)
    imports.start()
    if album.shares(rows) is None:
        from ismila.learning.closeups import subject_shares

        rows = album.keep_shares(rows, subject_shares(album, rows, console.progress))
    rows["fold"] = assign_folds(rows, settings.seed)
    encode_ahead(album, rows, settings.model, console.progress)
    imports.join()
    return album, rows, album_digest(index)


def _import_slow_ones() -> None:
    """torch, Lightning and MLflow take seconds, on one core: meanwhile photos go through the backbone."""
    for name in (
        "torch",
        "ismila.runs",
        "ismila.learning.training",
        "mlflow.store.tracking.sqlalchemy_store",
    ):
        importlib.import_module(name)


def main() -> None:
    """Run Hydra; what a person can put right is said in one line."""
    code = console.guarded(run, CONF)
    if "ISMILA_SWEEP_RUN" in os.environ:
        console.say_sweep()
    console.leave(code)


if __name__ == "__main__":
    main()
