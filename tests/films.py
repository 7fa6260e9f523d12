"""Draws films: nothing is downloaded, nothing is shipped."""

from pathlib import Path

import numpy as np
from conftest import draw_photo
from PIL import Image

RATE = 10


def draw_film(path: Path, shows: str, turned: int = 0) -> Path:
    """A second for each letter: `m` shows the subject, `.` shows things; for one frame only: `M`."""
    import av

    size = (160, 120)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for at, letter in enumerate(shows):
            for number in range(RATE):
                is_subject = letter == "m" or (letter == "M" and number == 0)
                photo = draw_photo(path.with_suffix(".jpg"), at, is_subject, size)
                pixels = np.asarray(Image.open(photo).convert("RGB").rotate(-turned))
                film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    path.with_suffix(".jpg").unlink()
    return path
