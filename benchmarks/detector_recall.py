"""In how many photos does the detector see an animal, by folder, size and score, and in how many when it is far away?

    .venv/bin/python benchmarks/detector_recall.py ALBUM

ALBUM holds `mila`, `pets/dog`, `pets/cat`, `pets/wild` and `not_mila` (things). "Far": each animal's photo is pasted
at a half, a third and a quarter of the height into a random photo of things. It counts as found when a box's centre
lies in what was pasted, and as found in place when a box overlaps (IoU > 0.5) the best one of the whole photo, which
must have had one at the network's own 416 px.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from ismila.photos.images import fit_photo, open_photo
from ismila.vision import animals
from ismila.vision.animals import Box, Detector

SIZES_PX = (416, 352, 320)
SCORES = (0.15, 0.25, 0.35)
FOLDERS = ("mila", "pets/dog", "pets/cat", "pets/wild", "not_mila")
PARTS = (2, 3, 4)
LARGE_PX = 640
WHOLE = (0.0, 0.0, 1.0, 1.0)


def pasted(photo: Image.Image, onto: Image.Image, part: int, at: tuple[float, float]):
    """The photo at 1 / part of the other one's height, and where it lies: a box."""
    scale = min(onto.height / part / photo.height, onto.width / photo.width)
    width, height = round(photo.width * scale), round(photo.height * scale)
    left = round(at[0] * (onto.width - width))
    top = round(at[1] * (onto.height - height))
    image = onto.copy()
    image.paste(photo.resize((width, height), Image.Resampling.LANCZOS), (left, top))
    right, bottom = left + width, top + height
    size = (onto.width, onto.height) * 2
    return image, tuple(v / s for v, s in zip((left, top, right, bottom), size, strict=True))


def of_height(picture: Image.Image, height_px: int) -> Image.Image:
    """The picture at another size, so that what is pasted into it keeps its pixels."""
    width_px = round(picture.width * height_px / picture.height)
    return picture.resize((width_px, height_px), Image.Resampling.BICUBIC)


def within(box: Box, place: Box) -> Box:
    """A box of the photo, where the photo lies in `place`."""
    x, y, right, bottom = place
    width, height = right - x, bottom - y
    return (x + box[0] * width, y + box[1] * height, x + box[2] * width, y + box[3] * height)


def iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)]
    return shared / (sum(areas) - shared)


def centre_within(box: Box, place: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return place[0] < x < place[2] and place[1] < y < place[3]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("album", type=Path)
    album = parser.parse_args().album
    animals.MIN_SCORE = min(SCORES)  # one pass tells all three
    detectors = {size_px: Detector(size_px) for size_px in SIZES_PX}
    things = sorted((album / "not_mila").glob("*.jpg"))
    rng = np.random.default_rng(0)
    best = defaultdict(list)
    far = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((album / folder).glob("*.jpg")):
            photo = open_photo(path, LARGE_PX)
            scenes = {1: (photo, WHOLE)}
            for part in PARTS if folder != "not_mila" else ():
                onto = open_photo(things[rng.integers(len(things))], LARGE_PX)
                scenes[part] = pasted(photo, onto, part, tuple(rng.random(2)))
            seen = {
                (size_px, part): detector(fit_photo(image, detector.spec)[None])[0]
                for size_px, detector in detectors.items()
                for part, (image, _) in scenes.items()
            }
            truth = seen[SIZES_PX[0], 1][:1]
            for (size_px, part), found in seen.items():
                if part == 1:
                    best[folder, size_px].append(found[0].score if found else 0)
                elif truth and truth[0].score >= 0.25:
                    place = scenes[part][1]
                    boxes = [animal.box for animal in found if animal.score >= 0.25]
                    near = any(centre_within(box, place) for box in boxes)
                    fits = any(iou(box, within(truth[0].box, place)) > 0.5 for box in boxes)
                    far[size_px, part].append((near, fits))
    for (folder, size_px), scores in best.items():
        shares = "  ".join(f"{np.mean(np.array(scores) >= score):6.1%}" for score in SCORES)
        print(f"{folder:10} {size_px} px: {shares}  (n={len(scores)})")
    for (size_px, part), found in far.items():
        near, fits = np.mean(found, 0)
        print(f"1/{part} {size_px} px: found {near:6.1%}, in place {fits:6.1%}  (n={len(found)})")


if __name__ == "__main__":
    main()
