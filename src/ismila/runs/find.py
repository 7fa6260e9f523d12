"""Find recorded runs, choose among them, and load what they kept."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.uri import is_local_uri

from ismila.photos import UserError, WrongUsageError
from ismila.photos.addresses import address_of, album_at
from ismila.photos.album import Album
from ismila.photos.names import first_line
from ismila.runs.naming import experiment_name, model_name
from ismila.runs.store import answering, connect, tracking_uri, working

if TYPE_CHECKING:
    from ismila.learning.held_out import HeldOutClassifiers
    from ismila.vision.classifier import Classifier

TRAINED = "attributes.status = 'FINISHED' and tags.model != ''"
"""MLflow's filter for runs that trained something; a sweep's parent run did not."""
HELD_OUT = "held_out.safetensors"
"""The artifact with the classifiers that reported answers come from."""
SELECTION = "selection"
"""The tag that says how far `select_loss` can be trusted, one of the next two."""
CLEAN = "clean"
CHOSEN_ON = "chosen-on"
LIMITS = ("trainer.max_epochs", "trainer.limit_train_batches")
"""Parameters that cut a training short, as `trainer=smoke` does: of epochs and of batches."""
EPOCH_FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")
MOST_RUNS = 5000


@dataclass(frozen=True)
class Recorded:
    """A finished run as MLflow keeps it."""

    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def album(self) -> str:
        """Digest of the album that it was trained on."""
        return self.tags.get("album", "")

    @property
    def seed(self) -> str:
        """What drew its folds."""
        return self.params.get("seed", "")

    @property
    def protocol(self) -> str:
        """How its figures were measured: `fold` or `crossval`; runs before the tag existed count as
        `fold`."""
        return self.tags.get("protocol", "fold")

    @property
    def selection_kind(self) -> str:
        """Whether anything that made its `select_loss` was chosen on the photos that it is measured on, `CLEAN` or
        `CHOSEN_ON`; empty for a run of before this was recorded."""
        return self.tags.get(SELECTION, "")

    @property
    def is_solved(self) -> bool:
        """Its head is linear and solved exactly: there are no epochs and no batches, and nothing cuts it short."""
        return self.params.get("model.hidden") == self.params.get("model.finetune_blocks") == "0"

    @property
    def limits(self) -> dict[str, str]:
        """What cut its training short, by `LIMITS`."""
        set_to = {name: self.params.get(name, "None") for name in LIMITS}
        cut = {name: value for name, value in set_to.items() if value.isdigit()}
        most, planned = (cut.get(LIMITS[0], "0"), self.params.get("model.epochs", ""))
        if planned.isdigit() and int(most) >= int(planned):
            del cut[LIMITS[0]]
        return {} if self.is_solved else cut

    @property
    def selection(self) -> dict[str, float]:
        """The figures that it may be chosen by.

        None for a run without the tag `selection`: its probabilities were calibrated for another prior,
        and one name must not stand for two measures.
        """
        if not self.selection_kind:
            return {}
        return {name: v for name, v in self.metrics.items() if name.startswith("select_")}


@dataclass(frozen=True)
class Chosen:
    """The run that a name stands for.

    Attributes:
        compared: among how many runs `best` was chosen; 1 for a run that was named.
        left_out: why other finished runs were not among them -> how many.
    """

    run: Recorded
    compared: int = 1
    left_out: Mapping[str, int] = field(default_factory=dict)

    def words(self) -> str:
        """What was left out, in a line; empty when nothing was."""
        if not self.left_out:
            return ""
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.left_out.items())
        among = "the only run" if self.compared == 1 else f"the best of {self.compared} runs"
        return (
            f"run {self.run.run_id[:8]} is {among} that can be compared with the newest one; "
            f"left out: {reasons}"
        )


def rank(run: Recorded) -> tuple[bool, float]:
    """What makes a run `best`: the lower `select_loss` (`evidence.metrics.selection_figures`), and
    nothing else.

    The AUROC tells no good run from a better one: it stays at 1 as soon as every photo of the
    subject stands above every other (38 of 38 recorded runs). A run without a loss of today's kind
    comes last, and among those the lower loss of the older kind counts.
    """
    loss = run.selection.get("select_loss")
    if loss is not None:
        return True, -loss
    return False, -run.metrics.get("select_loss", float("inf"))


def best_of(runs: Sequence[Recorded]) -> Chosen:
    """The best of the runs that were measured as the newest one was: same album, same seed, same
    protocol.

    Photos, folds or protocol that differ make a figure better or worse without making the run
    better or worse: an easy demo album, few photos, a lucky draw. Of equals the oldest is the best,
    so that a champion stays one. A run that was cut short (`LIMITS`) says whether it runs at all: it
    is no candidate, and no newest run, while there is another on the album.

    Args:
        runs: at least one, the newest first.
    """
    whole = [run for run in runs if run.album == runs[0].album and not run.limits]
    newest = (whole or runs)[0]
    reasons = [incomparable(run, newest) for run in runs]
    candidates = [run for run, reason in zip(runs, reasons, strict=True) if not reason]
    best = max(reversed(candidates), key=rank)
    left_out = Counter(reason for reason in reasons if reason)
    return Chosen(best, len(candidates), dict(left_out))


def incomparable(run: Recorded, newest: Recorded) -> str:
    """Why a run cannot be compared with the newest one, or another that stands in its place; empty when it can."""
    if run.album != newest.album:
        return "on another album, or on this one before it changed"
    if run.seed != newest.seed:
        return f"with another seed than {newest.seed}"
    if run.protocol != newest.protocol:
        return f"not measured by {newest.protocol}"
    if run.selection_kind != newest.selection_kind:
        return INCOMPARABLE_SELECTION[run.selection_kind]
    if run.limits and not newest.limits:
        return f"cut short ({', '.join(LIMITS)})"
    return ""


INCOMPARABLE_SELECTION = {
    CLEAN: "whose select_loss is of photos that chose nothing",
    CHOSEN_ON: "whose select_loss is of photos that chose its epoch or its calibration",
    "": "of a version that calibrated for another prior",
}


def choose_run(which: str, subject: str, uri: str | None = None) -> Chosen:
    """The run that `best` (see `best_of`), `latest`, an alias, a run id or a unique prefix of one
    stands for.

    Raises:
        UserError: there is none, or more than one, or MLflow does not answer.
    """
    runs = finished_runs(subject, uri)
    if which == "latest":
        return Chosen(runs[0])
    if which == "best":
        return best_of(runs)
    named = _aliased(which, subject) or which
    matching = [run for run in runs if run.run_id.startswith(named)]
    if not re.fullmatch("[0-9a-f]+", named) or not matching:
        raise UserError(
            f"--run {which}: no such run; give best, latest, a run id or an alias from `ismila ui`"
        )
    if len(matching) > 1:
        raise UserError(f"--run {which}: {len(matching)} runs begin like this; give more of the id")
    return Chosen(matching[0])


def choose_each(which: str, subjects: Sequence[str], uri: str | None = None) -> dict[str, Chosen]:
    """Subject -> the run that `best`, `latest` or an alias stands for, of each by itself.

    A run id is understood for one subject only, as it belongs to one.

    Raises:
        WrongUsageError: a run id for several subjects, or an alias that one of them does not have.
        UserError: a subject has no run, or MLflow does not answer.
    """
    if len(subjects) > 1 and which not in ("best", "latest"):
        for subject in subjects:
            finished_runs(subject, uri)  # whose run is missing is said before what --run should be
            if not _aliased(which, subject):
                raise WrongUsageError(
                    f"--run {which}: {subject} has no such alias, and a run id belongs to one "
                    "subject; for several give best, latest or an alias that each of them has"
                )
    return {subject: choose_run(which, subject, uri) for subject in subjects}


def find_run(which: str, subject: str, uri: str | None = None) -> str:
    """The id of `choose_run`'s run, for callers that do not say what was left out."""
    return choose_run(which, subject, uri).run.run_id


