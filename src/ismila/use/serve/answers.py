"""What the API says, as JSON."""

from __future__ import annotations

from pydantic import BaseModel


class About(BaseModel):
    """Which run answers, and whether corrections are taken."""

    subject: str
    run: str
    threshold: float
    feedback: bool


class Known(BaseModel):
    """A pet's run, and from which probability on an image is the pet."""

    run: str
    threshold: float


class AboutPets(BaseModel):
    """The same of several pets."""

    subjects: dict[str, Known]
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


class Explanation(BaseModel):
    """Why: `said` (the occlusion test), `heat`, `nearest` where asked for.

    `heat` shows the part of the photo that decided; `heat_box` says where in the photo that lies,
    x0 y0 x1 y1 in [0, 1].
    """

    said: str | None = None
    heat: str | None = None
    heat_box: tuple[float, float, float, float] | None = None
    nearest: list[Near] | None = None


class _Photo(BaseModel):
    name: str
    probability: float
    verdict: str
    is_subject: bool
    animals: list[JudgedAnimal] | None = None


class Judged(Explanation, _Photo):
    """One photo's answer.

    `animals` are those that were asked about, the likeliest first: none where no animal was seen and
    the whole photo was judged; absent where the model never looks for animals.
    """


class _Pet(BaseModel):
    probability: float
    is_subject: bool
    threshold: float
    run: str
    verdict: str


class JudgedPet(Explanation, _Pet):
    """What is said of one of several pets in a photo.

    The probability is the highest of any animal in it; `is_subject` where an animal got the pet's
    name.
    """


class JudgedPets(BaseModel):
    """One photo's answer of several pets: `names` says who is in it, `animals` as for one pet."""

    name: str
    names: list[str]
    subjects: dict[str, JudgedPet]
    animals: list[JudgedAnimal] | None = None


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


class AnswerOfPets(BaseModel):
    """The same of several pets."""

    photos: list[JudgedPets | NotJudged]


class Kept(BaseModel):
    """Where in the album a corrected photo lies."""

    path: str


class Health(BaseModel):
    """It answers."""

    status: str
    run: str


class HealthOfPets(BaseModel):
    """The same of several pets, each with its run."""

    status: str
    runs: dict[str, str]


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
