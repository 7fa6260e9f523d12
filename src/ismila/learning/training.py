"""The story of a training: photos -> rows -> features -> head or network -> decision -> classifier and predictions."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ismila.learning.dataset import AlbumRows, album_rows
from ismila.learning.features import Features
from ismila.learning.given import annotated_boxes
from ismila.learning.held_out import HeldOutClassifiers
from ismila.learning.inputs import device_of, encoder_of, low_resolution_photos, viewer_of, views_of
from ismila.learning.linear import LinearRun, is_few
from ismila.learning.outcome import Outcome, predictions_of
from ismila.learning.tuned import TunedRun
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.index import usable
from ismila.photos.names import named_problems
from ismila.photos.progress import Progress
from ismila.settings import FrozenSettings, RunSettings
from ismila.vision.architecture import architecture_of
from ismila.vision.backbones import load_weights, make_network, weights_of
from ismila.vision.classifier import Classifier
from ismila.vision.encoders import Identity


@dataclass
class TrainingResult:
    """What training gives.

    Attributes:
        predictions: a row a photo: `path, sha256, group, fold, label, kind, closeup, subject_share, probability,
            threshold, held_out_by, used` (see `outcome.AlbumPredictions`).
        selection: answers that a run may be chosen by: `path, group, label, kind, probability`.
        epochs: `loss, accuracy, val_loss, val_accuracy` of each.
        protocol: `fold` or `crossval`.
        held_out: the classifiers that the reported answers come from.
        selection_is_clean: nothing that makes these answers was chosen on their photos.
        strangers: answers for strangers that nothing was trained or chosen on: `kind, probability, threshold`.
    """

    classifier: Classifier
    held_out: HeldOutClassifiers
    predictions: pd.DataFrame
    selection: pd.DataFrame
    selection_is_clean: bool
    epochs: list[dict[str, float]]
    best_epoch: int
    protocol: str
    strangers: pd.DataFrame | None = None


MOST_UNREAD = 0.1
"""Of an album's photos: with more gone, what trains is another album, and likely a disk that is away."""


@dataclass(frozen=True)
class TrainingPhotos:
    """The photos of an album that can be read, and what the model reads of them.

    Attributes:
        index: the rows that train and are asked, with their `fold`.
        features: of the model; for fine-tuning images, too.
        unread: by path why a photo of the index cannot be read any more.
    """

    index: pd.DataFrame
    features: list[Features]
    unread: dict[str, str]


def train(photos: TrainingPhotos, settings: RunSettings) -> TrainingResult:
    """Train what `settings` ask for, choose the decision, and predict every photo.

    Raises:
        UserError: there is nothing to tell apart.
    """
    _draw_from(settings.seed)
    rows = album_rows(photos.index, settings.data, settings.seed)
    features = photos.features
    _require_both_sides(rows, settings)
    model = settings.model
    if isinstance(model, FrozenSettings) and model.is_linear:
        outcome = LinearRun(rows, features[0], model, settings).outcome()
    else:
        outcome = TunedRun(rows, features, architecture_of(model), settings).outcome()
    classifier = _classifier(outcome, settings)
    return TrainingResult(
        classifier=classifier,
        held_out=HeldOutClassifiers.beside(classifier, outcome.held_out),
        predictions=predictions_of(rows, outcome.answers),
        selection=outcome.selection,
        selection_is_clean=outcome.selection_is_clean,
        epochs=outcome.fitted.epochs,
        best_epoch=outcome.fitted.best_epoch,
        protocol=outcome.protocol,
        strangers=outcome.kept.strangers,
    )


def _draw_from(seed: int) -> None:
    """Seed what draws. Lightning's `seed_everything` also sets variables, beside threads that may be reading some."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def read_photos(
    album: Album, index: pd.DataFrame, settings: RunSettings, progress: Progress | None = None
) -> TrainingPhotos:
    """What the model reads of each photo; computed where it is not cached.

    Args:
        index: the usable index with its `fold`; a row that has got a `problem` since is left out.

    Raises:
        UserError: more than a tenth of the photos cannot be read any more.
    """
    model = settings.model
    viewer = viewer_of(model)
    encoder = encoder_of(model, device_of(settings.trainer))
    features = [Features(album.derived, viewer, encoder, annotated_boxes(index))]
    if isinstance(model, FrozenSettings) and model.finetune_blocks:
        features.append(Features(album.derived, viewer, Identity(viewer.spec)))
    marked = index
    for each in features:
        rows = usable(marked)
        far = low_resolution_photos(rows, settings)
        problems = each.fill(album.photos(rows), views_of(model), progress, far)
        marked = marked.assign(problem=marked["sha256"].map(problems).fillna(marked["problem"]))
    gone = marked[marked["problem"] != ""]
    unread = dict(zip(gone["path"], gone["problem"], strict=True))
    if len(unread) > MOST_UNREAD * len(index):
        raise UserError(
            f"data.root={album.root}: {len(unread)} of {len(index)} photos cannot be read any more "
            f"({named_problems(unread)}); see that the disk is there and the files are whole, and "
            "give the same command again"
        )
    return TrainingPhotos(usable(marked), features, unread)


def _require_both_sides(rows: AlbumRows, settings: RunSettings) -> None:
    """Raise UserError unless what trains holds the subject and something else."""
    model = settings.model
    few = isinstance(model, FrozenSettings) and model.is_linear and is_few(rows)
    trained_on = rows.trains if few else rows.trains & rows.is_in("train")
    of_subject = rows.is_subject[trained_on]
    has_others = settings.data.strangers or not of_subject.all()
    if of_subject.any() and has_others:
        return
    missing = "without " * bool(of_subject.any()) + settings.subject
    where = "" if few else f" in the training fold of seed={settings.seed}"
    remedy = "add photos" if few else "add photos, or take another seed"
    if settings.data.closeups_above is not None:
        remedy += ", or lower data.closeups_above"
    raise UserError(f"data={settings.data.name}: no photo {missing} to train on{where}; {remedy}")


def _classifier(outcome: Outcome, settings: RunSettings) -> Classifier:
    viewer = viewer_of(settings.model)
    architecture = architecture_of(settings.model)
    network = make_network(architecture, viewer.spec)
    load_weights(network, outcome.kept.weights)
    if isinstance(settings.model, FrozenSettings) and settings.model.finetune_blocks:
        architecture = architecture.with_own_weights()
    return Classifier(
        weights_of(network),
        architecture,
        viewer.spec,
        settings.subject,
        outcome.kept.decision,
        viewer.boxes_digest,
    )
