"""Films and cameras -> frames, a few a second, and what their frames say together."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ismila.photos import UserError
from ismila.photos.images import MAX_PIXELS, PhotoError
from ismila.photos.names import first_line
from ismila.use.ask.pets import PetPrediction, Pets
from ismila.vision.decision import logits_of, sigmoid, verdict_of

if TYPE_CHECKING:
    from av import VideoFrame

FILMS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".3gp", ".mpg"})
"""How a film's name ends."""
FRAMES = 8
"""So many frames go through a network together."""
OPEN_S = 10.0
READ_S = 20.0
"""A camera that says nothing for so long is given up."""
TIMESTAMP_TOLERANCE_S = 1e-3
"""A frame may come so much before it is due: times are rounded."""


@dataclass(frozen=True)
class FrameVote:
    """How many frames have to agree before they are believed.

    One frame in a thousand takes another animal for the subject, and a film has thousands.

    Attributes:
        k, n: k of n frames that follow one another; 1 <= k <= n.
    """

    k: int = 2
    n: int = 3


@dataclass(frozen=True)
class FilmOptions:
    """How films are asked about.

    Attributes:
        per_second: frames.
    """

    per_second: float = 2.0
    agreement: FrameVote = field(default_factory=FrameVote)


@dataclass(frozen=True)
class FilmFrame:
    """A moment of a film.

    Attributes:
        at_s: seconds from its beginning.
        photo: upright, in RGB.
    """

    at_s: float
    photo: Image.Image


@dataclass(frozen=True)
class Seen:
    """What a film's frames say of one subject.

    Attributes:
        probability: k of n frames that follow one another reach it. It is the highest of which that can be said.
        verdict: in words, which are `unsure` near the threshold.
        times: from when to when (seconds) frames that agree show the subject, in order.
    """

    probability: float
    is_subject: bool
    threshold: float
    run: str
    verdict: str
    times: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class FilmPrediction:
    """What runs say of one film.

    Attributes:
        subjects: by name, in the order in which they were asked for.
        length_s: until the last frame that was asked about.
        broken: why the rest of it cannot be read; empty where all of it was.
    """

    path: Path
    subjects: Mapping[str, Seen]
    frames: int
    length_s: float
    broken: str = ""


@dataclass(frozen=True)
class BurstPrediction:
    """What runs say of photos that were taken one after another.

    Attributes:
        paths: the photos that could be read.
        subjects: see `FilmPrediction`; `times` are numbers of photos.
    """

    paths: tuple[Path, ...]
    subjects: Mapping[str, Seen]


def is_film(path: Path) -> bool:
    """Whether it is one by its name."""
    return path.suffix.lower() in FILMS


@dataclass
class Film:
    """A film, or a camera: frames for as long as it can be read.

    Attributes:
        source: a file, or an address that FFmpeg reads (rtsp://, http://, /dev/video0).
        per_second: frames are at least so far apart.
        at_least_px: a larger frame is scaled to so many pixels on its shorter side.
        broken: why it cannot be read, or no further; empty until then, and where all of it was read.
    """

    source: str
    per_second: float
    at_least_px: int
    broken: str = ""

    def frames(self) -> Iterator[FilmFrame]:
        """From its beginning. Raises UserError where PyAV is not installed."""
        self.broken = ""
        av = import_av()
        try:
            with av.open(self.source, timeout=(OPEN_S, READ_S), options=self._options) as container:
                if not container.streams.video:
                    self.broken = "has sound and no pictures"
                    return
                stream = container.streams.video[0]
                if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
                    self.broken = "its frames have too many pixels"
                    return
                stream.thread_type = "AUTO"
                yield from self._spaced(container.decode(stream))
        except (av.FFmpegError, OSError, ValueError) as error:  # ValueError: NUL in a name
            self.broken = _without_address(first_line(error), self.source)

    def _spaced(self, decoded: Iterator[VideoFrame]) -> Iterator[FilmFrame]:
        start_s: float | None = None
        due_s = 0.0
        for frame in decoded:
            # what a camera says of time is often made up
            time_s = time.monotonic() if self.is_live else frame.time
            if time_s is None:
                continue
            if start_s is None:
                start_s = time_s
            at_s = time_s - start_s
            if at_s + TIMESTAMP_TOLERANCE_S < due_s:
                continue
            yield FilmFrame(at_s, _upright(frame, self.at_least_px))
            due_s = at_s + 1 / self.per_second

    @property
    def is_live(self) -> bool:
        """Whether frames come when they come, and are gone when nobody takes them."""
        return "://" in self.source or self.source.startswith("/dev/")

    @property
    def _options(self) -> dict[str, str]:
        """A file may be a list of addresses, whatever its name: nothing is fetched for one."""
        return {} if self.is_live else {"protocol_whitelist": "file"}


