import os
import sys
from pathlib import Path

import numpy as np
import pytest

from ismila.photos.images import read_image
from ismila.vision.animals import KINDS, MOST, Animal, Detector, distinct, in_common
from ismila.vision.graphs import graph_session
from ismila.vision.weights import NANODET

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from convert_nanodet import EVERY, REFERENCE, draw_image

ALBUM = Path(os.environ.get("ISMILA_SHARED", Path(__file__).parents[3] / "shared")) / "album"


def run(images):
    inputs = {"images": np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)}
    return graph_session(NANODET, 0).run(["boxes", "scores"], inputs)


def test_the_graph_computes_what_the_plain_conversion_does():
    reference = np.load(REFERENCE)
    count = len(reference["boxes"])
    boxes, scores = run(np.stack([draw_image(seed) for seed in range(count)]))
    # the reference is rounded to float16: 1 in 2,048
    assert np.allclose(boxes[:, ::EVERY], reference["boxes"], rtol=1e-3, atol=1e-4)
    assert np.allclose(scores[:, ::EVERY], reference["scores"], rtol=1e-3, atol=1e-6)
    assert reference["scores"].max() > 0.15


@pytest.mark.parametrize("size_px", [320, 352])
def test_other_sizes_have_their_cells(size_px):
    boxes, scores = run(draw_image(0, size_px)[None])
    cells = sum((size_px // stride) ** 2 for stride in (8, 16, 32))
    assert boxes.shape == (1, cells, 4)
    assert scores.shape == (1, cells, len(KINDS))


def test_boxes_of_a_mirrored_image_are_mirrored():
    image = draw_image(1)
    boxes, scores = run(np.stack([image, image[:, ::-1]]))
    cell = [one.max(1).argmax() for one in scores]
    x0, y0, x1, y1 = boxes[0][cell[0]]
    assert np.abs(boxes[1][cell[1]] - (1 - x1, y0, 1 - x0, y1)).max() < 0.05


def test_a_batch_is_its_images_one_by_one(monkeypatch):
    monkeypatch.setattr("ismila.vision.animals.MIN_SCORE", 0.05)
    images = np.stack([draw_image(seed, 320) for seed in range(5)])
    detector = Detector(320)
    together = detector(images)
    for image, animals in zip(images, together, strict=True):
        [alone] = detector(image[None])
        assert [animal.kind for animal in alone] == [animal.kind for animal in animals]
        assert np.allclose([a.box for a in alone], [a.box for a in animals], atol=1e-4)
    assert any(together)


def test_nothing_is_seen_in_grey():
    assert Detector(320)(np.full((2, 320, 320, 3), 128, np.uint8)) == [[], []]


def test_a_size_that_the_cells_do_not_fill_is_refused():
    with pytest.raises(ValueError, match="multiple of 32"):
        Detector(300)


def test_detectors_of_different_sizes_have_different_digests():
    assert Detector(320).digest != Detector(352).digest
    assert len(Detector().digest) == 16


def test_of_boxes_of_one_animal_the_best_is_kept():
    whole, shifted = (0.1, 0.1, 0.6, 0.6), (0.12, 0.1, 0.62, 0.6)
    head, other, line = (0.1, 0.1, 0.3, 0.3), (0.7, 0.7, 0.9, 0.9), (0.5, 0.5, 0.5, 0.9)
    boxes = np.array([shifted, other, whole, head, line], np.float32)
    scores = np.array([0.5, 0.4, 0.9, 0.6, 0.95], np.float32)
    assert distinct(boxes, scores).tolist() == [2, 1]


def test_a_photo_has_a_limited_number_of_animals():
    left = np.arange(20, dtype=np.float32) / 20
    boxes = np.stack([left, 0 * left, left + 0.04, 0 * left + 1], 1)
    assert distinct(boxes, left).tolist() == list(range(19, 19 - MOST, -1))
    assert distinct(np.empty((0, 4), np.float32), np.empty(0, np.float32)).tolist() == []


def test_share_is_that_of_the_area():
    assert Animal((0.25, 0.25, 0.5, 0.75), "dog", 0.5).share == pytest.approx(0.125)


def found(folders, count):
    """Share of some photos in which an animal was seen."""
    if not ALBUM.is_dir():
        pytest.skip(f"{ALBUM} is not here")
    detector = Detector()
    photos = [path for name in folders for path in sorted((ALBUM / name).glob("*.jpg"))]
    some = photos[:: len(photos) // count][:count]
    seen = [detector(read_image(path, detector.spec)[None])[0] for path in some]
    return np.mean([len(animals) > 0 for animals in seen])


def test_dogs_and_cats_are_found():
    assert found(["pets/dog", "pets/cat"], 40) >= 0.95


@pytest.mark.slow
def test_things_are_seldom_animals():
    # 37 % of all 300: of a hundred, 0.47 is two standard errors away
    assert found(["not_mila"], 100) <= 0.47


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ((0.0, 0.0, 0.5, 1.0), 1.0),
        ((0.25, 0.0, 0.75, 1.0), 0.5),
        ((0.5, 0.0, 1.0, 1.0), 0.0),
        ((0.1, 0.2, 0.3, 0.4), 1.0),
        ((0.4, 0.0, 1.0, 1.0), 0.2),
        ((0.2, 0.2, 0.2, 0.9), 0.0),
    ],
)
def test_what_two_boxes_have_in_common(other, share):
    half = (0.0, 0.0, 0.5, 1.0)
    assert in_common(half, other) == in_common(other, half) == pytest.approx(share)
