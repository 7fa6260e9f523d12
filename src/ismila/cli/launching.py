"""Hydra's launchers as a sweep needs them: how many jobs at once, and how each of them ended.

Those for Ray and for submitit give up at the first job whose worker was killed, and forget what the
others did; here each job is waited for, and says for itself. Their configs, and how a job is run at
its place, stay theirs.
"""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ismila.cli.overrides import quoted
from ismila.photos import UserError
from ismila.photos.cores import cores
from ismila.photos.ray_token import keep_to_ourselves, names_token
from ismila.photos.streams import errors_into
from ismila.runs import SWEEP, SWEEP_HOST

if TYPE_CHECKING:
    import submitit
    from hydra.core.utils import JobReturn
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig

KILLED = "a worker process was killed"
"""Why jobs were not done where the launcher says no more."""
ASKED_EVERY_S = 2.0
"""So often those who wait look whether the others are still there."""
GONE_S = 20.0
"""A head of Ray's that refuses connections for so long is gone. Ray itself would end this process
after 60 s, without a word about its jobs."""
MOST_TIMEOUTS = "max_num_timeout"
"""submitit's setting: how often a job begins again that was out of time."""
STARTED_HERE = ("num_cpus", "num_gpus", "resources", "object_store_memory", "include_dashboard")
"""Settings of a cluster that Ray starts for the sweep; it takes none of them for one that runs."""


class NotDoneError(Exception):
    """Why a job was not run to its end, through no fault of its own."""


def job_overrides(parent: str) -> list[str]:
    """Overrides that tell a job, in whichever process and place it runs, what it belongs to.

    Args:
        parent: id of the sweep's run.
    """
    told = {SWEEP: parent, SWEEP_HOST: socket.gethostname()}
    if store := os.environ.get("MLFLOW_TRACKING_URI"):  # MLflow's client sets it, too
        told["MLFLOW_TRACKING_URI"] = store
    return [quoted(f"+hydra.job.env_set.{name}={value}") for name, value in told.items()]


def chdir_to_sweep_root() -> None:
    """Go where the sweep was started: relative paths mean the same in each of its jobs.

    Raises:
        UserError: this machine has no such folder.
    """
    if SWEEP not in os.environ:
        return
    from hydra.core.hydra_config import HydraConfig

    folder = HydraConfig.get().runtime.cwd
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: the sweep was started there, and {socket.gethostname()} cannot enter it "
            f"({error.strerror}); start it in a folder that all machines share"
        ) from error


def require_launcher(config: DictConfig) -> None:
    """Say it before anything slow when the chosen launcher cannot launch.

    Raises:
        UserError: it is not installed, or has no cluster at its address.
    """
    target = str(config.hydra.launcher.get("_target_", ""))
    package = ".".join(target.split(".")[:2])
    if package and find_spec(package) is None:
        choice = config.hydra.runtime.choices.get("hydra/launcher")
        raise UserError(f"hydra/launcher={choice}: needs pip install 'ismila[cluster]'")
    if _kind(config.hydra.launcher) == "RayLauncher":
        address = str(config.hydra.launcher.ray.init.address)
        if ":" in address and "//" not in address:  # Ray would try it for minutes
            try:
                _require_listener(address)
            except (OSError, ValueError) as error:
                raise _no_cluster(address, error) from error


