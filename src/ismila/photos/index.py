"""Rows and what their files hold -> groups and problems: the index, a row a photo.

Pure functions of the photos' contents and names and of what people said of them. Nothing here knows what
the index was before, so that whatever is derived can be deleted without changing any result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.photos import UserError
from ismila.photos.images import (
    PhotoError,
    open_photo,
    read_header,
    readable_formats,
    why_not_opened,
)
from ismila.photos.labels import LabelledPhoto
from ismila.photos.names import NOT, counted, named_problems
from ismila.photos.taken import burst_in_name, time_in_name

NEAR_DUPLICATE_BITS = 6
"""Perceptual hashes (64 bits) that differ in at most this many bits belong to near-duplicates."""
OCCASION_MINUTES = 120.0
"""Photos taken at most this many minutes after one another are of one occasion; docs/occasions.md says why."""
BURST_S = 10
"""Photos taken at most this many seconds after one another are of one occasion, whatever the day."""
DAY_BEGINS_H = 4
"""An occasion ends when most sleep: else a camera that takes photos day and night would know only one."""
FEWEST_OF_STOPPED_CLOCK = 3
"""So many photos that all state the same full hour were taken by a clock that stood still, or state a date."""
MOST_A_SECOND = 30
"""No camera that people have takes more: so many photos of one second state the time of something else."""
MIN_PHOTOS = 3
"""Of the subject and of things: with fewer there is nothing to train on and to hold out."""
MIN_GROUPS = 2
"""Of the subject and of things: what is held out must be of another occasion than what trains."""
COLUMNS = [
    "path",
    "sha256",
    "label",
    "kind",
    "closeup",
    "box",
    "width_px",
    "height_px",
    "taken_at",
    "time_problem",
    "phash",
    "group",
    "subject_share",
    "problem",
]
_TEXTS = ("path", "sha256", "label", "kind", "box", "time_problem", "phash", "group", "problem")
_NO_LABEL = (
    "no label: not in a folder that gives one (the subject's, not_..., pets/KIND, another pet's), "
    "nor in labels.csv"
)
T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """What one file holds, whatever anybody says of it.

    Attributes:
        sha256: empty when the file could not be read.
        width_px, height_px: upright.
        taken: when, as ISO 8601, with a zone where that is known; empty when unknown.
        phash: perceptual hash, 16 hex digits.
        damage: why it cannot be used, empty when it can.
        time_unread: what stands there for a time and cannot be read.
    """

    sha256: str = ""
    width_px: int = 0
    height_px: int = 0
    taken: str = ""
    phash: str = ""
    damage: str = ""
    time_unread: str = ""


def read_facts(path: Path) -> Facts:
    """Read a file's facts; whatever is wrong with it stands in `damage`."""
    sha256 = ""
    try:
        if not path.is_file():
            raise PhotoError(why_not_opened(path))
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if not content:
            raise PhotoError("empty file")
        return _facts_of(content, sha256)
    except PhotoError as error:
        return Facts(sha256, damage=str(error))
    except PermissionError:
        return Facts(damage="may not be read: permission denied")
    except OSError as error:
        return Facts(damage=f"cannot be read: {error.strerror}")


def import_readers() -> None:
    """Import what `read_facts` does, for who calls it in threads, which import nothing (docs/design.md, "Threads")."""
    import imagehash  # noqa: F401
    import scipy.fftpack  # noqa: F401  by imagehash, when it is asked first

    readable_formats()


def _facts_of(content: bytes, sha256: str) -> Facts:
    import imagehash

    header = read_header(content)
    phash = str(imagehash.phash(open_photo(content, 64)))
    taken = header.taken
    sides_px = (header.width_px, header.height_px)
    return Facts(sha256, *sides_px, taken.when, phash, time_unread=taken.unread)


