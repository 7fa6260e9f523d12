"""A heat map over the image it explains. Needs no torch, so that a server without torch draws the
same picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ismila.photos.images import Pixels
from ismila.vision.graphs import Floats

STRENGTH = 0.65
"""How much of the hottest pixel is heat and not image."""
INFERNO = np.array(
    [(0, 0, 4), (33, 12, 74), (87, 16, 110), (138, 34, 106), (188, 55, 84), (228, 90, 49), (249, 142, 9),
     (249, 203, 53), (252, 255, 164)], np.float32
)  # fmt: skip
"""matplotlib's colour map `inferno` at nine even steps."""


def stretched(grid: Floats, size_px: int) -> Floats:
    """What each cell adds to the logit, at least 0, `[h, w]` -> heat `[size_px, size_px]` in 0..1;
    all 0 stays so."""
    heat = np.asarray(Image.fromarray(grid).resize((size_px, size_px), Image.Resampling.BILINEAR))
    peak = float(heat.max())
    return np.asarray(heat / peak if peak > 1e-12 else np.zeros_like(heat), dtype=np.float32)


def overlay(image: Pixels, heat: Floats) -> Image.Image:
    """Lay heat over an image.

    Args:
        image: `[H, W, 3]`.
        heat: `[H, W]` in 0..1.
    """
    steps = np.linspace(0, 1, len(INFERNO))
    colours = np.stack([np.interp(heat, steps, channel) for channel in INFERNO.T], axis=-1)
    strength = STRENGTH * heat[..., None]
    return Image.fromarray((image * (1 - strength) + colours * strength).astype(np.uint8))