def parallel_jobs(config: DictConfig) -> int:
    """How many jobs the launcher runs beside each other."""
    launcher = config.hydra.launcher
    kind = _kind(launcher)
    if kind == "RayLauncher":
        import ray

        _start_ray(launcher.ray.init)
        cpus = float(launcher.ray.remote.get("num_cpus") or 1)
        return max(1, int(ray.cluster_resources().get("CPU", 1) / cpus))
    if kind == "SlurmLauncher":
        return int(launcher.array_parallelism)
    if kind == "LocalLauncher":
        return max(1, cores() // int(launcher.cpus_per_task or 1))
    if kind == "JoblibLauncher":
        from joblib import effective_n_jobs

        return int(effective_n_jobs(launcher.get("n_jobs", 1)))
    return 1


def launch(launcher: Launcher, jobs: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
    """Run jobs, and wait for all of them.

    Args:
        jobs: the overrides of each.
        first: number of the first of them in the multirun.

    Returns:
        What became of each; a job that a killed worker took with it has failed with a NotDoneError.
    """
    kind = type(launcher).__name__
    if kind == "RayLauncher":
        return _on_ray(launcher, jobs, first)
    if kind in ("SlurmLauncher", "LocalLauncher"):
        return _submitted(launcher, jobs, first)
    try:
        return launcher.launch(jobs, initial_job_idx=first)
    except BrokenExecutor:  # joblib's pool: it lets no worker go on
        return [_not_done(KILLED) for _ in jobs]


def end_workers(launcher: Launcher) -> None:
    """End what a launcher would let live on: joblib's workers, a GB each, for five minutes, unless
    Python clears up at its end, which a training does not wait for; a cluster of Ray's."""
    kind = type(launcher).__name__
    if kind == "JoblibLauncher":
        from joblib.externals.loky import get_reusable_executor

        executor = get_reusable_executor(reuse=True)
        getattr(executor, "terminate", executor.shutdown)(kill_workers=True)
        gc.collect()  # semaphores of a broken pool; else loky's tracker warns of them later
    elif kind == "RayLauncher":
        import ray

        ray.shutdown()


def _kind(launcher: DictConfig) -> str:
    return str(launcher.get("_target_", "")).rpartition(".")[2]


def _not_done(why: str) -> JobReturn:
    from hydra.core.utils import JobReturn, JobStatus

    returned = JobReturn()
    returned.status = JobStatus.FAILED
    returned.return_value = NotDoneError(why)
    return returned


def _start_ray(init: DictConfig) -> None:
    """Join the cluster that the settings name, or start one for the sweep.

    Raises:
        UserError: there is none at that address.
    """
    # before Ray is imported, which reads them once
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # each job says a line of its own
    is_local = init.get("address") == "local"
    if is_local:
        keep_to_ourselves()
    elif names_token() or Path("~/.ray/auth_token").expanduser().exists():
        # a cluster that asks for it does so by itself, who joins does not give it
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray
    from omegaconf import OmegaConf

    if ray.is_initialized():
        return
    settings: Any = OmegaConf.to_container(init, resolve=True)
    address = str(settings.get("address"))
    if not is_local:
        settings = {name: value for name, value in settings.items() if name not in STARTED_HERE}
    try:
        ray.init(**settings)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> UserError:
    why = " ".join(str(error).split())
    return UserError(
        f"hydra.launcher.ray.init.address={address}: no cluster of Ray's can be joined there "
        f"({why}); start it with `ray start --head`, or leave the address out"
    )


def _require_listener(address: str) -> None:
    """Raises OSError when nobody takes connections at HOST:PORT, ValueError when that is none."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=5).close()


def _on_ray(launcher: Any, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    from hydra.core.singleton import Singleton
    from hydra.core.utils import setup_globals
    from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray
    from omegaconf import open_dict

    _start_ray(launcher.ray_cfg.init)
    setup_globals()
    asked = []
    for number, overrides in enumerate(jobs, first):
        loader = launcher.hydra_context.config_loader
        config = loader.load_sweep_config(launcher.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        asked.append(
            launch_job_on_ray(
                launcher.hydra_context,
                launcher.ray_cfg.remote,
                config,
                launcher.task_function,
                Singleton.get_state(),
            )
        )
    is_there = _wait_on_ray(asked)
    return [_of_ray(one) if is_there else _not_done("Ray's head is gone") for one in asked]


def _wait_on_ray(asked: Sequence[object]) -> bool:
    """Wait for all of them; False when Ray's head goes away meanwhile."""
    import ray

    head = ray.get_runtime_context().gcs_address
    last_seen = time.monotonic()
    waiting = list(asked)
    while waiting:
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=ASKED_EVERY_S)
        try:
            _require_listener(head)
            last_seen = time.monotonic()
        except OSError:
            if time.monotonic() - last_seen > GONE_S:
                return False
    return True


def _of_ray(asked: Any) -> JobReturn:
    import ray
    from ray.exceptions import RayError

    try:
        returned: JobReturn = ray.get(asked)
    except RayError as error:  # the worker, its node, or its memory
        what = KILLED if type(error).__name__ == "WorkerCrashedError" else type(error).__name__
        return _not_done(what)
    return returned


def _submitted(launcher: Any, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """All of them as one array of Slurm's; on this machine so many at once as there are cores for."""
    from hydra.core.singleton import Singleton

    executor = executor_of(launcher)
    state = Singleton.get_state()
    asked = [
        (list(overrides), "hydra.sweep.dir", number, str(number), state)
        for number, overrides in enumerate(jobs, first)
    ]
    if executor.cluster == "slurm":
        return _results(executor.map_array(launcher, *zip(*asked, strict=True)))
    cpus = int(launcher.params["cpus_per_task"] or 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(cpus))  # they inherit it
    some = max(1, len(os.sched_getaffinity(0)) // cpus)
    # what submitit starts beside each job would answer Ctrl-C with a traceback in the terminal
    logs = executor.folder.with_name("submitit.log")
    returned = []
    for start in range(0, len(asked), some):
        batch = asked[start : start + some]
        with errors_into(logs):
            submitted = [executor.submit(launcher, *each) for each in batch]
        returned += _results(submitted)
    return returned


def executor_of(launcher: Any) -> submitit.AutoExecutor:
    """What submits jobs with a launcher's settings.

    Raises:
        UserError: this machine has no Slurm.
    """
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    params: Mapping[str, Any] = launcher.params
    cluster = launcher._EXECUTOR
    tries = {f"{cluster}_{MOST_TIMEOUTS}": params.get(MOST_TIMEOUTS, 0)}
    try:
        folder = params["submitit_folder"]
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **tries)
    except RuntimeError as error:
        raise UserError(
            f"hydra/launcher=submitit_{cluster}: this machine has no srun; start the sweep where "
            "Slurm's commands are"
        ) from error
    common = BaseQueueConf.__dataclass_fields__
    executor.update_parameters(
        **{
            name if name in common else f"{cluster}_{name}": value
            for name, value in params.items()
            if name not in ("submitit_folder", MOST_TIMEOUTS) and value is not None
        }
    )
    return executor


def _results(submitted: Sequence[submitit.Job[JobReturn]]) -> list[JobReturn]:
    try:
        return [_of_submitit(job) for job in submitted]
    except BaseException:  # Ctrl-C: nothing goes on without the sweep
        for job in submitted:
            job.cancel(check=False)
        raise


def _of_submitit(job: submitit.Job[JobReturn]) -> JobReturn:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return job.results()[0]
    except (UncompletedJobError, FailedJobError):
        return _not_done(f"{KILLED} ({job.state}); its log: {_shown(job.paths.stderr)}")


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
