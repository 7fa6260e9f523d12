"""The demo album on disk: photos that are drawings, so that a fresh checkout has something to learn from.

One particular dog, things, and other animals, in the same places and the same light.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ismila.demo.shots import Drawing, Shot, draw_shot, plan_album
from ismila.photos import UserError
from ismila.photos.album import DERIVED
from ismila.photos.cores import cores
from ismila.photos.images import readable_formats

if TYPE_CHECKING:
    from ismila.photos.progress import Progress

HOME = Path("data/demo")
"""Mila's demo album; another subject's lies beside it."""
BROKEN = {
    "{subject}/broken_truncated.jpg": "half",
    "not_{subject}/broken_empty.jpg": "nothing",
    "not_{subject}/broken_text.jpg": "text",
    "pets/cat/broken_truncated.jpg": "half",
    "pets/dog/broken_empty.jpg": "nothing",
}
"""Files that are no photos -> what is wrong with them."""
MARKER = ".drawn.json"
OUTLINES = ".outlines"
LOCK = ".drawing.lock"


@dataclass(frozen=True)
class Marker:
    """What `.drawn.json` says of the album it lies in."""

    drawings: int
    subject: str
    seed: int
    what: str = "a demo album: drawings"


def demo_root(subject: str) -> Path:
    """Where a subject's demo album lies: `data/demo` for mila, `data/demo-SUBJECT` for others.

    Where `data/demo` holds something else, mila's lies in `data/demo-mila`.
    """
    own = HOME.with_name(f"{HOME.name}-{subject}")
    if subject != "mila":
        return own
    marker = read_marker(HOME)
    is_hers = marker is not None and marker.subject == subject
    return HOME if is_hers or _is_free(HOME) else own


def read_marker(root: Path) -> Marker | None:
    """What is known of the demo album at `root`; None when there is none."""
    try:
        return Marker(**json.loads((root / MARKER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def draw_album(
    root: Path,
    subject: str = "mila",
    seed: int = 0,
    progress: Progress | None = None,
    share: float = 1.0,
) -> int:
    """Draw the demo album into `root`; an album that was drawn there before stays as it is.

    The album is drawn aside and moved into place when it is whole; who comes meanwhile waits. Besides the
    drawings, with EXIF times, it has a few broken files, and the subject's outlines: 1-bit masks, and
    `outlines.csv` that names them (path, x0, y0, x1, y1, mask).

    Args:
        root: folder that does not exist yet, or holds nothing but derived files.
        progress: wraps the drawings as they are made, given how many there will be and a title.
        share: in (0, 1], how much of the album; at least one drawing of each kind.

    Returns:
        How many drawings the album holds, without the broken files.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    root = root.resolve()
    if marker := _require_demo_or_free(root, subject):
        return marker.drawings
    aside = root.with_name(f".{root.name}.part")
    try:
        aside.mkdir(parents=True, exist_ok=True)
        with FileLock(aside / LOCK):
            if marker := _require_demo_or_free(root, subject):  # another process drew it meanwhile
                return marker.drawings
            _remove_leftovers(aside)
            shots = list(plan_album(subject, seed, share))
            _write_album(aside, shots, Marker(len(shots), subject, seed), progress)
            _move_into_place(aside, root)
    except OSError as error:
        # Who waits for the lock while the album is moved finds its folder gone, but the album there.
        if marker := _require_demo_or_free(root, subject):
            return marker.drawings
        raise UserError(f"{root}: {error.strerror}; give a folder that can be written") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return len(shots)


def _require_demo_or_free(root: Path, subject: str) -> Marker | None:
    """The subject's album at `root`, None when one may be drawn there. Raises UserError otherwise."""
    marker = read_marker(root)
    if marker is None and not _is_free(root):
        raise UserError(
            f"{root}: holds something that is no demo album; give a folder that is empty or missing"
        )
    if marker is not None and marker.subject != subject:
        raise UserError(
            f"{root}: holds drawings of {marker.subject}, not {subject}; give another folder"
        )
    return marker


def _is_free(root: Path) -> bool:
    """Nothing is there but what can be made again."""
    if not root.exists():
        return True
    return root.is_dir() and all(path.name == DERIVED for path in root.iterdir())


def _remove_leftovers(aside: Path) -> None:
    """Remove what a killed drawing left; the caller holds the lock, which lies there, too."""
    for path in aside.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _move_into_place(aside: Path, root: Path) -> None:
    (aside / LOCK).unlink()
    if (root / DERIVED).exists():  # a folder is renamed onto an empty one only
        (root / DERIVED).rename(aside / DERIVED)
    aside.replace(root)


def _write_album(
    folder: Path, shots: list[Shot], marker: Marker, progress: Progress | None
) -> None:
    (folder / OUTLINES).mkdir()
    for parent in {(folder / shot.path).parent for shot in shots}:
        parent.mkdir(parents=True, exist_ok=True)
    outlines: list[list[object]] = [["path", "x0", "y0", "x1", "y1", "mask"]]
    readable_formats()  # Pillow's plug-ins: threads import nothing
    with ThreadPoolExecutor(max_workers=min(cores(), 8)) as pool:
        drawn: Iterable[tuple[Shot, Drawing]] = zip(
            shots, pool.map(lambda shot: draw_shot(shot, marker.seed), shots), strict=True
        )
        if progress:
            drawn = progress(drawn, len(shots), "Drawing the demo album")
        for shot, drawing in drawn:
            (folder / shot.path).write_bytes(drawing.jpeg)
            if drawing.outline is not None:
                mask = f"{OUTLINES}/{Path(shot.path).stem}.png"
                drawing.outline.save(folder / mask, bits=1, optimize=True)
                outlines.append([shot.path, *(drawing.outline.getbbox() or (0, 0, 0, 0)), mask])
    with (folder / "outlines.csv").open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(outlines)
    _write_broken(folder, (folder / shots[0].path).read_bytes(), marker.subject)
    (folder / MARKER).write_text(json.dumps(asdict(marker)) + "\n", encoding="utf-8")


def _write_broken(folder: Path, whole: bytes, subject: str) -> None:
    """What every real album has, too: files that are cut off, empty, or no photos at all."""
    for path, fault in BROKEN.items():
        contents = {
            "half": whole[: len(whole) // 2] + path.encode(),  # no two files with the same content
            "nothing": b"",
            "text": b"This is a text, not a drawing.\n",
        }
        broken = folder / path.format(subject=subject)
        broken.parent.mkdir(parents=True, exist_ok=True)
        broken.write_bytes(contents[fault])
