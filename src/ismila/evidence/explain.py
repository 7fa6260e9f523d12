"""Why does it say Mila? A heat map, a test of the heat map, and the nearest training photos."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from ismila.evidence.heat import overlay, stretched
from ismila.learning.features import Features
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.files import write_aside
from ismila.photos.images import PhotoError, Pixels, jpeg_bytes, read_image
from ismila.runs import find
from ismila.runs.find import Recorded
from ismila.vision.classifier import WEIGHT, Classifier
from ismila.vision.encoders import Identity, StoredEncoder
from ismila.vision.graphs import Floats
from ismila.vision.views import Views

HOTTEST = 0.2
"""Share of the picture that the occlusion test hides: its hottest fifth."""
HIDDEN = 8
"""Cells along a side that are hidden one by one."""
GREY = 128
CONTROLS = 4
NEAREST = 5
PANEL_PX = 260
LONGEST_STEM = 50
"""Of a photo's name in its picture's: with four bytes a letter that still is a file name."""
BATCH = 64
Panel = tuple[Image.Image | None, str]
"""A picture, or the room for one, and what stands below it."""


@dataclass(frozen=True)
class Neighbour:
    """A training photo near to the one asked about; `similarity` is the cosine of their features,
    at most 1."""

    path: str
    kind: str
    similarity: float


@dataclass
class Attribution:
    """What speaks for the subject in one photo.

    Attributes:
        heat: `[size_px, size_px]` in 0..1 over the whole upright photo; all 0 when nothing speaks
            for the subject.
        hottest: the same shape, True in the hottest fifth.
        without_hottest, only_hottest: probability with the hottest fifth greyed out, and with all
            else greyed out.
        without_other: the same with a region of the same shape elsewhere greyed out, the mean of
            four: the control.
        nearest: training photos, the most alike first; empty when none is known.
    """

    image: Pixels
    probability: float
    heat: Floats
    hottest: npt.NDArray[np.bool_]
    without_hottest: float
    only_hottest: float
    without_other: float
    nearest: list[Neighbour] = field(default_factory=list)

    def words(self, subject: str) -> str:
        """In a line."""
        if not self.heat.any():
            return f"{self.probability:.1%} {subject}: nothing in it speaks for {subject}"
        return (
            f"{self.probability:.1%} {subject}; hottest fifth hidden {self.without_hottest:.1%}, "
            f"only it shown {self.only_hottest:.1%}, "
            f"as much elsewhere hidden {self.without_other:.1%}"
        )


class Explainer:
    """Explains one classifier's answers.

    Args:
        training: rows `path, sha256, kind` of the photos it was trained on.
        features: `[len(training), D]`, what its backbone makes of them.
    """

    def __init__(self, classifier: Classifier, training: pd.DataFrame, features: Floats) -> None:
        self.classifier = classifier
        self.training = training
        self.features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)

    @classmethod
    def without_photos(cls, classifier: Classifier) -> Explainer:
        """One that names no training photos."""
        nothing = pd.DataFrame({"path": [], "sha256": [], "kind": []})
        return cls(classifier, nothing, np.zeros((0, 1), np.float32))

    def deciding_image(self, views: Views) -> Pixels:
        """The image that a photo's probability comes from: of the likeliest animal, or the whole."""
        image: Pixels = views.images[self.classifier.judge([views])[0].image]
        return image

    def explain(self, image: Pixels) -> Attribution:
        """Explain the answer for one image `[size_px, size_px, 3]`.

        The heat map is what each cell of the last layer's grid adds to the logit (`contributions`),
        by captum, where that is above 0.
        """
        heat = stretched(self.contributions(image).clip(min=0), self.classifier.spec.size_px)
        hottest = np.zeros(heat.shape, np.bool_)
        if heat.any():
            hottest = heat > np.quantile(heat, 1 - HOTTEST)
        asked = [image, greyed(image, hottest), greyed(image, ~hottest)]
        asked += [greyed(image, elsewhere) for elsewhere in _moved(hottest)]
        p = self.classifier.probabilities(np.stack(asked))
        return Attribution(
            image=image,
            probability=float(p[0]),
            heat=heat,
            hottest=hottest,
            without_hottest=float(p[1]),
            only_hottest=float(p[2]),
            without_other=float(p[3:].mean()),
            nearest=self._nearest(image),
        )

    def contributions(self, image: Pixels) -> Floats:
        """`[h, w]`: activation times gradient of each cell of the last layer's grid, summed over
        its channels.

        HiResCAM (Draelos and Carin 2020, https://arxiv.org/abs/2011.08891). With a linear head the
        cells add up to the logit less the head's bias, for both backbones. Grad-CAM averages the
        gradients over the grid first: the same where the features are averaged (MobileNet), but not
        where each cell has weights of its own (the CNN).
        """
        if self.classifier.backbone.is_from_hub:
            return self._by_hiding(image)
        encoder = self.classifier.encoder
        if encoder is None or not self.classifier.is_linear:
            return self._by_torch(image)
        # the features are the mean of the grid: the gradient is the head's weight, and no torch is needed
        grid = encoder.grid(image[None])[0]
        weight = self.classifier.weights[WEIGHT][0]
        cells = grid.shape[1] * grid.shape[2]
        return np.tensordot(weight, grid, 1).astype(np.float32) / np.float32(cells)

    def _by_hiding(self, image: Pixels) -> Floats:
        """`[HIDDEN, HIDDEN]`: what the logit loses when a cell is greyed out (occlusion, Zeiler and
        Fergus 2014, https://arxiv.org/abs/1311.2901), for networks whose grid is not known."""
        side = len(image)
        edges = np.linspace(0, side, HIDDEN + 1).astype(int)
        hidden = np.zeros((HIDDEN * HIDDEN, side, side), np.bool_)
        for at, mask in enumerate(hidden):
            row, column = divmod(at, HIDDEN)
            mask[edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = True
        logits = self.classifier.logits(
            np.stack([image, *(greyed(image, mask) for mask in hidden)])
        )
        lost: Floats = (logits[0] - logits[1:]).astype(np.float32).reshape(HIDDEN, HIDDEN)
        return lost

    def _by_torch(self, image: Pixels) -> Floats:
        import torch
        from captum.attr import LayerGradientXActivation

        network = self.classifier.network.eval()
        layers: Any = network.backbone.get_submodule("features")
        x = torch.from_numpy(image[None].astype(np.float32)).requires_grad_()
        parts = LayerGradientXActivation(network, layers[-1]).attribute(x)
        assert isinstance(parts, torch.Tensor)
        added: Floats = parts[0].sum(0).detach().numpy()
        return added

    def _nearest(self, image: Pixels) -> list[Neighbour]:
        if not len(self.training):
            return []
        row = self.classifier.features(image[None])[0]
        near = self.features @ (row / max(float(np.linalg.norm(row)), 1e-9))
        return [
            Neighbour(
                str(self.training["path"].iloc[at]),
                str(self.training["kind"].iloc[at]),
                float(near[at]),
            )
            for at in np.argsort(-near)[:NEAREST]
        ]


def greyed(image: Pixels, where: npt.NDArray[np.bool_]) -> Pixels:
    """A copy of the image `[H, W, 3]` with grey where `where` `[H, W]` is True."""
    hidden = image.copy()
    hidden[where] = GREY
    return hidden


def _moved(region: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.bool_]]:
    """The region moved elsewhere, at least a quarter of the picture away, four times."""
    rng = np.random.default_rng(0)
    side = len(region)
    for _ in range(CONTROLS):
        by = rng.integers(side // 4, 3 * side // 4, 2)
        yield np.roll(region, (int(by[0]), int(by[1])), (0, 1))


def open_explainer(
    rows: pd.DataFrame, classifier: Classifier, album: Album, encode: bool = True
) -> Explainer:
    """An explainer with the photos that a classifier was trained on, as far as they are still in the
    album.

    Args:
        rows: `path, sha256, kind` of these photos: `used_rows` for the classifier that a run
            keeps, `held_out.training_rows` for one that answered for reported photos.
        encode: compute and keep the features that are not cached; False: do without these photos,
            read no photo and write nothing.
    """
    features = Features(album.derived, classifier.viewer, _encoder(classifier))
    if encode:
        gone = features.fill(album.photos(rows))
        rows = rows[~rows["sha256"].isin(list(gone))]
    else:
        rows = rows[[features.has(sha256) for sha256 in rows["sha256"]]]
    return _explainer(classifier, rows, features)


def used_rows(run: Recorded) -> pd.DataFrame:
    """The photos that the classifier which a run keeps was trained on."""
    predictions = find.load_predictions(run.run_id)
    return predictions[predictions["used"].astype(bool)].reset_index(drop=True)


def _encoder(classifier: Classifier) -> StoredEncoder:
    return classifier.encoder or Identity(classifier.spec)


def _explainer(classifier: Classifier, rows: pd.DataFrame, features: Features) -> Explainer:
    """An explainer whose nearest photos are among `rows`, whose features are all there."""
    rows = rows.reset_index(drop=True)
    if not len(rows):
        return Explainer.without_photos(classifier)
    shas = rows["sha256"].tolist()
    if classifier.encoder:
        x, photo = features.all_rows(shas)
        return Explainer(classifier, rows.iloc[photo], x)
    batches = [shas[start : start + BATCH] for start in range(0, len(shas), BATCH)]
    computed = [classifier.features(features.rows(batch)) for batch in batches]
    return Explainer(classifier, rows, np.concatenate(computed))


@dataclass(frozen=True)
class ExplainedPhoto:
    """A photo that was explained.

    Attributes:
        picture: where the picture lies that shows it.
        trained_on: the classifier was trained on this very photo: its answer is no evidence.
    """

    path: Path
    explanation: Attribution
    picture: Path
    trained_on: bool


@dataclass(frozen=True)
class Unreadable:
    """A photo that could not be read, and why."""

    path: Path
    error: str


def explanations(
    photos: Iterable[Path], run: Recorded, to: Path, root: Path | None = None
) -> Iterator[ExplainedPhoto | Unreadable]:
    """Explain the run's answer for each photo, in order, and draw it into `to`.

    Args:
        root: the run's album, when it has moved.

    Raises:
        UserError: the album is gone, or the pictures cannot be written.
    """
    classifier = find.load_classifier(run.run_id)
    album = find.album_of(run, root)
    training = used_rows(run)
    trained_on = set(training["sha256"])
    explainer = open_explainer(training, classifier, album)
    for photo in photos:
        try:
            views = classifier.viewer.read(photo)
            digest = hashlib.sha256(photo.read_bytes()).hexdigest()
        except (PhotoError, OSError) as error:
            yield Unreadable(photo, str(error))
            continue
        explanation = explainer.explain(explainer.deciding_image(views))
        picture = to / picture_name(photo, run.run_id)
        try:
            write_aside(picture, jpeg_bytes(draw(explanation, explainer, album), 88))
        except OSError as error:
            raise UserError(
                f"--to {to}: {error.strerror}; give a folder that may be written"
            ) from error
        yield ExplainedPhoto(photo, explanation, picture, digest in trained_on)


def picture_name(photo: Path, run_id: str) -> str:
    """One name for each photo and run: `a/1.jpg`, `b/1.jpg` and `a/1.png` are three, in one call or
    in several."""
    place = hashlib.sha256(os.fsencode(photo.resolve())).hexdigest()[:8]
    return f"{photo.stem[:LONGEST_STEM]}-{place}-{run_id[:8]}.jpg"


def draw(explanation: Attribution, explainer: Explainer, album: Album) -> Image.Image:
    """The photo, the heat over it, what the occlusion test saw, and the nearest training photos."""
    image = explanation.image
    hottest = explanation.hottest
    subject = explainer.classifier.subject
    tested: list[Panel] = [
        (Image.fromarray(image), f"{explanation.probability:.1%} {subject}"),
        (draw_overlay(explanation), "what speaks for it"),
        (
            Image.fromarray(greyed(image, hottest)),
            f"hottest fifth hidden: {explanation.without_hottest:.1%}",
        ),
        (
            Image.fromarray(greyed(image, ~hottest)),
            f"only it: {explanation.only_hottest:.1%}",
        ),
        (None, f"as much elsewhere hidden: {explanation.without_other:.1%}"),
    ]
    near: list[Panel] = []
    for neighbour in explanation.nearest:
        caption = f"{neighbour.kind}, cosine {neighbour.similarity:.2f}"
        try:
            photo = read_image(album.root / neighbour.path, explainer.classifier.spec)
        except PhotoError:
            near.append((None, caption))
        else:
            near.append((Image.fromarray(photo), caption))
    return _sheet(tested, near)


def _sheet(tested: list[Panel], near: list[Panel]) -> Image.Image:
    """Two lines of panels with their captions, the second with a heading."""
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", (5 * (PANEL_PX + 8) + 8, 2 * (PANEL_PX + 34) + 32), "white")
    pen = ImageDraw.Draw(sheet)
    second_px = PANEL_PX + 62
    pen.text((8, second_px - 24), "nearest training photos:", fill="#555", font=font)
    for top_px, panels in ((6, tested), (second_px, near)):
        for column, (panel, caption) in enumerate(panels):
            left_px = 8 + column * (PANEL_PX + 8)
            if panel is not None:
                sheet.paste(panel.resize((PANEL_PX, PANEL_PX)), (left_px, top_px))
            pen.text((left_px, top_px + PANEL_PX + 5), caption, fill="black", font=font)
    return sheet


def draw_overlay(explanation: Attribution) -> Image.Image:
    """The image with its heat over it."""
    return overlay(explanation.image, explanation.heat)
