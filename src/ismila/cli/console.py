"""The names that train.py still asks for; goes when train.py asks `border` and `training`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ismila.cli.border import call_hydra as guarded
from ismila.cli.border import past_hydra as told
from ismila.cli.progress import progress
from ismila.cli.terminal import leave
from ismila.cli.training import choose_root, print_run
from ismila.cli.training import print_album as say_album
from ismila.cli.training import print_sweep as say_sweep

if TYPE_CHECKING:
    from ismila.learning.training import Trained

__all__ = [
    "choose_root",
    "flat",
    "guarded",
    "leave",
    "progress",
    "say_album",
    "say_run",
    "say_sweep",
    "told",
]


def say_run(trained: Trained, figures: dict[str, float], *rest: Any) -> None:
    """`print_run` as train.py calls it."""
    _run_id, _subject, sentence, champion = rest
    print_run(trained, sentence, figures["train_seconds"], champion)


def flat(settings: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings -> `{"model.lr": 0.001, ...}`."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        out |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return out
