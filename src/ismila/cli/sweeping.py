"""A sweep, from its list of jobs to its table: what Hydra's launchers run is prepared here.

What can be found out before the first job is: a wrong setting, an album that is not there. Then
index and rows are computed, once for all jobs, and the parent runs opened; a launcher may run the
jobs in this process or in many. Which of them are done is read from what they recorded, so that it
does not matter how the others ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from ismila.cli.compare import print_table
from ismila.cli.filling import fill_caches
from ismila.cli.launching import NotDoneError, job_overrides, parallel_jobs
from ismila.cli.progress import progress
from ismila.cli.terminal import say
from ismila.cli.training import index_album
from ismila.photos import UserError
from ismila.photos.names import counted
from ismila.settings import MismatchError, RunSettings, SettingError, settings_of

if TYPE_CHECKING:
    import pandas as pd
    from hydra.core.override_parser.types import Override
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from ismila.photos.album import Album
    from ismila.runs.find import Recorded
    from ismila.runs.sweep import Parent

NO_JOB = ("sweep.", "tracking.", "tracking=", "data.root=", "data.cache=")
"""Overrides that say nothing about what is computed: they are in no sweep's name."""


@dataclass(frozen=True, kw_only=True)
class Multirun:
    """What Hydra knows of a multirun.

    Attributes:
        overrides: what is swept over, and what is the same for all jobs; each key once.
        config: as it was composed for the multirun, with Hydra's own part.
        compose: overrides of a job -> its config.
        launch: overrides of jobs, number of the first -> what became of them, in the same order.
    """

    overrides: tuple[Override, ...]
    config: DictConfig
    compose: Callable[[Sequence[str]], DictConfig]
    launch: Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]

    @property
    def stem(self) -> str:
        """What the name of the sweep begins with."""
        return str(self.config.hydra.runtime.choices.get("sweep") or "sweep")

    @property
    def words(self) -> list[str]:
        """What is said about the jobs."""
        lines = [str(each.input_line) for each in self.overrides]
        return [line for line in lines if not line.startswith(NO_JOB)]

    @property
    def parallel_jobs(self) -> int:
        """How many jobs the launcher runs beside each other."""
        return parallel_jobs(self.config)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training of a sweep.

    Attributes:
        words: its overrides.
        album: digest of its album.
        digest: names what it computes.
    """

    words: tuple[str, ...]
    settings: RunSettings
    album: Album
    rows: pd.DataFrame
    album_digest: str
    digest: str


@dataclass(frozen=True)
class Missing:
    """A job that is not done.

    Attributes:
        name: what tells it from the sweep's others.
        failed: by its own fault.
    """

    subject: str
    name: str
    why: str
    failed: bool

    def __str__(self) -> str:
        return f"{'failed' if self.failed else 'not done'}: {self.name}: {self.why}"


def sweep_all(multirun: Multirun) -> None:
    """Run all combinations of what is swept over.

    Raises:
        UserError: a setting or an album that no job can be run with; or jobs failed.
    """
    with sweeping(multirun) as sweep:
        sweep.run(sweep.jobs(combinations(multirun.overrides)))


def combinations(overrides: Sequence[Override]) -> list[tuple[str, ...]]:
    """The overrides of each job.

    Raises:
        SettingError: an interval, of which there is no last value.
    """
    values: list[list[str]] = []
    for each in overrides:
        key = each.get_key_element()
        if not each.is_sweep_override():
            values.append([f"{key}={each.get_value_element_as_str()}"])
        elif each.is_discrete_sweep():
            values.append([f"{key}={value}" for value in each.sweep_string_iterator()])
        else:
            raise SettingError(
                f"{each.input_line}: an interval is searched by trials; give "
                "hydra.sweeper.trials=30 too, or a list of values"
            )
    return list(product(*values))


@contextmanager
def sweeping(multirun: Multirun) -> Iterator[Sweep]:
    """Yield a sweep, and end it: with its table, or broken off.

    Raises:
        UserError: some of its jobs failed or were not done.
    """
    sweep = Sweep(multirun)
    try:
        yield sweep
    except BaseException as error:
        sweep.break_off("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    sweep.end()


class Sweep:
    """The jobs of one multirun."""

    def __init__(self, multirun: Multirun) -> None:
        self._missing: list[Missing] = []
        self._multirun = multirun
        self._parents: dict[str, Parent] = {}
        self._albums: dict[object, tuple[Album, pd.DataFrame]] = {}
        self._filled: set[object] = set()
        self._launched = 0
        self._asked: set[str] = set()

    def jobs(self, batch: Sequence[tuple[str, ...]]) -> list[Job]:
        """The jobs of so many overrides, without those whose settings do not go together.

        Raises:
            UserError: a setting that cannot be followed, an album that is not there; or nothing is
            left.
        """
        jobs: list[Job] = []
        left_out: dict[str, list[str]] = {}
        names = names_of(batch)
        for words in batch:
            try:
                jobs.append(self._job(words))
            except MismatchError as error:
                left_out.setdefault(str(error), []).append(names[words])
        if not jobs:
            raise SettingError("; ".join(left_out))
        for why, named in left_out.items():
            more = f" and {len(named) - 1} more" if len(named) > 1 else ""
            say(f"left out: {named[0]}{more}: {why}")
        return jobs

    def _job(self, words: tuple[str, ...]) -> Job:
        from ismila.photos.index import album_digest
        from ismila.runs.record import job_digest

        settings = settings_of(self._multirun.compose(words))
        if settings.trainer.strategy.startswith("ddp"):
            raise SettingError(
                f"trainer.strategy={settings.trainer.strategy}: each of its processes would start "
                "the sweep; expected auto in a sweep, or a run of its own"
            )
        album, rows = self._album(settings)
        photos = album_digest(rows)
        return Job(
            words=words,
            settings=settings,
            album=album,
            rows=rows,
            album_digest=photos,
            digest=job_digest(settings, photos),
        )

    def _album(self, settings: RunSettings) -> tuple[Album, pd.DataFrame]:
        from ismila.learning.closeups import with_shares

        data = settings.data
        place = (settings.subject, data.root, data.cache)
        asked = (*place, data.strangers, data.occasion_minutes, settings.trainer)
        if asked not in self._albums:
            known = any(key[:3] == place for key in self._albums if isinstance(key, tuple))
            album, rows = index_album(settings, quiet=known)
            # the album's digest, by which finished jobs are known, names the shares, too
            self._albums[asked] = album, with_shares(album, rows, progress)
        return self._albums[asked]

    def name(self, jobs: Sequence[Job], subject: str) -> str:
        """What the sweep is called for a subject."""
        from ismila.runs.sweep import sweep_name

        given = jobs[0].settings.sweep.name
        albums = sorted({job.album_digest for job in jobs if job.settings.subject == subject})
        return given or sweep_name(self._multirun.stem, self._multirun.words, albums)

    def run(self, jobs: Sequence[Job]) -> list[float | None]:
        """Run those of the jobs that are not done; `select_loss` of each, None where there is none."""
        self._open(jobs)
        done = self._done()
        by_digest = {job.digest: job for job in jobs if job.digest not in done}
        todo = list(by_digest.values())
        self._asked |= {job.digest for job in jobs}
        if len(todo) < len({job.digest for job in jobs}):
            say(f"{len(jobs) - len(todo)} of {len(jobs)} jobs are done; sweep.again=true runs all")
        for job in todo:
            self._fill(job)
        if todo:
            self._launch(todo, names_of([job.words for job in jobs]))
            done = self._done()
        return [_loss(done.get(job.digest)) for job in jobs]

    def _open(self, jobs: Sequence[Job]) -> None:
        from ismila.runs.sweep import open_sweep

        for job in jobs:
            settings = job.settings
            subject = settings.subject
            if subject not in self._parents:
                name = self.name(jobs, subject)
                uri = settings.tracking.uri
                self._parents[subject] = open_sweep(subject, name, uri, settings.sweep.again)
                say(f"sweep {name}: {counted(len(jobs), 'job')}")

    def _done(self) -> dict[str, Recorded]:
        from ismila.runs.sweep import finished_jobs

        return {
            digest: run
            for parent in self._parents.values()
            for digest, run in finished_jobs(parent).items()
        }

    def _fill(self, job: Job) -> None:
        settings = job.settings
        filled = (settings.subject, job.album, settings.model, settings.trainer.accelerator)
        if filled not in self._filled:
            fill_caches(job.album, job.rows, settings, progress)
            self._filled.add(filled)

    def _launch(self, jobs: Sequence[Job], names: dict[tuple[str, ...], str]) -> None:
        """Run jobs, and note why those that are not done are not."""
        words = [
            (*job.words, *job_overrides(self._parents[job.settings.subject].run_id)) for job in jobs
        ]
        returned = self._multirun.launch(words, self._launched)
        self._launched += len(jobs)
        done = self._done()
        for job, each in zip(jobs, returned, strict=True):
            if job.digest in done:
                continue
            failed = not isinstance(each._return_value, NotDoneError)
            why = _why(each)
            self._missing.append(Missing(job.settings.subject, names[job.words], why, failed))
            if failed:
                self._record_failure(job, why)

    def _record_failure(self, job: Job, why: str) -> None:
        """Where the job did not come as far as opening its run."""
        from ismila.runs.record import describe, record_failure
        from ismila.runs.sweep import begun_jobs

        parent = self._parents[job.settings.subject]
        if job.digest in begun_jobs(parent):
            return
        description = describe(job.settings, job.album.root, job.album_digest, parent.run_id)
        record_failure(description, why, job.settings.tracking.uri)

    def break_off(self, status: str) -> None:
        """End the parent runs without a table."""
        from ismila.runs.sweep import end_sweep

        with suppress(UserError):  # MLflow does not answer: that was why, or comes on top
            if self._parents:
                done = self._asked & set(self._done())
                say(f"{len(done)} of {len(self._asked)} jobs of the sweep are done")
            for parent in self._parents.values():
                end_sweep(parent, status)

    def end(self) -> None:
        """Compare each subject's runs, keep the table in their parent run, promote the champion, say what failed.

        Raises:
            UserError: some of the jobs failed or were not done.
        """
        for parent in self._parents.values():
            self._end_of(parent)
        for missing in self._missing:
            say(str(missing))
        if self._missing:
            raise UserError(
                f"{len(self._missing)} of {len(self._asked)} jobs failed or were not done; "
                "the same command runs them again, and no others"
            )

    def _end_of(self, parent: Parent) -> None:
        from ismila.evidence.compare import compare_runs, figures_of
        from ismila.runs.registry import promote_champion
        from ismila.runs.sweep import close_sweep, end_sweep, finished_jobs

        runs = list(finished_jobs(parent).values())
        if not runs:
            end_sweep(parent, "FAILED")
            return
        table = compare_runs(figures_of(runs)[0])
        readings = [reading for reading in table["reading"] if reading]
        all_done = parent.subject not in {missing.subject for missing in self._missing}
        close_sweep(parent, table, readings, all_done)
        print_table(table, parent.subject if len(self._parents) > 1 else "")
        promote_champion(parent.subject)


def names_of(batch: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Jobs by their overrides -> what tells each from the others."""
    common = set(batch[0]).intersection(*batch[1:]) if len(batch) > 1 else set()
    return {
        words: " ".join(
            word for word in words if word not in common and not word.startswith(NO_JOB)
        )
        for words in batch
    }


def _why(returned: JobReturn) -> str:
    """Why a job that ended is not among the finished runs."""
    if returned.status.name == "COMPLETED":
        return "MLflow did not answer (what it found waits, `ismila sync` sends it), or photos have changed meanwhile"
    return str(returned._return_value)  # the property would raise it


def _loss(run: Recorded | None) -> float | None:
    return None if run is None else run.metrics.get("select_loss")
