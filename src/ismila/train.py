"""Hydra entry: the story of a run. `python -m ismila.train model=mobilenet data=closeups`."""

from __future__ import annotations

import importlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

from ismila import console

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF = Path(__file__).parents[2] / "conf"


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
@console.told
def run(config: DictConfig) -> float:
    """Read the album, train, record, report; returns select_auroc, what a sweeper may maximise."""
    started = time.perf_counter()
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from ismila.learning.features import encode_bundled
    from ismila.photos.album import derived_folder
    from ismila.photos.folds import assign_folds
    from ismila.photos.index import album_digest, index_album, require_both_labels, usable, write_index

    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)  # a config file is a mapping
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
    rows["fold"] = assign_folds(rows, config.seed)
    if model["name"] == "mobilenet" and model["weights"] == "bundled":
        encode_bundled(rows, root, derived, model["size_px"], model["views"], console.progress)
    imports.join()

    from ismila.evidence.metrics import held_out_figures
    from ismila.evidence.plots import run_plots
    from ismila.evidence.verdict import verdict
    from ismila.learning.data import Variant
    from ismila.learning.training import train
    from ismila.runs import crown, git_commit, record_epochs, record_results, recorded

    variant = Variant(data["name"], data["pets"], data["closeups_above"], data["balance"])
    tags = {
        "model": model["name"],
        "data": variant.name,
        "subject": subject,
        "album": album_digest(index),
        "git": git_commit(),
        "refit": str(settings["refit"] or ""),
    }
    with recorded(
        subject,
        f"{model['name']} {variant.name} {config.seed}",
        {**console.flat(settings), "album.root": str(root.resolve())},
        tags,
        settings["tracking"]["uri"],
        sweep=HydraConfig.get().mode == RunMode.MULTIRUN,
    ) as run_id:
        trained = train(
            rows,
            root,
            derived,
            subject,
            variant,
            model,
            settings["trainer"],
            config.seed,
            console.progress,
            settings["refit"],
        )
        seconds = time.perf_counter() - started
        figures = held_out_figures(trained.predictions, trained.classifier.threshold)
        figures |= {
            "threshold": trained.classifier.threshold,
            "train_seconds": seconds,
            "photos_per_second": len(rows) / seconds,
            "best_epoch": float(trained.best_epoch),
        }
        trained.classifier.scores, trained.classifier.run = (
            {**trained.epochs[trained.best_epoch], **figures},
            run_id,
        )
        record_epochs(run_id, trained.epochs)
        record_results(
            run_id,
            figures,
            trained.predictions,
            trained.classifier,
            OmegaConf.to_yaml(config),
            tags["album"],
            run_plots(trained.epochs, trained.predictions, trained.classifier.threshold),
        )
    held_out = trained.predictions[trained.predictions["held_out"]]
    sentence = verdict(held_out, trained.classifier.threshold, subject)
    champion = crown(run_id, subject, figures, sentence)
    console.say_run(trained, figures, run_id, subject, sentence, champion)
    return figures.get("select_auroc", 0.0)


def _import_slow_ones() -> None:
    """torch, Lightning and MLflow take seconds, on one core: meanwhile photos go through the backbone."""
    for name in ("torch", "ismila.runs", "ismila.learning.training", "mlflow.store.tracking.sqlalchemy_store"):
        importlib.import_module(name)


def main() -> None:
    """Run Hydra; what a person can put right is said in one line."""
    code = console.guarded(run, CONF)
    if "ISMILA_SWEEP_RUN" in os.environ:
        console.say_sweep()
    console.leave(code)


if __name__ == "__main__":
    main()
