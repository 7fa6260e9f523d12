"""What extras add to the core: places that name photos, verbs, options of verbs.

An extra is any installed package with an entry point in the group `ismila.extras`
(https://packaging.python.org/en/latest/specifications/entry-points/); our own in `ismila/extras`
come in the same way. What an extra offers is named as text and imported when it is used:
`ismila --help` must not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import argparse

GROUP = "ismila.extras"
"""Of the entry points by which extras are found."""


class Options(Protocol):
    """Options that an extra adds to a verb of the core; a module with these functions will do."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add them to the verb's parser, in a group of their own."""
        ...

    def call(self, args: argparse.Namespace) -> int | None:
        """Do what the verb does in the way that the options ask for; returns the exit code.

        None where they do not ask for another way: the verb goes on.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What an extra offers. Code is named as `package.module` or `package.module:name`.

    Attributes:
        sources: kind, as `ismila add --from` calls it -> what opens such a source
            (`photos.sources.opening.Opener`).
        verbs: modules with `add_parser`, as those of `ismila.cli` have it.
        options: verb -> modules of `Options`.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    verbs: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@cache
def extras() -> tuple[Extra, ...]:
    """Those that are installed, by name. One whose package was deleted offers nothing."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(point.load() for point in found if _is_there(point.module))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it lies in
        return False


def sources() -> dict[str, str]:
    """Kind -> what opens such a source, of all extras."""
    return {kind: where for extra in extras() for kind, where in extra.sources.items()}


def verbs() -> Iterator[Any]:
    """The modules of the extras' verbs."""
    return (resolve_name(name) for extra in extras() for name in extra.verbs)


def options_of(verb: str) -> Iterator[Options]:
    """What extras add to a verb of the core."""
    for extra in extras():
        yield from (resolve_name(name) for name in extra.options.get(verb, ()))
