"""Sweeps on Ray and on submitit: real workers, which are killed; a sweep goes on without them."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import CONF, SMALL, call, processes_with
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from loopback import free_port
from omegaconf import OmegaConf, open_dict

from ismila.cli import launching
from ismila.cli.launching import (
    chdir_to_sweep_root,
    executor_of,
    job_overrides,
    parallel_jobs,
    require_launcher,
)
from ismila.photos import UserError
from ismila.runs import SWEEP
from ismila.settings import register

pytestmark = pytest.mark.slow


OPEN = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
"""No token, which Ray would keep in the home of whoever runs the tests; its workers do not wait for other tests."""


class Cluster:
    """Ray with two workers, as `ray start` makes it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray"))  # its sockets' names must be short
        self.address = f"127.0.0.1:{free_port()}"
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=2"),
            f"--port={self.address.rpartition(':')[2]}",
            f"--dashboard-agent-listen-port={free_port()}",
            "--include-dashboard=false",
            "--object-store-memory=80000000",
            "--node-ip-address=127.0.0.1",
            f"--temp-dir={self.folder}",
        ]
        env = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "ISMILA_TEST_RAY": str(self.folder)}
        env |= OPEN
        said = subprocess.run(
            command, env=env, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stdout + said.stderr

    def processes(self, *names: bytes) -> list[int]:
        """Those of the cluster whose program has one of the names; all where none is given."""
        return processes_with(f"ISMILA_TEST_RAY={self.folder}", *names)

    def kill(self, *names: bytes) -> None:
        for process in self.processes(*names):
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    running = Cluster()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OPEN.items():
            patch.setenv(name, value)
        yield running
    running.kill()
    shutil.rmtree(running.folder, ignore_errors=True)


def sweep(folder, *words):
    return call(folder, "ismila.train", "-m", *SMALL, *words)


def runs_of(folder):
    """Status, process and seed of each job's run, the oldest first."""
    asked = (
        "SELECT status, process.value, seed.value FROM runs JOIN tags process USING (run_uuid) "
        "JOIN params seed USING (run_uuid) WHERE process.key = 'process' AND seed.key = 'seed' "
        "ORDER BY start_time"
    )
    with closing(sqlite3.connect(f"file:{folder}/mlruns/mlflow.db?mode=ro", uri=True)) as db:
        return db.execute(asked).fetchall()


def jobs_of(folder):
    """The runs of jobs that go on, none where there is no store yet."""
    with suppress(sqlite3.Error):
        return [run for run in runs_of(folder) if run[0] == "RUNNING"]
    return []


def kill_a_worker(folder, killed):
    """The first that is at a job."""
    while not killed:
        time.sleep(0.02)
        killed += jobs_of(folder)
    os.kill(int(killed[0][1].split("-")[0]), signal.SIGKILL)


def killed_in(folder, *words):
    """What a sweep says one of whose workers is killed, and the seed that it was at."""
    killed = []
    killer = threading.Thread(target=kill_a_worker, args=(folder, killed), daemon=True)
    killer.start()
    said = sweep(folder, *words)
    killer.join(1)
    return said, killed[0][2]


def is_completed(folder, *words):
    """The same command does what was not done, here, in this process."""
    said = sweep(folder, *words)
    assert said.returncode == 0, said.stderr
    done = [seed for status, _, seed in runs_of(folder) if status == "FINISHED"]
    return sorted(done) == sorted(set(done))


def test_a_job_whose_worker_on_ray_was_killed_is_named_and_the_others_go_on(
    cluster, enough, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    words = ["seed=0,1", f"data.root={enough}", "sweep.name=night"]
    ray = [f"hydra.launcher.ray.init.address={cluster.address}", "hydra/launcher=ray"]
    said, seed = killed_in(tmp_path, *words, *ray, "hydra.launcher.ray.remote.max_retries=0")
    assert said.returncode == 1
    *_, not_done, error = said.stderr.splitlines()
    assert not_done == f"not done: seed={seed}: a worker process was killed"
    assert error.startswith("error: 1 of 2 jobs failed")
    assert "Traceback" not in said.stderr
    runs = runs_of(tmp_path)
    assert len({process for _, process, _ in runs}) == 2
    assert str(os.getpid()) not in {process.split("-")[0] for _, process, _ in runs}
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns"}
    assert is_completed(tmp_path, *words)


def test_a_job_whose_submitted_process_was_killed_is_named_and_the_others_go_on(enough, tmp_path):
    words = ["seed=0,1", f"data.root={enough}", "sweep.name=night"]
    said, seed = killed_in(tmp_path, *words, "hydra/launcher=submitit_local")
    assert said.returncode == 1
    *_, not_done, error = said.stderr.splitlines()
    assert not_done.startswith(f"not done: seed={seed}: a worker process was killed (")
    log = not_done.rpartition("its log: ")[2]
    assert log.startswith("mlruns/.submitit/")
    assert (tmp_path / log).is_file()
    assert error.startswith("error: 1 of 2 jobs failed")
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns"}
    assert is_completed(tmp_path, *words)


def test_ctrl_c_ends_submitted_jobs_with_a_line(enough, tmp_path):
    words = [f"data.root={enough}", "seed=0,1", "hydra/launcher=submitit_local"]
    stopped = subprocess.Popen(
        [sys.executable, "-m", "ismila.train", "-m", *SMALL, *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not jobs_of(tmp_path):
        time.sleep(0.1)
        assert stopped.poll() is None
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal sends it, to all of them
    said = stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 130
    assert "Traceback" not in said
    assert "the same command goes on" in said.splitlines()[-1]


def launcher_of(*words):
    """The launcher that Hydra makes of a command line in /shared/pets, and the config it is made of."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", list(words), return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.cwd = "/shared/pets"
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=None, task_function=None, config=config
    )
    return launcher, config


def test_what_is_submitted_to_slurm_asks_for_cores_memory_and_as_many_threads(
    tmp_path, monkeypatch
):
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    slurm = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=night"]
    launcher, config = launcher_of(*slurm, f"hydra.sweep.dir={tmp_path}/mlruns")
    assert parallel_jobs(config) == 32
    executor = executor_of(launcher)._executor
    batch = executor._make_submission_file_text("work", "0")
    for line in ("cpus-per-task=2", "mem=4GB", "time=240", "partition=night", "job-name=ismila"):
        assert f"#SBATCH --{line}\n" in batch
    assert "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK\n" in batch
    assert f"#SBATCH --output={tmp_path}/mlruns/.submitit/%j/" in batch
    assert "gpus" not in batch


def test_without_slurm_that_is_said():
    launcher, _ = launcher_of("hydra/launcher=submitit_slurm")
    with pytest.raises(UserError, match="hydra/launcher=submitit_slurm: this machine has no srun"):
        executor_of(launcher)


def test_a_launcher_that_is_not_installed_is_said():
    config = OmegaConf.create(
        {
            "hydra": {
                "launcher": {"_target_": "hydra_plugins.hydra_moon_launcher.Moon"},
                "runtime": {"choices": {"hydra/launcher": "moon"}},
            }
        }
    )
    with pytest.raises(UserError, match=r"hydra/launcher=moon: needs .*ismila\[cluster\]"):
        require_launcher(config)


def test_no_cluster_at_an_address_is_said(enough, tmp_path, recwarn):
    address = f"127.0.0.1:{free_port()}"
    ray = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
    said = sweep(tmp_path, "seed=0,1", f"data.root={enough}", *ray)
    assert said.returncode == 1
    assert f"address={address}: no cluster" in said.stderr.splitlines()[-1]
    to_programmers = [one for one in recwarn if "ConfigStore" in str(one.message)]
    assert not to_programmers


def test_a_job_is_told_where_it_belongs():
    told = job_overrides("abc")
    assert f"+hydra.job.env_set.{SWEEP}='abc'" in told
    assert f"+hydra.job.env_set.ISMILA_SWEEP_HOST='{socket.gethostname()}'" in told


def test_a_job_that_cannot_go_where_the_sweep_was_started_says_so(monkeypatch, tmp_path):

    _, config = launcher_of()
    HydraConfig.instance().set_config(config)
    monkeypatch.setenv(SWEEP, "abc")
    with pytest.raises(UserError, match="/shared/pets: the sweep was started there"):
        chdir_to_sweep_root()


def test_a_head_of_rays_that_is_killed_ends_the_sweep_which_can_be_completed(
    cluster, enough, tmp_path, monkeypatch
):
    """The last of this file: the cluster is gone after it."""
    monkeypatch.setattr(launching, "GONE_S", 1.0)
    words = ["seed=0,1", f"data.root={enough}"]

    def kill_the_head():
        while not cluster.processes(b"ray::_run_job"):
            time.sleep(0.05)
        cluster.kill(b"/gcs_server", b"/raylet")

    threading.Thread(target=kill_the_head, daemon=True).start()
    ray = [f"hydra.launcher.ray.init.address={cluster.address}", "hydra/launcher=ray"]
    said = sweep(tmp_path, *words, *ray)
    assert said.returncode == 1
    assert "Ray's head is gone" in said.stderr
    assert said.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in said.stderr
    assert is_completed(tmp_path, *words)
