"""Which files below a folder are photos, by their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ismila.photos.skipping import Skipping

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".heic",
        ".heif",
        ".hif",
        ".avif",
        ".ppm",
        ".pgm",
    ]
)
OnError = Callable[[OSError], None]


def walk(
    root: Path,
    every_file: bool = False,
    on_error: OnError | None = None,
    skipping: Skipping | None = None,
) -> Iterator[str]:
    """Relative paths of files that look like photos, or of every file, that are not passed over.

    Follows links to folders, each folder once.

    Args:
        skipping: what is passed over, and where it is counted; by default what `Skipping` says.
        on_error: called for each folder that cannot be read (`error.filename`); the others follow.
            Without it such a folder is passed over.
    """
    skipping = skipping or Skipping(root)
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=on_error, followlinks=True):
        try:
            stat = Path(folder).stat()
        except OSError as error:  # gone, or closed to us, since its parent was listed
            folders.clear()
            if on_error:
                on_error(error)
            continue
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        below = f"{Path(folder).relative_to(root).as_posix()}/".removeprefix("./")
        kept = (name for name in folders if skipping.takes_folder(f"{below}{name}/"))
        folders[:] = sorted(kept)
        for name in sorted(files):
            is_photo = Path(name).suffix.lower() in SUFFIXES
            if (every_file or is_photo) and skipping.takes_file(below + name, is_photo):
                yield below + name


def has_photos(root: Path) -> bool:
    """Whether anything below `root` looks like a photo, or may hide one: hidden files are none."""
    unread: list[OSError] = []
    photo = next(walk(root, on_error=unread.append), None) if root.is_dir() else None
    return photo is not None or bool(unread)
