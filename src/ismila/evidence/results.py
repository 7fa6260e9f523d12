"""From a training to what its run keeps: figures, pictures, the run in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ismila.evidence.metrics import reported, reported_figures, selection_figures, stranger_figures
from ismila.evidence.plots import run_plots
from ismila.evidence.summary import summary
from ismila.runs.record import RunResults

if TYPE_CHECKING:
    from ismila.learning.training import TrainingResult


def results_of(
    trained: TrainingResult,
    seconds: float,
    config_yaml: str,
    digest: str,
    trained_on_strangers: bool = False,
) -> RunResults:
    """What `runs.record` keeps of a training; the classifier gets its figures, too.

    Args:
        seconds: from when Hydra has read the settings to the end of training, the imports of torch and MLflow included.
        config_yaml: the resolved config.
        digest: of the album.
        trained_on_strangers: as `data=strangers` does.
    """
    classifier = trained.classifier
    predictions = trained.predictions
    figures = selection_figures(trained.selection) | reported_figures(predictions)
    figures |= stranger_figures(trained.strangers)
    figures |= {
        "threshold": classifier.threshold,
        "temperature": classifier.decision.calibration.temperature,
        "calibration_bias": classifier.decision.calibration.bias,
        "best_epoch": float(trained.best_epoch),
        "train_seconds": seconds,
        "photos_per_second": len(predictions) / seconds,
    }
    epoch = trained.epochs[trained.best_epoch]
    classifier.scores = {name: value for name, value in epoch.items() if name != "timestamp_ms"}
    classifier.scores |= figures
    return RunResults(
        figures=figures,
        predictions=predictions,
        selection=trained.selection,
        strangers=trained.strangers,
        classifier=classifier,
        held_out=trained.held_out,
        config_yaml=config_yaml,
        digest=digest,
        protocol=trained.protocol,
        selection_is_clean=trained.selection_is_clean,
        summary=summary(
            reported(predictions), classifier.subject, trained.strangers, trained_on_strangers
        ),
        plots=run_plots(trained.epochs, predictions),
    )
