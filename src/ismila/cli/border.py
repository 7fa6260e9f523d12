"""Hydra's border: what a person can put right becomes one line, our mistakes keep a traceback."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from ismila.cli.launching import chdir_to_sweep_root
from ismila.cli.overrides import misread
from ismila.cli.terminal import say
from ismila.photos import UserError
from ismila.runs import SWEEP

if TYPE_CHECKING:
    from omegaconf import DictConfig

    Story = Callable[[DictConfig], float]


class _PastHydra(BaseException):
    """A UserError on its way through Hydra, which adds lines of its own to every Exception."""


class JobError(Exception):
    """Why a job of a sweep failed, in a line: other exceptions may not travel between processes."""


def past_hydra(story: Story) -> Story:
    """Let a UserError pass Hydra in silence, for `call_hydra` to say; of a sweep's job, whatever
    it raises is for the sweep to say, which goes on."""

    @wraps(story)
    def run(config: DictConfig) -> float:
        try:
            chdir_to_sweep_root()
            return story(config)
        except Exception as error:
            if SWEEP in os.environ:
                raise _job_error(error) from None
            if isinstance(error, UserError):
                raise _PastHydra(str(error)) from error
            raise

    return run


def _job_error(error: Exception) -> JobError:
    from ismila.runs.record import in_a_line

    if not isinstance(error, UserError):  # a mistake of ours: shown at once
        traceback.print_exception(error)
    return JobError(in_a_line(error))


def call_hydra(entry: Callable[[], object], conf: Path) -> int:
    """Call a Hydra entry.

    Args:
        conf: the folder of configs, for the choices that an error lists.

    Returns:
        0; 1 after an error, in one line when a person can put it right and with its traceback
        otherwise; 130 after Ctrl-C.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if problem := misread(sys.argv[1:]):
        say(f"error: {problem}")
        return 1
    # that our configs of launchers are checked by the launchers' own schemas of the same name: as is meant
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing half a traceback
    try:
        entry()
    except (_PastHydra, UserError) as error:
        say(f"error: {error}")
        return 1
    except (HydraException, OmegaConfBaseException) as error:
        say(f"error: {_in_one_line(error, conf)}")
        return 1
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the cached rows")
        return 130
    except Exception:  # a mistake of ours: shown
        traceback.print_exc()
        return 1
    return 0


def _in_one_line(error: BaseException, conf: Path) -> str:
    # of a wrong value Hydra says only that it cannot be merged, and OmegaConf why
    text = ": ".join(_first_words(one) for one in (error, error.__cause__) if one)
    groups = sorted({file.parent for file in conf.glob("*/**/*.yaml")})
    choices = "; ".join(f"{group.relative_to(conf)}={_choices(group)}" for group in groups)
    return f"{text} (choices: {choices}; and subject=, seed=, data.root=, ...)"


def _first_words(error: BaseException) -> str:
    """Without the lines that only a programmer can use."""
    text = " ".join(str(error).split())
    return text.split(" To append to your")[0].split(" full_key:")[0]


def _choices(group: Path) -> str:
    return "|".join(sorted(path.stem for path in group.glob("*.yaml")))