def _aliased(alias: str, subject: str) -> str:
    """The id of the run that carries the alias; empty when none does."""
    try:
        return str(
            mlflow.MlflowClient().get_model_version_by_alias(model_name(subject), alias).run_id
        )
    except MlflowException:  # nothing is registered, or not under this name
        return ""


def finished_runs(subject: str, uri: str | None = None) -> list[Recorded]:
    """The subject's finished runs that trained something, the newest first.

    Raises:
        UserError: there is none, or MLflow does not answer.
    """
    with answering():
        connect(uri)
        runs = _search(subject, TRAINED)
    if not runs:
        raise UserError(
            f"no finished run of {subject} yet; make one with: "
            f"python -m ismila.train {_override(subject)}"
        )
    return [_recorded(run) for run in runs]


def _override(subject: str) -> str:
    """`subject=NAME` as one writes it into a shell, with the quotes that Hydra wants inside the shell's."""
    is_plain = re.fullmatch(r"[\w-]+", subject, re.ASCII)
    escaped = subject.replace("'", "\\'")
    return f"subject={subject}" if is_plain else shlex.quote(f"subject='{escaped}'")


def children(subject: str, parent: str, finished: bool = False) -> list[Recorded]:
    """The runs below a sweep's, the newest first, in the store that was connected to last; those of
    killed workers end by the way.

    Args:
        finished: only those that finished; otherwise however they ended.

    Raises:
        UserError: MLflow does not answer.
    """
    wanted = f"{TRAINED} and {_below(parent)}" if finished else _below(parent)
    with answering():
        connect(tracking_uri())
        return [_recorded(run) for run in _search(subject, wanted)]


def _below(parent: str) -> str:
    return f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"


def _search(subject: str, wanted: str) -> list[Run]:
    """In the store that was connected to last."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(experiment_name(subject))
    if not experiment:
        return []
    return list(client.search_runs([experiment.experiment_id], wanted, max_results=MOST_RUNS))


def read_run(run_id: str) -> Recorded:
    """A run's tags, params and figures."""
    return _recorded(mlflow.MlflowClient().get_run(run_id))


def _recorded(run: Run) -> Recorded:
    data = run.data
    return Recorded(run.info.run_id, dict(data.tags), dict(data.params), dict(data.metrics))


def read_epochs(run_id: str) -> dict[str, list[float]]:
    """`loss, accuracy, val_loss, val_accuracy` by epoch, as far as the run has them."""
    client = mlflow.MlflowClient()
    epochs: dict[str, list[float]] = {}
    for name in EPOCH_FIGURES:
        history = sorted(client.get_metric_history(run_id, name), key=lambda metric: metric.step)
        if history:
            epochs[name] = [float(metric.value) for metric in history]
    return epochs


def load_predictions(run_id: str) -> pd.DataFrame:
    """A run's predictions.parquet; one of an older version gets today's columns.

    Raises:
        UserError: MLflow does not hand it out.
    """
    with artifact_of(run_id, "predictions.parquet") as file:
        table = pd.read_parquet(file)
    if "held_out_by" in table:
        return table
    run = read_run(run_id)
    return upgraded(table, run.metrics["threshold"], refit=bool(run.tags.get("refit")))


def load_strangers(run_id: str) -> pd.DataFrame | None:
    """A run's strangers.parquet: `kind, probability, threshold`; None where it was asked about none."""
    try:
        with artifact_of(run_id, "strangers.parquet") as file:
            return pd.read_parquet(file)
    except UserError:
        return None


def upgraded(table: pd.DataFrame, threshold: float, refit: bool) -> pd.DataFrame:
    """An older table with `threshold, held_out_by, used` instead of `held_out`.

    Args:
        threshold: the run's, which then counted for every photo.
        refit: the classifier was trained once more on all folds.
    """
    held_out = table["held_out"] if "held_out" in table else table["fold"] == "test"
    held_out_by = table["fold"].map({"train": "", "val": "val", "test": "test"})
    if held_out.any() and (held_out & (table["fold"] != "test")).any():
        held_out_by = held_out.map({True: "crossval 0", False: ""})  # which of them was not kept
    return table.drop(columns="held_out", errors="ignore").assign(
        threshold=threshold,
        held_out_by=held_out_by,
        used=True if refit else table["fold"] == "train",
    )


def load_classifier(run_id: str) -> Classifier:
    """The classifier that a run recorded.

    Raises:
        UserError: MLflow does not hand it out, or it is none that this version can read.
    """
    from ismila.vision.classifier import Classifier

    with artifact_of(run_id, "classifier") as folder:
        return Classifier.load(folder)


def load_held_out(run: Recorded, kept: Classifier) -> HeldOutClassifiers:
    """The classifiers that a run's reported answers come from; none where an older run kept none.

    Args:
        kept: the run's classifier.

    Raises:
        UserError: MLflow does not hand them out.
    """
    from ismila.learning.held_out import TEST, HeldOutClassifiers

    if run.selection_kind:
        with artifact_of(run.run_id, HELD_OUT) as file:
            return HeldOutClassifiers.load(file, kept)
    # an older run's own classifier answered for its test fold, unless it was trained once more on all photos
    is_held_out = run.protocol == "fold" and not run.tags.get("refit")
    return HeldOutClassifiers({TEST: kept} if is_held_out else {})


@contextmanager
def artifact_of(run_id: str, artifact: str) -> Iterator[Path]:
    """Where a run's artifact lies. By the run's id MLflow would copy it, also from this disk, and delete no copy.

    Raises:
        UserError: MLflow does not hand it out.
    """
    with ExitStack() as stack:
        try:
            place = mlflow.get_run(run_id).info.artifact_uri
            if not is_local_uri(place, is_tracking_or_registry_uri=False):
                stack.enter_context(working())
            path = get_artifact_repository(place).download_artifacts(artifact)
        except (MlflowException, OSError) as error:
            raise UserError(
                f"run {run_id}: {artifact} is gone from {tracking_uri()} ({first_line(error)}); "
                "bring it back, or train again"
            ) from error
        yield Path(path)


def album_of(run: Recorded, root: Path | None = None) -> Album:
    """The run's album at `root`, or where it was when the run was made, with the derived files it
    was given.

    Raises:
        UserError: it is not there.
    """
    root = root or album_at(run.params.get("album.root", "data/photos"))
    if not address_of(root) and not root.is_dir():
        raise UserError(f"the run's album {root} is not here; say where it is with --root DIR")
    cache = Path(run.params.get("data.cache", "None"))
    there = cache.name != "None" and cache.is_dir()
    return Album.open(root, run.tags.get("subject", "mila"), cache if there else None)
