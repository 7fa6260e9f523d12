"""What extras add to the core: places that name photos, verbs, options of verbs.

An extra is any installed package with an entry point in the group `ismila.extras`
(https://packaging.python.org/en/latest/specifications/entry-points/); our own in `ismila/extras`
come in the same way. What an extra offers is named as text and imported when it is used:
`ismila --help` must not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

GROUP = "ismila.extras"
"""Of the entry points by which extras are found."""


class Destination(Protocol):
    """Where what a scan found is written, besides the files that it writes itself."""

    def write(self, scans: Sequence[Any]) -> bool:
        """Write what each scan found and say so; returns whether all could be written.

        Args:
            scans: of each subject (`use.ask.judging.Scan`).

        Raises:
            AwayError: the place says no, or does not answer.
        """
        ...


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

    def open_destination(self, args: argparse.Namespace) -> Destination | None:
        """What `scan` and `watch` write to, made sure of before anything slow; None where none was asked for.

        Raises:
            UserError: nothing can be written there.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What an extra offers. Code is named as `package.module` or `package.module:name`.

    Attributes:
        sources: kind, as `ismila add --from` calls it -> what opens a folder or file of that kind
            (`photos.sources.opening.Opener`).
        source_servers: kind -> what opens a server of that kind at an address, likewise.
        verbs: modules with `add_parser`, as those of `ismila.cli` have it.
        options: verb -> modules of `Options`.
        marked: tells which photos of a library a scan has given a name in another program: their
            paths, for the file of the scan's state and that name. Such a name may come back as a tag.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    source_servers: Mapping[str, str] = field(default_factory=dict)
    verbs: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marked: str = ""


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
    """Kind -> what opens a folder or file of it, of all extras."""
    return {kind: where for extra in extras() for kind, where in extra.sources.items()}


def source_servers() -> dict[str, str]:
    """Kind -> what opens a server of it, of all extras."""
    return {kind: where for extra in extras() for kind, where in extra.source_servers.items()}


def verbs() -> Iterator[Any]:
    """The modules of the extras' verbs."""
    return (resolve_name(name) for extra in extras() for name in extra.verbs)


def options_of(verb: str) -> Iterator[Options]:
    """What extras add to a verb of the core."""
    for extra in extras():
        yield from (resolve_name(name) for name in extra.options.get(verb, ()))


def destinations(verb: str, args: argparse.Namespace) -> list[Destination]:
    """Where the options of extras ask for results to be written."""
    opened = [options.open_destination(args) for options in options_of(verb)]
    return [destination for destination in opened if destination]


def marked_elsewhere(state: Path, name: str) -> set[str]:
    """Paths of the photos to which a scan has given this name in another program.

    Args:
        state: the file of the scan's state.
    """
    marks = (resolve_name(extra.marked) for extra in extras() if extra.marked)
    return {path for paths in marks for path in paths(state, name)}
