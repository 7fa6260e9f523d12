"""Does the heat map tell the truth? The subject's photos, greyed out cell by cell in its order.

Deletion and insertion curves (Petsiuk et al. 2018, RISE, https://arxiv.org/abs/1806.07421). A map
that knows what speaks for the subject takes the probability down at once when its hottest cells go first,
and brings it back at once when they come first. RISE puts cells back into a blurred photo; here all
else is grey both times. A blurred animal still has its colours, which is all that the simple
network looks at (docs/what-the-cnn-sees.md). And with one fill, putting back in the map's order is
greying out in the reverse order, read backwards: three orders say all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from ismila.evidence.explain import Explainer, greyed
from ismila.evidence.metrics import is_subject
from ismila.learning.held_out import HeldOutClassifiers
from ismila.photos.album import Album
from ismila.photos.images import PhotoError, Pixels
from ismila.photos.progress import Progress
from ismila.vision.graphs import Floats

STEPS = 8
PHOTOS = 12
"""As many of the subject's reported photos, evenly spread, are greyed out: 276 images, some seconds."""
ORDERS = ("map", "random", "reverse")


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What becomes of the probability.

    Attributes:
        n: reported photos of the subject that were greyed out.
        faster: those in which the map's order has a smaller area than the random one.
        curves: order -> mean probability with 0, 1/8, ... 1 of the cells greyed out; empty without
            a photo.
        areas: what `areas` gives for these.
    """

    n: int = 0
    faster: int = 0
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    areas: Mapping[str, float] = field(default_factory=dict)


def deletion_of(
    reported: pd.DataFrame,
    classifiers: HeldOutClassifiers,
    album: Album,
    progress: Progress | None = None,
) -> Deletion:
    """Grey out the subject's reported photos, each for the classifier that was not trained on it.

    Args:
        reported: rows with `path, label, held_out_by`.
    """
    rows = reported[is_subject(reported)]
    few = min(len(rows), PHOTOS)
    chosen: Iterable[int] = np.linspace(0, len(rows) - 1, few).round().astype(int).tolist()
    if progress and few:
        chosen = progress(chosen, few, "Greying out cells")
    photos = []
    for number in chosen:
        path, held_out_by = rows[["path", "held_out_by"]].iloc[number]
        classifier = classifiers[held_out_by]
        explainer = Explainer.without_photos(classifier)
        try:
            image = explainer.deciding_image(classifier.viewer.read(album.root / path))
        except PhotoError:
            continue
        added = explainer.contributions(image)
        rng = np.random.default_rng(number)
        photos.append(deletion_curves(image, added, classifier.probabilities, rng))
    if not photos:
        return Deletion()
    each = [dict(areas(curves)) for curves in photos]
    mean = np.mean(photos, axis=0)
    return Deletion(
        n=len(photos),
        faster=sum(one["deletion"] < one["random"] for one in each),
        curves={order: list(map(float, row)) for order, row in zip(ORDERS, mean, strict=True)},
        areas=dict(areas(mean)),
    )


def deletion_curves(
    image: Pixels,
    added: Floats,
    probabilities: Callable[[Pixels], Floats],
    rng: np.random.Generator,
) -> Floats:
    """`[3, STEPS + 1]`: the probability as cells are greyed out, in each of `ORDERS`.

    Args:
        image: `[H, W, 3]`.
        added: `[h, w]`, what each cell adds to the logit: most goes first.
        probabilities: `[N, H, W, 3]` -> `[N]`.
    """
    hottest_first = np.argsort(-added, axis=None, kind="stable")
    orders = (hottest_first, rng.permutation(added.size), hottest_first[::-1])
    steps = np.linspace(0, added.size, STEPS + 1).round().astype(int)
    hidden = [order[:step] for order in orders for step in steps[1:-1]]
    asked = [image, *(_without(image, cells, added.shape) for cells in hidden)]
    p = probabilities(np.stack([*asked, _without(image, hottest_first, added.shape)]))
    between = p[1:-1].reshape(len(ORDERS), -1)
    ends = np.ones((len(ORDERS), 1), p.dtype)
    return np.concatenate([ends * p[0], between, ends * p[-1]], axis=1)


def areas(curves: Floats) -> Iterator[tuple[str, float]]:
    """(name, area under the curve, 0..1): `deletion`, the lower the better; `random`, the control;
    `insertion`, the higher the better.

    Args:
        curves: what `deletion_curves` gives, of one photo or the mean of several.
    """
    for name, row in zip(("deletion", "random", "insertion"), curves, strict=True):
        yield name, float((row[:-1] + row[1:]).mean() / 2)


def _without(image: Pixels, cells: npt.NDArray[np.intp], shape: tuple[int, ...]) -> Pixels:
    """A copy with some cells of an even grid grey; cells are numbered row by row."""
    grid = np.zeros(shape, np.bool_)
    grid.flat[cells] = True
    rows = np.arange(image.shape[0]) * shape[0] // image.shape[0]
    columns = np.arange(image.shape[1]) * shape[1] // image.shape[1]
    return greyed(image, grid[rows][:, columns])
