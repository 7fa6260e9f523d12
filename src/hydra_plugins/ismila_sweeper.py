"""What Hydra calls for a multirun: it only hands over to `ismila.cli.sweeping`.

Hydra takes sweepers from the package `hydra_plugins` and from nowhere else, and imports all of it
at each start: so nothing slow is imported here. It executes the module before `sys.modules` has it,
where dataclasses look for annotations that are words: so none is, no `from __future__`. The package
has no `__init__.py`, since other distributions (hydra-joblib-launcher) put their files into it, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class IsmilaSweeperConf:
    """`hydra.sweeper` of a training.

    Attributes:
        params: what is swept over unless the command line says otherwise, in Hydra's syntax.
        trials: so many trials of Optuna's in place of each combination; None for all combinations.
        seed: of Optuna's proposals.
        storage: where Optuna keeps its studies.
    """

    _target_: str = "hydra_plugins.ismila_sweeper.IsmilaSweeper"
    params: dict[str, str] | None = None
    trials: int | None = None
    seed: int = 0
    storage: str = "sqlite:///mlruns/optuna.db"


ConfigStore.instance().store(
    group="hydra/sweeper", name="ismila", node=IsmilaSweeperConf, provider="ismila"
)


class IsmilaSweeper(Sweeper):
    """All combinations of what is swept over, or Optuna's proposals."""

    config: DictConfig
    launcher: Launcher

    def __init__(
        self, params: Mapping[str, str] | None, trials: int | None, seed: int, storage: str
    ) -> None:
        self.params = params or {}
        self.trials = trials
        self.seed = seed
        self.storage = storage

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """What Hydra has composed, and the launcher that was chosen."""
        self.config = config
        self.loader = hydra_context.config_loader
        from ismila.cli.launching import require_launcher

        require_launcher(config)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the jobs.

        Args:
            arguments: the overrides of the command line, without Hydra's own.
        """
        from ismila.cli.launching import end_workers
        from ismila.cli.searching import Search, search
        from ismila.cli.sweeping import Multirun, sweep_all

        words = [*(f"{name}={value}" for name, value in self.params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self.loader)
        latest = {each.get_key_element(): each for each in parser.parse_overrides(words)}
        multirun = Multirun(
            overrides=tuple(latest.values()),
            config=self.config,
            compose=self.compose,
            launch=self.launch,
        )
        try:
            if self.trials is None:
                sweep_all(multirun)
            else:
                search(multirun, Search(self.trials, self.seed, self.storage))
        finally:
            end_workers(self.launcher)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job, as `train.run` gets it."""
        config = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            del config["hydra"]
        return config

    def launch(self, jobs: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Run jobs by the launcher that was chosen.

        Args:
            first: number of the first of them in the multirun.
        """
        from ismila.cli.launching import launch

        return launch(self.launcher, jobs, first)