def make_index(
    rows: Sequence[LabelledPhoto],
    facts: Mapping[str, Facts],
    records: pd.DataFrame,
    occasion_minutes: float | None = OCCASION_MINUTES,
) -> pd.DataFrame:
    """The index, a row a photo, sorted by path.

    Columns: `path, sha256, label (subject, things, pets), kind, closeup and box (what labels.csv says),
    width_px, height_px, taken_at (as the camera's clock showed it), time_problem (what stands in a file for a
    time and is none), phash, group (empty for a photo with a problem), subject_share (unknown here, NaN),
    problem`.

    Args:
        facts: by path, of the rows without a problem.
        records: what was fetched from Flickr: `id, path, taken_at` and, where it is known,
            `sha256`.
        occasion_minutes: photos taken at most so long after one another are of one occasion; None: times do not
            count, since they are wrong.
    """
    read = [facts.get(row.path, Facts()) for row in rows]
    table = pd.DataFrame(
        {
            **{name: _values(rows, name) for name in ("path", "label", "kind", "box", "dropped")},
            **{name: _values(read, name) for name in ("sha256", "phash", "damage", "time_unread")},
            "row_problem": _values(rows, "problem"),
        },
        dtype=object,
    )
    table["closeup"] = pd.Series(_values(rows, "closeup"), dtype="boolean")
    for name in ("width_px", "height_px"):
        table[name] = np.asarray(_values(read, name), dtype=np.int32)
    stated = [_time(fact.taken) for fact in read]
    table["ahead_s"] = [_ahead_s(when) for when in stated]
    table["stated"] = _clock_times(stated).fillna(_taken_on_flickr(table, records))
    table["in_name"] = _clock_times([_time(time_in_name(row.path)) for row in rows])
    table = table.sort_values("path", ignore_index=True)
    table["problem"] = _problems(table)
    stopped = _clock_stopped(table)
    table["taken_at"] = table["stated"].mask(stopped).fillna(table["in_name"])
    table["time_problem"] = _time_problems(table, stopped)
    table["closeup"] = _of_any_copy(table, "closeup").astype("boolean")
    table["box"] = _of_any_copy(table, "box").fillna("")
    table["group"] = _groups(table, occasion_minutes)
    table["subject_share"] = np.nan
    return table[COLUMNS].astype(dict.fromkeys(_TEXTS, str))


def usable(index: pd.DataFrame) -> pd.DataFrame:
    """The rows that take part: no problem."""
    return index[index["problem"] == ""].reset_index(drop=True)


def require_both_labels(
    index: pd.DataFrame, root: Path, subject: str, with_things: bool = True
) -> None:
    """Raise UserError unless there are enough photos with and without the subject.

    Args:
        with_things: photos without the subject are needed; the variant has none of elsewhere.
    """
    rows = usable(index)
    folders = {"subject": root / subject, "things": root / f"{NOT}{subject}"}
    if len(rows) == 0:
        raise UserError(
            f"data.root={root}: no photo that can be used; "
            f"put photos into {folders['subject']} and {folders['things']}"
        )
    needed = {"subject": f"of {subject}"}
    if with_things:
        needed["things"] = f"without {subject}"
    for label, what in needed.items():
        remedy = ", or take data=strangers" if label == "things" else ""
        groups = rows.loc[rows["label"] == label, "group"]
        if len(groups) < MIN_PHOTOS:
            raise UserError(
                f"data.root={root}: {counted(len(groups), 'usable photo')} {what}; "
                f"put at least {MIN_PHOTOS} into {folders[label]}{remedy}"
            )
        if groups.nunique() < MIN_GROUPS:
            raise UserError(
                f"data.root={root}: all {len(groups)} photos {what} are of one occasion or nearly "
                "the same, so that none can be held out; "
                f"put photos of other occasions into {folders[label]}{remedy}. If they are of several, "
                "give a smaller data.occasion_minutes, or null where their times are wrong"
            )


def time_problems(index: pd.DataFrame) -> str:
    """How many photos state a time that is none, with a few of them, in a line; empty where none does."""
    rows = usable(index)
    wrong = rows[rows["time_problem"] != ""]
    if len(wrong) == 0:
        return ""
    named = named_problems(dict(zip(wrong["path"], wrong["time_problem"], strict=True)))
    photos = counted(len(wrong), "photo")
    return f"{photos}: time could not be read, or is none of a photo's ({named})"


