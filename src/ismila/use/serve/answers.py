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


class Judged(BaseModel):
    """One photo's answer; `said` (the occlusion test), `heat`, `nearest` where asked for."""

    name: str
    probability: float
    verdict: str
    is_subject: bool
    said: str | None = None
    heat: str | None = None
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
