"""Hydra entry: the story of a run. `python -m ismila.train model=mobilenet data=closeups`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # Ctrl-C during the imports below, which take most of a second
    import ismila.cli.stopped  # noqa: F401

import hydra

from ismila.cli.border import call_hydra, past_hydra
from ismila.cli.progress import progress
from ismila.cli.terminal import leave, say
from ismila.cli.training import is_first_process, print_job, print_run, print_unread, read_album
from ismila.runs import SWEEP
from ismila.settings import register, settings_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF = Path(__file__).with_name("conf")
register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
@past_hydra
def run(config: DictConfig) -> float:
    """Read the album, train, record, report; returns `select_loss`, what a sweeper may minimise."""
    started = time.perf_counter()
    settings = settings_of(config)
    parent = os.environ.get(SWEEP, "")  # of a sweep, whose album was printed already
    album, rows = read_album(settings, quiet=bool(parent) or not is_first_process())

    from omegaconf import OmegaConf

    from ismila.evidence.results import results_of
    from ismila.learning.training import read_photos, train
    from ismila.photos.index import album_digest
    from ismila.runs.record import describe, open_run, record, require_watching, watching
    from ismila.runs.registry import promote_champion

    if not is_first_process():  # of a distributed training, which the first process records
        train(read_photos(album, rows, settings), settings)
        return 0.0
    photos = read_photos(album, rows, settings, progress)
    print_unread(photos.unread)
    digest = album_digest(photos.index)
    description = describe(settings, album.root, digest, parent)
    tracking = settings.tracking
    require_watching(tracking.system_metrics)
    with open_run(description, tracking.uri) as run_id:
        with watching(run_id, tracking.system_metrics):
            trained = train(photos, settings)
        trained.classifier.run = run_id
        seconds = time.perf_counter() - started
        config_yaml = OmegaConf.to_yaml(config)
        results = results_of(trained, seconds, config_yaml, digest, settings.data.strangers)
        refused = record(run_id, trained.epochs, results)
    if parent:  # each seed would be the newest in its turn: a sweep crowns once, at its end
        print_job(trained, description.name, results.summary, seconds)
    else:
        is_champion = not refused and promote_champion(settings.subject) == run_id
        print_run(trained, results.summary, seconds, is_champion)
    if refused:
        say(f"MLflow did not take run {run_id[:8]} ({refused}): it waits; `ismila sync` sends it")
    return results.figures.get("select_loss", float("inf"))


def main() -> None:
    """Run Hydra; what a person can put right is said in one line."""
    leave(call_hydra(run, CONF))


if __name__ == "__main__":
    main()