def album_digest(index: pd.DataFrame) -> str:
    """16 hex digits that name all of an album that a run's result rests on.

    That is which photos there are, what they show, which of them stand on one side of every split, and how much of
    them the subject fills.

    Args:
        index: with `subject_share`; of the photos that train, so that it names no others.
    """
    rows = usable(index).sort_values("sha256")
    lines = [
        f"{row.sha256} {row.label} {row.kind} {row.closeup} {row.box} {row.group} {_share(row)}"
        for row in rows.itertuples()
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _share(row: Any) -> str:
    """To a thousandth: what two processors make of one photo differs by less."""
    return "" if pd.isna(row.subject_share) else f"{row.subject_share:.3f}"


def _values(items: Sequence[LabelledPhoto] | Sequence[Facts], name: str) -> list[object]:
    return [getattr(item, name) for item in items]


def _time(text: str) -> datetime | None:
    """None where there is none, or one that no calendar holds."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _clock_times(times: Sequence[datetime | None]) -> pd.Series:
    """As each camera's clock showed them."""
    shown = [when.replace(tzinfo=None) if when else None for when in times]
    return pd.Series(shown, dtype="datetime64[us]")


def _ahead_s(when: datetime | None) -> float:
    """How far a time's zone is ahead of Greenwich; NaN where it has none."""
    offset = when.utcoffset() if when else None
    return float("nan") if offset is None else offset.total_seconds()


def _clock_stopped(table: pd.DataFrame) -> pd.Series:
    """Whether a photo states the time of too many others: a default, or what a program set for them all."""
    stated = table["stated"].where(table["problem"] == "")
    n = stated.groupby(stated).transform("size")
    full_hour = stated == stated.dt.floor("h")
    too_many: pd.Series = (full_hour & (n >= FEWEST_OF_STOPPED_CLOCK)) | (n > MOST_A_SECOND)
    return too_many & _has_time(stated)


def _has_time(taken_at: pd.Series) -> pd.Series:
    """Midnight sharp is a date, no time."""
    has_time: pd.Series = taken_at.notna() & (taken_at != taken_at.dt.normalize())
    return has_time


def _time_problems(table: pd.DataFrame, stopped: pd.Series) -> pd.Series:
    """What a photo states in place of a time, where its name does not say either when it was taken."""
    shared = table["stated"].astype(str) + " is what too many photos say"
    problem = table["time_unread"].mask(stopped, shared).astype(object)
    return problem.where(table["taken_at"].isna(), "")


def _taken_on_flickr(table: pd.DataFrame, records: pd.DataFrame) -> pd.Series:
    """Flickr strips EXIF from its smaller sizes, but its listing says when a photo was taken.

    A fetched photo may have been moved or renamed since: it is known by its content where the
    listing has it, else by its path or by its name, which is its number on Flickr. A second copy of
    the same content was taken at the same time.
    """
    known = records.dropna(subset=["taken_at"])
    times = pd.to_datetime(known["taken_at"])
    stems = table["path"].map(lambda path: PurePosixPath(path).stem)
    taken = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us]")
    for name, keys in (("sha256", table["sha256"]), ("path", table["path"]), ("id", stems)):
        if name in known:
            by_key = dict(zip(known[name].astype(str), times, strict=True))
            taken = taken.fillna(keys.map(by_key).astype(taken.dtype))
    read = table["sha256"] != ""
    return taken.where(~read, taken.groupby(table["sha256"]).transform("min"))


def _problems(table: pd.DataFrame) -> pd.Series:
    problem = table["row_problem"].where(table["row_problem"] != "", table["damage"]).astype(str)
    dropped = table["dropped"].astype(bool)
    problem = problem.mask((problem == "") & dropped, "dropped in labels.csv")
    problem = problem.mask((problem == "") & (table["label"] == ""), _NO_LABEL)
    fine = table[problem == ""]
    for _, same in fine[fine.duplicated("sha256", keep=False)].groupby("sha256"):
        where = ", ".join(same["path"])
        if same["kind"].nunique() > 1 or same["label"].nunique() > 1:
            problem.loc[same.index] = f"same photo with different labels: {where}; {_SETTLE}"
        elif same["closeup"].nunique() > 1:
            problem.loc[same.index] = f"same photo, a closeup and none: {where}; {_SETTLE}"
        elif len(set(same["box"]) - {""}) > 1:
            problem.loc[same.index] = f"same photo with different boxes: {where}; {_SETTLE}"
        else:
            problem.loc[same.index[1:]] = f"same photo as {same['path'].iloc[0]}"
    return problem


_SETTLE = "settle it in labels.csv"


def _of_any_copy(table: pd.DataFrame, column: str) -> pd.Series:
    """What labels.csv says of any copy of a photo holds for the copy that takes part."""
    copies = (table["problem"] == "") | table["problem"].str.startswith("same photo as ")
    values = table[column].replace("", None) if column == "box" else table[column]
    stated = values[copies].groupby(table["sha256"]).first()
    return values.where(~copies, table["sha256"].map(stated))


