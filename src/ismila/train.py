"""Hydra entry: the story of a run. `python -m ismila.train model=mobilenet data=closeups`."""

from __future__ import annotations

import importlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra

from ismila.cli import console

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

CONF = Path(__file__).with_name("conf")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
@console.told
def run(config: DictConfig) -> float:
    """Read the album, train, record, report; returns select_auroc, what a sweeper may maximise."""
    started = time.perf_counter()
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    settings: Any = OmegaConf.to_container(config, resolve=True)
    data, model, subject, seed = (settings[name] for name in ("data", "model", "subject", "seed"))
    rows, root, derived, digest = _read_album(settings)

    from ismila.evidence.metrics import held_out_figures
    from ismila.evidence.plots import run_plots
    from ismila.evidence.summary import verdict
    from ismila.learning.dataset import Variant
    from ismila.learning.training import train
    from ismila.runs import crown, git_commit, record_epochs, record_results, recorded

    variant = Variant(data["name"], data["pets"], data["closeups_above"], data["balance"])
    params = {**console.flat(settings), "album.root": str(root.resolve())}
    tags = {
        "model": model["name"],
        "data": variant.name,
        "subject": subject,
        "album": digest,
        "git": git_commit(),
    }
    tags["refit"] = str(settings["refit"] or "")
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    name = f"{model['name']} {variant.name} {seed}"
    with recorded(subject, name, params, tags, settings["tracking"]["uri"], sweep) as run_id:
        how = (settings["trainer"], seed, console.progress, settings["refit"])
        trained = train(rows, root, derived, subject, variant, model, *how)
        seconds = time.perf_counter() - started
        predictions, classifier = trained.predictions, trained.classifier
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


def _read_album(settings: Any) -> tuple[pd.DataFrame, Path, Path, str]:
    """The usable rows with their fold, root, folder of derived files, digest; the backbone runs while torch imports."""
    from ismila.learning.features import encode_bundled
    from ismila.photos.folds import assign_folds
    from ismila.photos.index import (
        album_digest,
        index_album,
        require_both_labels,
        usable,
        write_index,
    )
    from ismila.photos.labels import derived_folder

    data, model, subject = settings["data"], settings["model"], settings["subject"]
    root = console.choose_root(data["root"], subject)
    derived = derived_folder(root, Path(data["cache"]) if data["cache"] else None)
    index = index_album(root, subject, derived, console.progress)
    require_both_labels(index, root, subject)
    console.say_album(index, root, subject)
    rows = usable(index)
    imports = threading.Thread(target=_import_slow_ones, daemon=True)
    imports.start()
    if rows.loc[rows["label"] == "subject", "subject_share"].isna().any():
        from ismila.learning.closeups import subject_shares

        shares = subject_shares(rows, root, derived, console.progress)
        index["subject_share"] = index["path"].map(dict(zip(rows["path"], shares, strict=True)))
        write_index(index, derived)
        rows = usable(index)
    rows["fold"] = assign_folds(rows, settings["seed"])
    encode_bundled(rows, root, derived, model, console.progress)
    imports.join()
    return rows, root, derived, album_digest(index)


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
