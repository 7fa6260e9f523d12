"""A camera -> who comes and who goes."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ismila.photos.files import write_aside
from ismila.photos.images import jpeg_bytes
from ismila.use.ask.films import Film, FilmFrame, FrameVote, FrameVotes, import_av, probability_of
from ismila.use.ask.pets import Pets

WAITS_S = (1, 2, 5, 10, 30, 60)
"""A camera that is away is tried again after so long; the last for ever."""
QUALITY = 88


@dataclass(frozen=True)
class Sighting:
    """A subject has come, or has gone.

    Attributes:
        probability: that k of the last n frames reach.
        frame: the one at which it was known.
    """

    subject: str
    is_there: bool
    probability: float
    at: datetime
    frame: FilmFrame

    @property
    def message(self) -> str:
        """As JSON, for other programs."""
        fields = {
            "subject": self.subject,
            "is_there": self.is_there,
            "probability": round(self.probability, 4),
            "at": self.at.isoformat(timespec="seconds"),
        }
        return json.dumps(fields)

    def keep(self, folder: Path) -> Path:
        """Write the frame into a folder; returns the file. Raises OSError."""
        name = f"{self.at:%Y-%m-%d_%H-%M-%S}_{self.subject}.jpg"
        folder.mkdir(parents=True, exist_ok=True)
        write_aside(folder / name, jpeg_bytes(self.frame.photo, QUALITY))
        return folder / name


def sightings(frames: Iterable[FilmFrame], pets: Pets, agreement: FrameVote) -> Iterator[Sighting]:
    """Who comes and who goes.

    A subject has come when k of the last n frames show it, and has gone when none of the last n does.
    """
    watched = {subject: FrameVotes(agreement) for subject in pets.classifiers}
    there = dict.fromkeys(watched, False)
    for frame in frames:
        [together] = pets.judge([pets.look(frame.photo)])
        for subject, answer in together.subjects.items():
            agreeing = watched[subject]
            reached = agreeing.add(probability_of(answer))
            has_come = not there[subject] and reached >= answer.threshold
            has_gone = there[subject] and max(agreeing.last) < answer.threshold
            if has_come or has_gone:
                there[subject] = has_come
                now = datetime.now().astimezone()
                yield Sighting(subject, has_come, reached, now, frame)


def frames_of_camera(film: Film, say: Callable[[str], None]) -> Iterator[FilmFrame]:
    """The newest frame of a camera, for ever: those that came while one was judged are left out.

    Args:
        say: is told when the camera is away, and is tried again.
    """
    import_av()  # before there is a thread, which imports nothing
    newest: deque[FilmFrame | BaseException] = deque(maxlen=1)
    has_come = threading.Event()

    def read() -> None:
        try:
            for frame in _again_and_again(film, say):
                newest.append(frame)
                has_come.set()
        except BaseException as error:
            newest.append(error)
            has_come.set()

    threading.Thread(target=read, daemon=True).start()
    while True:
        has_come.wait()
        has_come.clear()
        if not newest:  # taken already, between the frame and the word of it
            continue
        frame = newest.pop()
        if isinstance(frame, BaseException):
            raise frame
        yield frame


def _again_and_again(film: Film, say: Callable[[str], None]) -> Iterator[FilmFrame]:
    tries = 0
    while True:
        for frame in film.frames():
            tries = 0
            yield frame
        wait_s = WAITS_S[min(tries, len(WAITS_S) - 1)]
        tries += 1
        say(f"the camera is away ({film.broken or 'it ended'}); asked again in {wait_s} s")
        time.sleep(wait_s)
