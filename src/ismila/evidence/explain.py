"""Why does it say Mila? A heat map, a test of the heat map, and the nearest training photos."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ismila.evidence.heat import overlay, stretched
from ismila.learning.classifier import Classifier
from ismila.learning.dataset import is_closeup
from ismila.learning.features import (
    Floats,
    Identity,
    encode_missing,
    open_store,
    photos_of,
)
from ismila.photos import UserError
from ismila.photos.images import (
    ImageSpec,
    PhotoError,
    Pixels,
    fit_photo,
    jpeg_bytes,
    open_photo,
    read_image,
    write_aside,
)
from ismila.photos.index import read_index
from ismila.photos.labels import derived_folder
from ismila.runs import Recorded, find_run, load_classifier, load_predictions, read_run

HOTTEST = 0.2
"""Share of the picture that the occlusion test hides: its hottest fifth."""
GREY = 128
CONTROLS = 4
NEAREST = 5
PANEL_PX = 260


@dataclass(frozen=True)
class Neighbour:
    """A training photo near to the one asked about; `similarity` is the cosine of their features, at most 1."""

    path: str
    kind: str
    similarity: float


@dataclass
class Explanation:
    """What speaks for the subject in one photo.

    Attributes:
        heat: `[size_px, size_px]` in 0..1 over the whole upright photo; all 0 when nothing speaks for the subject.
        hottest: the same shape, True in the hottest fifth.
        without_hottest, only_hottest: probability with the hottest fifth greyed out, and with all else greyed out.
        without_other: the same with a region of the same shape elsewhere greyed out, the mean of four: the control.
    """

    image: Pixels
    probability: float
    heat: Floats
    hottest: npt.NDArray[np.bool_]
    without_hottest: float
    only_hottest: float
    without_other: float
    nearest: list[Neighbour] = field(default_factory=list)

    def said(self, subject: str) -> str:
        """In words."""
        if not self.heat.any():
            return f"{self.probability:.1%} {subject}: nothing in it speaks for {subject}"
        return (
            f"{self.probability:.1%} {subject}; hottest fifth hidden {self.without_hottest:.1%}, "
            f"only it shown {self.only_hottest:.1%}, as much elsewhere hidden {self.without_other:.1%}"
        )


class Explainer:
    """Explains one classifier's answers.

    Args:
        training: rows `path, sha256, kind` of the photos it was trained on.
        features: `[len(training), D]`, what its backbone makes of them.
    """

    def __init__(self, classifier: Classifier, training: pd.DataFrame, features: Floats) -> None:
        from captum.attr import LayerGradientXActivation

        self.classifier, self.training = classifier, training
        self.features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
        layers: Any = classifier.network.backbone.get_submodule("features")
        self._parts = LayerGradientXActivation(classifier.network, layers[-1])

    def explain(self, image: Pixels) -> Explanation:
        """Explain the answer for one image `[size_px, size_px, 3]`.

        The heat map is what each cell of the last layer's grid adds to the logit (`contributions`), by captum,
        where that is above 0.
        """
        heat = stretched(self.contributions(image).clip(min=0), self.classifier.spec.size_px)
        hottest = (
            heat > np.quantile(heat, 1 - HOTTEST) if heat.any() else np.zeros(heat.shape, np.bool_)
        )
        hidden, only = image.copy(), image.copy()
        hidden[hottest] = GREY
        only[~hottest] = GREY
        rng, controls = np.random.default_rng(0), []
        for _ in range(CONTROLS):
            control = image.copy()
            control[
                np.roll(hottest, tuple(rng.integers(len(heat) // 4, 3 * len(heat) // 4, 2)), (0, 1))
            ] = GREY
            controls.append(control)
        p = self.classifier.probabilities(np.stack([image, hidden, only, *controls]))
        return Explanation(
            image,
            float(p[0]),
            heat,
            hottest,
            float(p[1]),
            float(p[2]),
            float(p[3:].mean()),
            self._nearest(image),
        )

    def contributions(self, image: Pixels) -> Floats:
        """`[h, w]`: activation times gradient of each cell of the last layer's grid, summed over its channels.

        HiResCAM (Draelos and Carin 2020, https://arxiv.org/abs/2011.08891). With a linear head the cells add up to the
        logit less the head's bias, for both backbones. Grad-CAM averages the gradients over the grid first: the same
        where the features are averaged (MobileNet), but not where each cell has weights of its own (the CNN).
        """
        self.classifier.network.eval()
        x = torch.from_numpy(image[None].astype(np.float32)).requires_grad_()
        parts = self._parts.attribute(x)
        assert isinstance(parts, Tensor)
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


def album_of(run: Recorded, root: Path | None) -> Path:
    """Where the run's album lies: `root`, or where it was when the run was made.

    Raises:
        UserError: it is not there.
    """
    root = root or Path(run.params.get("album.root", "data/photos"))
    if not root.is_dir():
        raise UserError(f"the run's album {root} is not here; say where it is with --root DIR")
    return root


def derived_of(run: Recorded, root: Path) -> Path:
    """Where the run's derived files lie: the `data.cache` it was given while that is there, or the album's own."""
    cache = Path(run.params.get("data.cache", "None"))
    return derived_folder(root, cache if cache.name != "None" and cache.is_dir() else None)


def open_explainer(
    run: Recorded, classifier: Classifier, root: Path, encode: bool = True
) -> Explainer:
    """An explainer with the run's training photos, as far as they are still in the album at `root`.

    Args:
        encode: put photos that are not in the store through the backbone; else they are left out
            and nothing is written.
    """
    derived = derived_of(run, root)
    rows = _training_rows(run, derived)
    spec = classifier.spec
    bundled = classifier.encoder
    encoder: Any = bundled or Identity(spec)
    store = open_store(derived, spec, encoder)
    if encode:
        encode_missing(photos_of(rows, root), 1, spec, encoder, store)
    rows = rows[[(str(sha), 0) in store for sha in rows["sha256"]]].reset_index(drop=True)
    keys = [(str(sha), 0) for sha in rows["sha256"]]
    if bundled or not keys:
        return Explainer(
            classifier, rows, store.rows(keys) if keys else np.zeros((0, 1), np.float32)
        )
    parts = [classifier.features(store.rows(keys[i : i + 64])) for i in range(0, len(keys), 64)]
    return Explainer(classifier, rows, np.concatenate(parts))


def _training_rows(run: Recorded, derived: Path) -> pd.DataFrame:
    rows = load_predictions(run.run_id)
    if not run.tags.get("refit"):
        rows = rows[rows["fold"] == "train"]
    if run.params.get("data.pets") != "True":
        rows = rows[rows["label"] != "pets"]
    above = run.params.get("data.closeups_above", "None")
    index = read_index(derived)
    if above != "None" and len(index):
        close = index.loc[is_closeup(index, float(above)), "path"]
        rows = rows[(rows["label"] != "subject") | rows["path"].isin(close)]
    return rows.reset_index(drop=True)


def explain_photos(
    photos: list[Path], which: str, subject: str, to: Path, root: Path | None, as_json: bool
) -> int:
    """Write a picture for each photo into `to` and print a line; 1 when a photo could not be read, else 0.

    Raises:
        UserError: there is no such run, or the album is gone, or the pictures cannot be written.
    """
    run_id = find_run(which, subject)
    run, classifier = read_run(run_id), load_classifier(run_id)
    root = album_of(run, root)
    explainer = open_explainer(run, classifier, root)
    failed = 0
    for photo in photos:
        try:
            shown = open_photo(photo, classifier.spec.size_px)
        except PhotoError as error:
            failed = 1
            print(
                json.dumps({"path": str(photo), "error": str(error)})
                if as_json
                else f"{photo}: {error}",
                flush=True,
            )
            continue
        explained = explainer.explain(fit_photo(shown, classifier.spec))
        picture = to / f"{photo.stem}-{run_id[:8]}.jpg"
        try:
            write_aside(picture, jpeg_bytes(draw(explained, subject, root, classifier.spec), 88))
        except OSError as error:
            raise UserError(
                f"--to {to}: {error.strerror}; give a folder that may be written"
            ) from error
        if as_json:
            told = {
                name: getattr(explained, name)
                for name in ("probability", "without_hottest", "only_hottest", "without_other")
            }
            nearest = [vars(neighbour) for neighbour in explained.nearest]
            print(
                json.dumps(
                    {"path": str(photo), **told, "nearest": nearest, "picture": str(picture)}
                ),
                flush=True,
            )
        else:
            print(f"{photo}: {explained.said(subject)} -> {picture}", flush=True)
    return failed


def draw(explained: Explanation, subject: str, root: Path, spec: ImageSpec) -> Image.Image:
    """The photo, the heat over it, what the occlusion test saw, and the nearest training photos."""
    image = Image.fromarray(explained.image)
    hidden, only = explained.image.copy(), explained.image.copy()
    hidden[explained.hottest], only[~explained.hottest] = GREY, GREY
    top = [
        (image, f"{explained.probability:.1%} {subject}"),
        (draw_overlay(explained), "what speaks for it"),
        (Image.fromarray(hidden), f"hottest fifth hidden: {explained.without_hottest:.1%}"),
        (Image.fromarray(only), f"only it: {explained.only_hottest:.1%}"),
        (None, f"as much elsewhere hidden: {explained.without_other:.1%}"),
    ]
    bottom: list[tuple[Image.Image | None, str]] = []
    for neighbour in explained.nearest:
        try:
            near = Image.fromarray(read_image(root / neighbour.path, spec))
        except PhotoError:
            near = None
        bottom.append((near, f"{neighbour.kind}, cosine {neighbour.similarity:.2f}"))
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", (5 * (PANEL_PX + 8) + 8, 2 * (PANEL_PX + 34) + 32), "white")
    pen = ImageDraw.Draw(sheet)
    for line, panels in enumerate((top, bottom)):
        y = 6 + line * (PANEL_PX + 34 + 22)
        if line:
            pen.text((8, y - 24), "nearest training photos:", fill="#555", font=font)
        for column, (panel, caption) in enumerate(panels):
            x = 8 + column * (PANEL_PX + 8)
            if panel is not None:
                sheet.paste(panel.resize((PANEL_PX, PANEL_PX)), (x, y))
            pen.text((x, y + PANEL_PX + 5), caption, fill="black", font=font)
    return sheet


def draw_overlay(explained: Explanation) -> Image.Image:
    """The image with its heat over it."""
    return overlay(explained.image, explained.heat)
