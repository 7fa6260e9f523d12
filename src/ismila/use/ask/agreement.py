"""What a run says of a library's photos against what the library itself says: who is in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ismila.evidence.intervals import Rate, rate_of
from ismila.photos.images import PhotoError, read_header
from ismila.photos.names import as_text
from ismila.photos.sources.opening import SourceOptions
from ismila.photos.sources.tagged import Tagged
from ismila.plugins import marked_elsewhere
from ismila.use.ask.judging import JudgedPhoto, Scan
from ismila.use.ask.library import sha256_of
from ismila.use.ask.sidecars import FULL, SHORT, OurWord, our_word, sidecar_of


@dataclass(frozen=True)
class Compared:
    """A photo about which the two do not agree.

    Attributes:
        path: below the library's root.
        tag: what the library says, in a few words; empty where it says nothing.
    """

    path: str
    probability: float
    tag: str = ""


@dataclass
class LabelAgreement:
    """What both say, each content once.

    Attributes:
        both, neither: how many photos are tagged and found, and how many are neither.
        missed: tagged but not found, the least likely first.
        untagged: found but not tagged, the likeliest first.
        in_training: left out, since the run was trained on them or its threshold chosen on them.
        ours: left out, since the tag is a scan's own.
        unread: left out, since they could not be read.
        occasions: of each photo that counts, by which of the four it is; one that is missing is an occasion of its own.
    """

    subject: str
    threshold: float
    both: int = 0
    neither: int = 0
    missed: list[Compared] = field(default_factory=list)
    untagged: list[Compared] = field(default_factory=list)
    in_training: int = 0
    ours: int = 0
    unread: int = 0
    occasions: dict[str, list[str]] = field(default_factory=dict)

    def rates(self) -> dict[str, Rate]:
        """In words -> how many of how many."""
        return {
            "they agree": self._rate(["both", "neither"], ["missed", "untagged"]),
            "tagged photos that are found": self._rate(["both"], ["missed"]),
            "untagged photos that are found": self._rate(["untagged"], ["neither"]),
            "found photos that are tagged": self._rate(["both"], ["untagged"]),
        }

    def _rate(self, hits: Sequence[str], others: Sequence[str]) -> Rate:
        counts = {"both": self.both, "neither": self.neither}
        counts |= {"missed": len(self.missed), "untagged": len(self.untagged)}
        is_hit = [sort in hits for sort in (*hits, *others) for _ in range(counts[sort])]
        occasions = []
        for sort in (*hits, *others):
            known = self.occasions.get(sort, [])
            alone = (f"{sort} {number}" for number in range(len(known), counts[sort]))
            occasions += [*known, *alone]
        return rate_of(is_hit, occasions)


@dataclass(frozen=True)
class Word:
    """What the library says of its photos.

    Attributes:
        tags: path below the root -> the tag that names the subject, as a person or another program wrote it.
        ours: photos whose tag is a scan's own.
    """

    tags: Mapping[str, str]
    ours: Collection[str]


def compare_library(
    scan: Scan, name: str, trained_on: Collection[str], wanted: SourceOptions
) -> LabelAgreement:
    """Compare what a judged library's tags say with what the run says.

    Args:
        name: the tag that stands for the subject, also with what stands above it, as `Pets/Mila`.
        trained_on: sha256 of the photos that the run has seen.
        wanted: how the tags are read.

    Raises:
        UserError: the library cannot be read.
    """
    word = library_word(scan, name, wanted)
    agreement = LabelAgreement(scan.classifier.subject, scan.classifier.threshold)
    contents = list(_each_content(scan, word))
    for sha256, judged, tag in wanted.progress(contents, len(contents), "Comparing"):
        if judged.probability is None:
            agreement.unread += 1
        elif sha256 in trained_on:
            agreement.in_training += 1
        elif judged.path in word.ours:
            agreement.ours += 1
        else:
            occasion = _occasion(scan.library.root / judged.path)
            _count(agreement, Compared(judged.path, judged.probability, as_text(tag)), occasion)
    agreement.missed.sort(key=lambda one: one.probability)
    agreement.untagged.sort(key=lambda one: -one.probability)
    return agreement


def library_word(scan: Scan, name: str, wanted: SourceOptions) -> Word:
    """What the library says, without what scans put there. Raises UserError."""
    root = scan.library.root
    subject = scan.classifier.subject
    source = Tagged("tags", str(root), wanted)
    tags = {
        photo.path.relative_to(root).as_posix(): photo.why
        for photo in source.photos(name)
        if photo.path and not photo.problem
    }
    # our mark lies in a side file; another program may have copied the keyword and left the mark out
    recorded = scan.library.written(subject)
    on_servers = marked_elsewhere(scan.library.state, name)
    ours = set()
    for path in scan.library.photos():
        marks = _our_words(root / path, subject)
        is_ours = path in recorded or any(mark.is_marked for mark in marks)
        # a scan writes the name as the run has it, and nothing above it: anything else is somebody's own
        is_own = path in tags and tags[path].partition(" ")[2] != subject
        stands = path in tags or any(mark.stands for mark in marks)
        if (is_ours and stands and not is_own) or (path in on_servers and path in tags):
            ours.add(path)
    return Word(tags, ours)


def _our_words(photo: Path, keyword: str) -> list[OurWord]:
    files = {sidecar_of(photo, FULL), sidecar_of(photo, SHORT)}
    return [our_word(file, keyword) for file in files if file.is_file()]


def _each_content(scan: Scan, word: Word) -> Iterator[tuple[str, JudgedPhoto, str]]:
    """sha256, what is said of a photo, and its tag; of several copies one, with a tag that any of them has."""
    first: dict[str, JudgedPhoto] = {}
    tags: dict[str, str] = {}
    for judged in scan.results():
        sha256 = judged.sha256 or sha256_of(scan.library.root / judged.path) or judged.path
        if sha256 not in first or judged.path in word.ours:
            first[sha256] = judged
        tags[sha256] = tags.get(sha256) or word.tags.get(judged.path, "")
    for sha256, judged in first.items():
        yield sha256, judged, tags[sha256]


def _count(agreement: LabelAgreement, photo: Compared, occasion: str) -> None:
    is_found = photo.probability >= agreement.threshold
    if bool(photo.tag) == is_found:
        agreement.both += is_found
        agreement.neither += not is_found
        sort = "both" if is_found else "neither"
    else:
        (agreement.untagged if is_found else agreement.missed).append(photo)
        sort = "untagged" if is_found else "missed"
    agreement.occasions.setdefault(sort, []).append(occasion)


def _occasion(photo: Path) -> str:
    """The day that a photo was taken on: a library has no groups. One without a time is an occasion of its own."""
    try:
        taken = read_header(photo).taken.when
    except PhotoError:  # gone since it was judged
        taken = ""
    return taken[:10] or str(photo)


def seen_by(predictions: pd.DataFrame) -> set[str]:
    """sha256 of the photos that a run was trained on, or its threshold chosen on."""
    is_seen = predictions["used"].astype(bool) | (predictions["held_out_by"] != "test")
    return set(predictions.loc[is_seen, "sha256"].astype(str))