def _groups(table: pd.DataFrame, occasion_minutes: float | None) -> pd.Series:
    """Occasions and near-duplicates, as connected components, each named by its smallest sha256.

    A function of the usable photos alone, of their contents and, for a burst or where those hold no time, of their
    names: a new photo changes the group it joins (those that it ties together) and no other.
    """
    rows = table[table["problem"] == ""].reset_index()
    pairs = [_near_duplicates(rows["phash"]), _same(rows["path"].map(burst_in_name))]
    if occasion_minutes is not None:
        pairs += [_one_occasion(rows, occasion_minutes), _in_other_zones(rows, occasion_minutes)]
    left, right = np.concatenate(pairs).T
    component = _components(len(rows), left, right)
    # in descending order, so that the smallest name of each component is the one that stays
    names = dict(
        sorted(zip(component.tolist(), rows["sha256"].str[:16], strict=True), reverse=True)
    )
    group = pd.Series([names[at] for at in component.tolist()], rows["index"], dtype=object)
    return group.reindex(table.index, fill_value="")


def _near_duplicates(phash: pd.Series) -> npt.NDArray[np.int64]:
    """`[P, 2]` positions; of those with the same hash each with the first alone.

    Hashes that differ in at most k bits are the same in one of k + 1 parts at least: only such are compared.
    """
    every = np.array([int(text, 16) for text in phash], dtype=np.uint64)
    hashes, first, which = np.unique(every, return_index=True, return_inverse=True)
    pairs = [np.stack([first[which], np.arange(len(every))], 1)]
    looked_at: list[np.uint64] = []
    for part in _parts(NEAR_DUPLICATE_BITS + 1):
        order = np.argsort(hashes & part)
        for near, far in _neighbours(hashes[order] & part):
            a, b = order[near], order[far]
            bits = hashes[a] ^ hashes[b]
            alike = np.bitwise_count(bits) <= NEAR_DUPLICATE_BITS
            for earlier in looked_at:  # had it been the same there, the pair would be known
                alike &= (bits & earlier) != 0
            pairs.append(np.stack([first[a[alike]], first[b[alike]]], 1))
        looked_at.append(part)
    return np.concatenate(pairs)


def _parts(n: int) -> list[np.uint64]:
    """64 bits in n parts of about as many: masks."""
    ends = [64 * at // n for at in range(n + 1)]
    return [np.uint64(2**high - 2**low) for low, high in pairwise(ends)]


def _neighbours(
    values: npt.NDArray[np.uint64],
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of positions in a sorted array that hold the same value, by their distance from each other."""
    near = np.arange(len(values))
    for apart in range(1, len(values)):
        near = near[near < len(values) - apart]
        near = near[values[near] == values[near + apart]]
        if not len(near):
            return
        yield near, near + apart


def _one_occasion(rows: pd.DataFrame, minutes: float) -> npt.NDArray[np.int64]:
    """`[P, 2]` positions of photos that follow one another within a day's occasion, or in a burst."""
    taken = rows["taken_at"]
    known = taken[_has_time(taken)].sort_values()
    apart_s = known.diff().dt.total_seconds()
    day = (known - pd.Timedelta(hours=DAY_BEGINS_H)).dt.normalize()
    same_day = day == day.shift()
    return _successive(known, ((apart_s <= minutes * 60) & same_day) | (apart_s <= BURST_S))


def _in_other_zones(rows: pd.DataFrame, minutes: float) -> npt.NDArray[np.int64]:
    """The same for photos that follow one another in truth, though their clocks show other hours."""
    of_file = _has_time(rows["taken_at"]) & (rows["taken_at"] == rows["stated"])
    ahead = pd.to_timedelta(rows["ahead_s"].where(of_file), unit="s")
    known = (rows["taken_at"] - ahead).dropna().sort_values()
    other_zone = ahead[known.index].diff() != pd.Timedelta(0)
    return _successive(known, other_zone & (known.diff().dt.total_seconds() <= minutes * 60))


def _successive(in_order: pd.Series, close: pd.Series) -> npt.NDArray[np.int64]:
    """Pairs of positions: each that is close to the one before it, with that one."""
    order = in_order.index.to_numpy(dtype=np.int64)
    at = np.flatnonzero(close.to_numpy(dtype=bool))
    return np.stack([order[at - 1], order[at]], 1)


def _same(names: pd.Series) -> npt.NDArray[np.int64]:
    """Pairs of positions: each of a name with the first of that name; an empty one is none."""
    at = pd.Series(names.index, names.index)[names != ""]
    first = at.groupby(names[names != ""]).transform("first")
    return np.stack([first.to_numpy(dtype=np.int64), at.to_numpy(dtype=np.int64)], 1)


def _components(
    n: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left)), (left, right)), shape=(n, n))
    labels: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels
