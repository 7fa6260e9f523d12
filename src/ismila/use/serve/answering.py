"""Who answers a request: the models of one pet or of several, asked together in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakValueDictionary

from ismila.photos import UserError
from ismila.use.ask.pets import Pets
from ismila.use.serve.models import Model, Models


@dataclass(frozen=True, eq=False)
class Answering:
    """Models that answer together.

    Attributes:
        models: by subject, at least one.
    """

    models: Mapping[str, Model]

    @cached_property
    def pets(self) -> Pets:
        """Their classifiers."""
        classifiers = {subject: model.classifier for subject, model in self.models.items()}
        return Pets(classifiers, self.runs)

    @property
    def runs(self) -> dict[str, str]:
        """Subject -> run id."""
        return {subject: model.run_id for subject, model in self.models.items()}

    @property
    def first(self) -> Model:
        """Of the subject that was named first."""
        return next(iter(self.models.values()))


class AllModels:
    """All that one server answers for; one pet is the case in which nobody else can be meant.

    Args:
        models: of each pet, in the order in which they were named; at least one.
    """

    def __init__(self, models: Sequence[Models]) -> None:
        self._of = {one.subject: one for one in models}
        self.default = Answering({subject: one.default for subject, one in self._of.items()})
        # requests under way that ask the same models share one object, and so a batch
        self._asked: WeakValueDictionary[tuple[str, ...], Answering] = WeakValueDictionary()

    @property
    def is_several(self) -> bool:
        """Answers are of several pets, even where a request asks one of them."""
        return len(self._of) > 1

    @property
    def takes_corrections(self) -> bool:
        """There is an album that a correction can be written into, of each pet."""
        return all(one.takes_corrections for one in self._of.values())

    def names(self) -> list[str]:
        """What `get` knows, each once: several pets' own names first, aliases, run ids."""
        own = list(self._of) if self.is_several else []
        return list(
            dict.fromkeys([*own, *(name for one in self._of.values() for name in one.names())])
        )

    def get(self, name: str) -> Answering:
        """Those that a name means: an alias each pet's run that bears it, a run id that run, a pet's name its own.

        Raises:
            KeyError: no model is called this.
        """
        if not name:
            return self.default
        if self.is_several and name in self._of:
            return self._shared({name: self._of[name].default})
        models: dict[str, Model] = {}
        for subject, one in self._of.items():
            with suppress(KeyError):
                models[subject] = one.get(name)
        if not models:
            raise KeyError(name)
        return self._shared(models)

    def _shared(self, models: Mapping[str, Model]) -> Answering:
        runs = tuple(model.run_id for model in models.values())
        if runs == tuple(self.default.runs.values()):
            return self.default
        return self._asked.setdefault(runs, Answering(models))

    def correct(self, content: bytes, label: str) -> str:
        """Write a photo's right label down, in the album of the pet that the label names.

        Returns:
            The photo's path in the album.

        Raises:
            UserError: no label that a photo can get here; the album cannot be written.
        """
        labels = [*self._of, *(f"not_{subject}" for subject in self._of), "pets/other"]
        if label not in (*labels, "drop"):
            raise UserError(f"label={label[:40]}: expected {', '.join(labels)} or drop")
        named = label.removeprefix("not_")
        return self._of[named if named in self._of else next(iter(self._of))].correct(
            content, label
        )
