"""Rows + sha256, EXIF, perceptual hash, groups, problems -> index.parquet."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock
from PIL import Image

from ismila.photos import UserError
from ismila.photos.fetch import read_records
from ismila.photos.images import PhotoError, open_photo, write_aside
from ismila.photos.labels import read_album

NEAR_DUPLICATE_BITS = 6
"""Perceptual hashes (64 bits) that differ in at most this many bits belong to near-duplicates."""
BURST_S = 10
"""Photos taken at most this many seconds after one another belong to a burst."""

SEEN = [
    "sha256",
    "width_px",
    "height_px",
    "taken_at",
    "phash",
    "damage",
    "group",
    "added",
    "subject_share",
]
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def index_album(
    root: Path, subject: str, derived: Path, progress: Progress | None = None
) -> pd.DataFrame:
    """Bring `<derived>/index.parquet` up to date and return it; only new or changed photos are opened.

    Columns: `path, sha256, label (subject, things, pets), kind, width_px, height_px, taken_at, phash, group,
    subject_share, problem` as DESIGN.md has them, and `closeup` (what labels.csv says), `size_bytes, mtime_ns,
    damage` (to see what changed), `added` (number of the indexing that first saw the photo; folds use it).

    Raises:
        UserError: see `read_album`.
    """
    rows = read_album(root, subject)
    with FileLock(derived / "index.lock"):
        index = _with_files(root, pd.DataFrame([vars(row) for row in rows], columns=_row_columns()))
        known = read_index(derived)
        index = _carry_over(index, known)
        todo = index.index[index["sha256"].isna()]
        paths = [root / path for path in index.loc[todo, "path"]]
        with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as pool:
            scans: Iterable[dict[str, Any]] = pool.map(_scan, paths)
            if progress and len(paths) > 500:
                scans = progress(scans, len(paths), "Indexing photos")
            found = pd.DataFrame(list(scans), index=todo, columns=SEEN[:6], dtype=object)
        index.loc[todo, SEEN[:6]] = found
        index = _dates_from_flickr(index, root)
        index = _carry_groups(index, known, todo)
        index["problem"] = _problems(index)
        index = _group(index)
        index["taken_at"] = pd.to_datetime(index["taken_at"])
        write_index(index, derived)
    return index


def read_index(derived: Path) -> pd.DataFrame:
    """The index as it was last written; empty when there is none or it cannot be read (it can be made again)."""
    try:
        return pd.read_parquet(derived / "index.parquet")
    except Exception:
        return pd.DataFrame(columns=[*_row_columns(), *SEEN, "size_bytes", "mtime_ns"])


def write_index(index: pd.DataFrame, derived: Path) -> None:
    """Write index.parquet whole or not at all."""
    buffer = io.BytesIO()
    index.to_parquet(buffer, index=False)
    write_aside(derived / "index.parquet", buffer.getvalue())


def usable(index: pd.DataFrame) -> pd.DataFrame:
    """The rows that take part: no problem."""
    return index[index["problem"] == ""].reset_index(drop=True)


def require_both_labels(index: pd.DataFrame, root: Path, subject: str) -> None:
    """Raise UserError unless there are photos with the subject and photos without."""
    rows = usable(index)
    if len(rows) == 0:
        raise UserError(
            f"data.root={root}: no photo that can be used; put photos into {root}/{subject} and {root}/not_{subject}"
        )
    with_subject = int((rows["label"] == "subject").sum())
    if with_subject < 3:
        raise UserError(
            f"data.root={root}: {with_subject} usable photos of {subject}; put at least 3 into {root}/{subject}"
        )
    if int((rows["label"] == "things").sum()) < 3:
        raise UserError(
            f"data.root={root}: fewer than 3 usable photos without {subject}; put some into {root}/not_{subject}"
        )


def album_digest(index: pd.DataFrame) -> str:
    """16 hex digits that name exactly these photos with these labels."""
    rows = usable(index).sort_values("sha256")
    lines = [f"{row.sha256} {row.label} {row.kind} {row.closeup}" for row in rows.itertuples()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _row_columns() -> list[str]:
    return ["path", "label", "kind", "closeup", "dropped"]


def _with_files(root: Path, index: pd.DataFrame) -> pd.DataFrame:
    sizes, times = [], []
    for path in index["path"]:
        try:
            stat = (root / path).stat()
            sizes.append(stat.st_size)
            times.append(stat.st_mtime_ns)
        except OSError:
            sizes.append(-1)
            times.append(-1)
    index["closeup"] = index["closeup"].astype("boolean")
    index["size_bytes"] = np.asarray(sizes, dtype=np.int64)
    index["mtime_ns"] = np.asarray(times, dtype=np.int64)
    return index


def _carry_over(index: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    keys = ["path", "size_bytes", "mtime_ns"]
    before = known[known["damage"] != "may not be read: permission denied"]
    for key in keys[1:]:
        before = before.astype({key: np.int64})
    merged = index.merge(before[keys + SEEN], on=keys, how="left")
    return merged.astype(dict.fromkeys(SEEN, object))


def _carry_groups(index: pd.DataFrame, known: pd.DataFrame, todo: pd.Index) -> pd.DataFrame:
    """A photo that was moved or renamed is still the same photo: it keeps its group and its turn."""
    by_content = known.drop_duplicates("sha256").set_index("sha256")
    for name in ("group", "added", "subject_share"):
        index.loc[todo, name] = index.loc[todo, "sha256"].map(by_content[name].to_dict())
    turn = int(known["added"].max()) + 1 if len(known) and known["added"].notna().any() else 0
    index["added"] = index["added"].where(index["added"].notna(), turn).astype(np.int64)
    index["group"] = index["group"].where(index["group"].notna(), "").astype(str)
    index["subject_share"] = pd.to_numeric(index["subject_share"])
    for name in ("width_px", "height_px"):
        index[name] = pd.to_numeric(index[name]).fillna(0).astype(np.int32)
    return index


def _dates_from_flickr(index: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Flickr strips EXIF from its smaller sizes, but its listing says when a photo was taken."""
    records = read_records(root).dropna(subset=["taken_at"])
    dates = dict(zip(records["path"], records["taken_at"], strict=True))
    index["taken_at"] = index["taken_at"].where(index["taken_at"].notna(), index["path"].map(dates))
    return index


