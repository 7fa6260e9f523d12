"""A sweep that Optuna steers: trials in place of all combinations, for the lowest `select_loss`.

Nothing is pruned: Optuna gives a trial up by what it reports on its way, and a solved head has no
way. hydra-optuna-sweeper would do the rest, but wants an Optuna older than 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.sweeping import Multirun, Sweep, combinations, sweeping
from ismila.cli.terminal import say
from ismila.photos import UserError
from ismila.settings import SettingError

if TYPE_CHECKING:
    import optuna
    from hydra.core.override_parser.types import IntervalSweep, Override
    from optuna.distributions import BaseDistribution

REPEATED = ("seed",)
"""Not searched: a trial is run with each value, and its loss is the mean. The seed of the easiest
folds is no better seed."""
ALONE = ("subject", "data.root")
"""Losses on other photos cannot be compared."""


@dataclass(frozen=True)
class Search:
    """How a sweep is searched.

    Attributes:
        trials: how many, those of earlier commands with the same sweep included.
        seed: of the proposals.
        storage: where Optuna keeps its studies, as an address of SQLAlchemy's.
    """

    trials: int
    seed: int
    storage: str

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise SettingError(f"hydra.sweeper.trials={self.trials}: expected a number from 1")


def search(multirun: Multirun, how: Search) -> None:
    """Run trials until there are enough of them, as many at once as the launcher has workers.

    Raises:
        UserError: Optuna is not installed, a setting cannot be followed, or jobs failed.
    """
    searched = [each for each in multirun.overrides if _is_searched(each)]
    fixed = combinations([each for each in multirun.overrides if not _is_searched(each)])
    space = {each.get_key_element(): distribution(each) for each in searched}
    if not space:
        raise SettingError(
            "hydra.sweeper.trials: nothing to search; give a range such as "
            "'model.C=tag(log, interval(0.001, 10))'"
        )
    with sweeping(multirun) as sweep:
        some = sweep.jobs([(*words, *_middle(searched)) for words in fixed])
        name = sweep.name(some, some[0].settings.subject)
        study = open_study(how, name, some[0].settings.sweep.again)
        done = sum(trial.state.name == "COMPLETE" for trial in study.get_trials())
        from ismila.runs.store import answering, connect

        with answering():
            # MLflow's client sets a variable, and `parallel_jobs` starts Ray, whose threads read some
            connect(some[0].settings.tracking.uri)
        while done < how.trials:
            n = min(multirun.parallel_jobs, how.trials - done)
            run_trials(sweep, study, [study.ask(space) for _ in range(n)], fixed)
            done += n
        _say_best(study)


def _is_searched(override: Override) -> bool:
    key = override.get_key_element()
    if key in ALONE and override.is_sweep_override():
        raise SettingError(
            f"{override.input_line}: trials are compared on one album; give one value"
        )
    return bool(override.is_sweep_override()) and key not in REPEATED


def distribution(override: Override) -> BaseDistribution:
    """What Optuna draws a value from: numbers of an interval, or the words of a list."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if override.is_discrete_sweep():
        return CategoricalDistribution([str(one) for one in override.sweep_string_iterator()])
    interval = _interval(override)
    low = interval.start
    high = interval.end
    is_log = "log" in interval.tags
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(float(str(low)), float(str(high)), log=is_log)


def _interval(override: Override) -> IntervalSweep:
    from hydra.core.override_parser.types import IntervalSweep

    value = override.value()
    if not isinstance(value, IntervalSweep):
        raise SettingError(f"{override.input_line}: expected an interval or a list of values")
    return value


def _middle(searched: Sequence[Override]) -> list[str]:
    """Some value of each: with it the album is found, and a wrong setting before any trial."""
    words = []
    for each in searched:
        first = (
            next(each.sweep_string_iterator()) if each.is_discrete_sweep() else _interval(each).end
        )
        words.append(f"{each.get_key_element()}={first}")
    return words


def open_study(how: Search, name: str, again: bool) -> optuna.Study:
    """The sweep's study, which goes on; a trial whose process died is asked for once more.

    Args:
        again: forget an earlier study of this name.

    Raises:
        UserError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "hydra.sweeper.trials: needs Optuna; pip install 'ismila[sweep]'"
        ) from error
    from ismila.runs.database import locked, sqlite_file

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with locked(sqlite_file(how.storage) or Path("mlruns/optuna.db"), "made"):
        storage = optuna.storages.RDBStorage(how.storage)
        known = name in optuna.get_all_study_names(storage)
        if known and again:
            optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
    before = len(study.trials)
    # not the seed alone: a study that goes on would be asked for its first trials again
    study.sampler = optuna.samplers.TPESampler(seed=how.seed + before, constant_liar=True)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def run_trials(
    sweep: Sweep,
    study: optuna.Study,
    trials: Sequence[optuna.Trial],
    fixed: Sequence[tuple[str, ...]],
) -> None:
    """Run each trial with all of `fixed`, and tell the study its mean loss."""
    from optuna.trial import TrialState

    batch = [(*words, *_words(trial.params)) for trial in trials for words in fixed]
    jobs = sweep.jobs(batch)
    losses = dict(zip((job.words for job in jobs), sweep.run(jobs), strict=True))
    for at, trial in enumerate(trials):
        own = batch[at * len(fixed) : (at + 1) * len(fixed)]
        known = [loss for words in own if (loss := losses.get(words)) is not None]
        if len(known) == len(own):
            study.tell(trial, sum(known) / len(known))
        else:
            study.tell(trial, state=TrialState.FAIL)


def _words(params: Mapping[str, object]) -> list[str]:
    """Overrides of a trial; four digits tell enough, and can be read in the table."""
    return [
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    ]


def _say_best(study: optuna.Study) -> None:
    from optuna.trial import TrialState

    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if complete:
        words = " ".join(_words(study.best_params))
        say(f"lowest select_loss of {len(complete)} trials: {study.best_value:.4f} with {words}")
