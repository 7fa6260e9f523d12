"""What the API says, as JSON."""

from __future__ import annotations

from pydantic import BaseModel


class About(BaseModel):
    """Which run answers, and whether corrections are taken."""

    subject: str
    run: str
    threshold: float
    feedback: bool


class Near(BaseModel):
    """A training photo most like the one asked about; `src` is a thumbnail of it as a data URI."""

    path: str
    kind: str
    similarity: float
    src: str


class JudgedAnimal(BaseModel):
    """An animal in a photo: `box` is x0 y0 x1 y1 in [0, 1] of the upright photo, `name` who it is."""

    box: tuple[float, float, float, float]
    kind: str
    name: str
    probability: float


class Judged(BaseModel):
    """One photo's answer; `said` (the occlusion test), `heat`, `nearest` where asked for.

    `animals` are those that were asked about, the likeliest first: none where no animal was seen and
    the whole photo was judged; absent where the model never looks for animals. `heat` shows the part
    of the photo that decided; `heat_box` says where in the photo that lies, x0 y0 x1 y1 in [0, 1].
    """

    name: str
    probability: float
    verdict: str
    is_subject: bool
    animals: list[JudgedAnimal] | None = None
    said: str | None = None
    heat: str | None = None
    heat_box: tuple[float, float, float, float] | None = None
    nearest: list[Near] | None = None


class NotJudged(BaseModel):
    """A photo that cannot be read."""

    name: str
    error: str


class Answer(BaseModel):
    """Of one request, a photo each, in the order they came in."""

    run: str
    subject: str
    threshold: float
    photos: list[Judged | NotJudged]


class Kept(BaseModel):
    """Where in the album a corrected photo lies."""

    path: str


class Health(BaseModel):
    """It answers."""

    status: str
    run: str


class Names(BaseModel):
    """Of the models, as the first is-mila says it."""

    models: list[str]


class ImageShape(BaseModel):
    """What a network takes."""

    rows: int
    cols: int
    color_channels: int


class NetworkShape(BaseModel):
    """Of one model."""

    batch_size: int
    image: ImageShape


class Meta(BaseModel):
    """Classes, and figures of the best epoch."""

    classes: list[str]
    latest_logs: dict[str, float | None]


class Description(BaseModel):
    """A model, as the first is-mila says it."""

    network: NetworkShape
    meta: Meta