def import_av() -> Any:
    """PyAV. Raises UserError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError("films need PyAV: pip install 'ismila[film]'") from error
    return av


def _upright(frame: VideoFrame, at_least_px: int) -> Image.Image:
    """As it is meant to be seen: a phone stores a film turned, and says so beside it."""
    photo: Image.Image = frame.to_image()
    scale = at_least_px / min(photo.size)
    if scale < 1:
        size = (math.ceil(photo.width * scale), math.ceil(photo.height * scale))
        photo = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if frame.rotation % 360:
        photo = photo.rotate(frame.rotation, expand=True)
    return photo


def _without_address(words: str, source: str) -> str:
    """FFmpeg repeats the address, in which a camera's password may stand."""
    return words.split("]", 1)[-1].replace(f": '{source}'", "").strip()


@dataclass
class FrameVotes:
    """What the frames of one subject say so far.

    Attributes:
        agreement: when they are believed.
        last: the probabilities of the last n frames, the newest last.
    """

    agreement: FrameVote
    last: deque[float] = field(default_factory=deque)

    def add(self, probability: float) -> float:
        """The next frame's probability -> the one that k of the last n frames reach; with fewer frames so far, 0."""
        self.last.append(probability)
        if len(self.last) > self.agreement.n:
            self.last.popleft()
        if len(self.last) < self.agreement.k:
            return 0.0
        return sorted(self.last)[-self.agreement.k]


def probability_of(answer: PetPrediction) -> float:
    """Of the subject in a frame; below the threshold where the animal got another pet's name."""
    if answer.is_subject or answer.probability < answer.threshold:
        return answer.probability
    return math.nextafter(answer.threshold, 0)


def judge_film(path: Path, pets: Pets, asking: FilmOptions) -> FilmPrediction:
    """Ask about the frames of a film.

    Raises:
        PhotoError: not one frame can be read.
        UserError: PyAV is not installed.
    """
    times: list[float] = []
    answers: dict[str, list[PetPrediction]] = {subject: [] for subject in pets.classifiers}
    film = Film(str(path.absolute()), asking.per_second, pets.decoded_px)  # a:b.mp4 is no address
    frames = film.frames()
    while some := list(islice(frames, FRAMES)):
        times += [frame.at_s for frame in some]
        for together in pets.judge([pets.look(frame.photo) for frame in some]):
            for subject, answer in together.subjects.items():
                answers[subject].append(answer)
    if not times:
        raise PhotoError(film.broken or "has no frame")
    subjects = {
        subject: seen_in(times, of_frames, subject, asking.agreement)
        for subject, of_frames in answers.items()
    }
    return FilmPrediction(path, subjects, len(times), times[-1], film.broken)


def seen_in(
    times: Sequence[float], answers: Sequence[PetPrediction], subject: str, agreement: FrameVote
) -> Seen:
    """What the answers to a film's frames say together.

    Of fewer than k frames all have to agree.

    Args:
        times: seconds, one for each answer, in order; at least one.
    """
    k = min(agreement.k, len(answers))
    agreeing = FrameVotes(FrameVote(k, max(k, agreement.n)))
    probabilities = [probability_of(answer) for answer in answers]
    agreed = [agreeing.add(probability) for probability in probabilities]
    threshold = answers[0].threshold
    shows: set[int] = set()
    for at, reached in enumerate(agreed):
        if reached >= threshold:
            window = range(max(0, at - agreeing.agreement.n + 1), at + 1)
            shows.update(one for one in window if probabilities[one] >= threshold)
    stretches = tuple(_stretches(times, sorted(shows), agreement.n))
    return _seen(max(agreed), answers, subject, stretches)


def seen_in_burst(answers: Sequence[PetPrediction], subject: str) -> Seen:
    """What the answers to photos of one moment say together: the mean of their logits.

    Of the rules that take fewer others for the subject than one photo does, this one finds most (docs/films.md).

    Args:
        answers: one for each photo, in order; at least one.
    """
    probabilities = np.array([probability_of(answer) for answer in answers])
    probability = float(sigmoid(np.array([logits_of(probabilities).mean()]))[0])
    shows = np.flatnonzero(probabilities >= answers[0].threshold).tolist()
    return _seen(probability, answers, subject, tuple((at, at) for at in shows))


def _seen(
    probability: float,
    answers: Sequence[PetPrediction],
    subject: str,
    times: tuple[tuple[float, float], ...],
) -> Seen:
    """What is said of a probability, by the threshold and the run that gave the answers."""
    threshold = answers[0].threshold
    return Seen(
        probability=probability,
        is_subject=probability >= threshold,
        threshold=threshold,
        run=answers[0].run,
        verdict=verdict_of(probability, threshold, subject),
        times=times,
    )


def _stretches(
    times: Sequence[float], shows: Sequence[int], apart: int
) -> Iterator[tuple[float, float]]:
    """From when to when: frames fewer than `apart` from each other belong together."""
    first = last = -apart
    for at in shows:
        if at - last >= apart:
            if last >= 0:
                yield times[first], times[last]
            first = at
        last = at
    if last >= 0:
        yield times[first], times[last]