def _scan(path: Path) -> dict[str, Any]:
    import imagehash

    row: dict[str, Any] = {
        "sha256": "",
        "width_px": 0,
        "height_px": 0,
        "taken_at": None,
        "phash": "",
        "damage": "",
    }
    try:
        if not path.is_file():
            raise PhotoError("not a regular file")
        content = path.read_bytes()
        row["sha256"] = hashlib.sha256(content).hexdigest()
        if not content:
            raise PhotoError("empty file")
        photo = open_photo(content, 64)
        row["phash"] = str(imagehash.phash(photo))
        row.update(_facts(content))
    except PhotoError as error:
        row["damage"] = str(error)
    except PermissionError:
        row["damage"] = "may not be read: permission denied"
    except OSError as error:
        row["damage"] = f"cannot be read: {error.strerror}"
    return row


def _facts(content: bytes) -> dict[str, Any]:
    with Image.open(io.BytesIO(content)) as photo:
        width_px, height_px = photo.size
        try:
            exif = photo.getexif()
            taken = exif.get_ifd(0x8769).get(0x9003) or exif.get(0x0132)
            if exif.get(0x0112, 1) in (5, 6, 7, 8):
                width_px, height_px = height_px, width_px
        except Exception:
            taken = None
    taken_at = None
    with suppress(ValueError):
        taken_at = datetime.strptime(str(taken).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    return {"width_px": width_px, "height_px": height_px, "taken_at": taken_at}


def _problems(index: pd.DataFrame) -> pd.Series[str]:
    problem = index["damage"].fillna("").astype(str)
    problem = problem.mask(
        (problem == "") & (index["dropped"].fillna(False).astype(bool)), "dropped in labels.csv"
    )
    problem = problem.mask(
        (problem == "") & (index["label"] == ""),
        "no label: not in a folder that gives one, nor in labels.csv",
    )
    fine = index[problem == ""]
    for _, same in fine[fine.duplicated("sha256", keep=False)].groupby("sha256"):
        first = same.iloc[0]
        if same["kind"].nunique() > 1:
            where = ", ".join(same["path"])
            problem.loc[same.index] = (
                f"same photo with different labels: {where}; settle it in labels.csv"
            )
        else:
            problem.loc[same.index[1:]] = f"same photo as {first['path']}"
    return problem


def _group(index: pd.DataFrame) -> pd.DataFrame:
    """Give every usable photo without a group one; a photo that had one keeps it.

    New photos that resemble each other form a group; one that resembles photos of an earlier group joins it. A
    photo that resembles two earlier groups cannot join both without moving one of them to another fold, so it
    sits out, with the reason in `problem`.
    """
    index["group"] = index["group"].where(index["damage"] == "", "")
    rows = index.index[index["problem"] == ""].to_numpy()
    group = index.loc[rows, "group"].to_numpy(dtype=object)
    new = group == ""
    left, right = _alike(index.loc[rows])
    both = new[left] & new[right]
    component = _components(len(rows), left[both], right[both])
    shas = index.loc[rows, "sha256"].to_numpy(dtype=object)
    name: dict[int, str] = {}
    for i in np.flatnonzero(new):
        name[component[i]] = min(name.get(component[i], "~"), shas[i][:16])
    touched: dict[int, list[str]] = {}
    neighbours: dict[int, set[str]] = {}
    for a, b in (*zip(left, right, strict=True), *zip(right, left, strict=True)):
        if new[a] and not new[b]:
            touched.setdefault(component[a], []).append(group[b])
            neighbours.setdefault(int(a), set()).add(group[b])
    for c, groups in touched.items():
        name[c] = max(sorted(set(groups)), key=groups.count)
    for i in np.flatnonzero(new):
        group[i] = name[component[i]]
        if neighbours.get(int(i), set()) - {group[i]}:
            index.loc[rows[i], "problem"] = (
                "resembles photos of two groups that may lie in different folds"
            )
            group[i] = ""
    index.loc[rows, "group"] = group
    return index


def _alike(rows: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of positions whose photos are near-duplicates or of one burst."""
    hashes = np.array([int(h, 16) for h in rows["phash"]], dtype=np.uint64)
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), 512):  # blocks: memory grows with n, not with its square
        bits = np.bitwise_count(hashes[start : start + 512, None] ^ hashes[None, start:])
        a, b = np.nonzero(bits <= NEAR_DUPLICATE_BITS)
        pairs.append(np.stack([a, b], 1)[a < b] + start)
    taken = pd.to_datetime(rows["taken_at"]).reset_index(drop=True)
    known = taken[
        taken.notna() & (taken != taken.dt.normalize())
    ].sort_values()  # midnight sharp: a date, no time
    close = known.diff().dt.total_seconds() <= BURST_S
    order = known.index.to_numpy()
    at = np.flatnonzero(close.to_numpy())
    pairs.append(np.stack([order[at - 1], order[at]], 1).astype(np.int64))
    found = np.concatenate(pairs)
    return found[:, 0], found[:, 1]


def _components(
    n: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left)), (left, right)), shape=(n, n))
    labels: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels
