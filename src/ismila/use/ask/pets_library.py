"""A whole library asked about several pets in one pass: who is in which photo?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from ismila.photos.boxes import box_text
from ismila.photos.progress import Progress
from ismila.use.ask.judging import Scan, Scanned, judge_all, known_as
from ismila.use.ask.library import (
    LOOKED_UP,
    Library,
    NamedRow,
    Pending,
    StateRow,
    Version,
    version_of,
)
from ismila.use.ask.pets import PetPredictions, Pets, ViewsByDigest


@dataclass(frozen=True)
class PetsScan:
    """A library asked by a run of each pet.

    The state keeps what each run says by itself, as if it had been asked alone: a scan for one of the pets needs
    nothing new afterwards, and says the same as before. Where at most one run claims a photo (its probability reaches
    its own threshold), these rows say who is in it. Where several do, only the animals tell whether they mean different
    ones: the names that were given (`assign_names`) are kept beside the rows, for exactly these runs, and a photo
    without them is judged again.
    """

    library: Library
    pets: Pets

    @cached_property
    def _runs(self) -> str:
        """Names the runs that were asked together, in any order."""
        return " ".join(sorted(self.pets.runs.values()))

    def judge(self, progress: Progress | None = None) -> Scanned:
        """Judge what not all runs have judged; the cores decode while the backbones run.

        Raises:
            UserError: the state cannot be written.
        """
        return judge_all(self, progress)

    def scans(self) -> list[Scan]:
        """What is known of each pet, in the order in which they were asked for."""
        named = self.library.names(self._runs)
        there = [row for row in named.values() if self._is_now(row.path, row.version)]
        return [
            Scan(
                self.library,
                classifier,
                self.pets.runs[subject],
                {row.path for row in there if subject not in row.names},
            )
            for subject, classifier in self.pets.classifiers.items()
        ]

    def _is_now(self, path: str, version: Version) -> bool:
        return version_of(self.library.root / path) == version

    def read(self, path: Path) -> ViewsByDigest:
        """What the classifiers are asked about. Raises PhotoError."""
        return self.pets.read(path)

    def keep_broken(self, row: StateRow) -> None:
        """Keep why a photo could not be read, for each run."""
        for run in self.pets.runs.values():
            self.library.keep(run, [row])

    def judge_batch(self, batch: dict[str, ViewsByDigest], pending: dict[str, Pending]) -> int:
        """Answer for a batch, keep that, and empty the batch; returns how many it were."""
        answers = dict(zip(batch, self.pets.judge(list(batch.values())), strict=True))
        asked = {path: pending.pop(path) for path in batch}
        batch.clear()
        # first the names: a scan that is killed before the rows are kept judges the photos again
        self.library.keep_names(
            self._runs,
            [
                NamedRow(path, asked[path].version, together.names, asked[path].sha256)
                for path, together in answers.items()
                if _is_claimed_twice(together)
            ],
        )
        for subject, run in self.pets.runs.items():
            rows = [
                StateRow(
                    path,
                    asked[path].version,
                    together.subjects[subject].probability,
                    None,
                    asked[path].sha256,
                    _box_of(subject, together),
                )
                for path, together in answers.items()
            ]
            self.library.keep(run, rows)
        return len(answers)

    def not_judged(
        self, scanned: Scanned, pending: dict[str, Pending]
    ) -> Iterator[tuple[str, Path]]:
        """Path and file of what is new, changed or without names, all put into `pending`; counts the others in
        `scanned`."""
        library = self.library
        named = library.names(self._runs)
        paths = library.photos()
        while some := list(islice(paths, LOOKED_UP)):
            known = {subject: library.known(run, some) for subject, run in self.pets.runs.items()}
            for path in some:
                version = version_of(library.root / path)
                if version is None:
                    continue
                rows = {name: rows[path] for name, rows in known.items() if path in rows}
                if self._is_answered(rows, version, named.get(path)):
                    scanned.before += 1
                    scanned.broken += any(row.error is not None for row in rows.values())
                    continue
                pending[path] = Pending(version, self._known_as(rows, version, named.get(path)))
                yield path, library.root / path

    def _known_as(self, rows: dict[str, StateRow], version: Version, named: NamedRow | None) -> str:
        """See `known_as`: what all runs have judged, with names where several claim it."""
        before = next((row.version for row in rows.values()), version)
        is_whole = self._is_answered(rows, before, named)
        return known_as(version, list(rows.values())) if is_whole else ""

    def _is_answered(
        self, rows: dict[str, StateRow], version: Version, named: NamedRow | None
    ) -> bool:
        """Each run has judged this version of a photo, and it is known who is in it."""
        if len(rows) < len(self.pets.runs):
            return False
        if any(row.version != version for row in rows.values()):
            return False
        claims = [self._is_claimed(name, row.probability) for name, row in rows.items()]
        return sum(claims) < 2 or (named is not None and named.version == version)

    def _is_claimed(self, subject: str, probability: float | None) -> bool:
        threshold = self.pets.classifiers[subject].threshold
        return probability is not None and probability >= threshold


def _box_of(subject: str, together: PetPredictions) -> str:
    """Of the animal that got the name; empty where none did."""
    boxes = [animal.box for animal in together.animals if animal.name == subject]
    return box_text(boxes[0]) if boxes else ""


def _is_claimed_twice(together: PetPredictions) -> bool:
    claims = [one.probability >= one.threshold for one in together.subjects.values()]
    return sum(claims) > 1
