import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ismila.learning import animal_table
from ismila.learning.animal_table import COLUMNS, TABLE, AnimalTable
from ismila.learning.animals import (
    KINDS,
    MOST,
    Animal,
    Detector,
    distinct,
    in_common,
)
from ismila.learning.features import Features
from ismila.learning.graphs import graph_session
from ismila.learning.views import Viewer
from ismila.learning.weights import NANODET
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, read_image

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from convert_nanodet import EVERY, REFERENCE, draw_image

ALBUM = Path(os.environ.get("ISMILA_SHARED", Path(__file__).parents[3] / "shared")) / "album"
SEEN = [Animal((0.25, 0.25, 0.5, 0.75), "dog", 0.5), Animal((0.0, 0.0, 1.0, 0.5), "cat", 0.375)]
KILLED = """
import os, sys, time
from pathlib import Path
import ismila.learning.animal_table as animals
from test_learning_animals import Counting, look_at, photos_in
class Dies(Counting):
    def __call__(self, images):
        if self.looked == 18:
            os._exit(9)
        time.sleep(0.05)
        return super().__call__(images)
animals.KEPT_EVERY = 8
look_at(photos_in(Path(sys.argv[1])), Path(sys.argv[2]), Dies())
"""


class Counting:
    """Sees two animals in every photo but the dark ones."""

    recipe = "counting"
    digest = "counting"
    spec = ImageSpec(32)

    def __init__(self):
        self.looked = 0

    def __call__(self, images):
        self.looked += len(images)
        return [SEEN if image.mean() > 20 else [] for image in images]


class Width:
    """Stands for a backbone."""

    digest = "width"
    dtype = "<f4"
    shape = (1,)

    def __call__(self, images):
        return images[:, 0, :1, 0].astype(np.float32)


def look_at(photos, derived, detector):
    """The animals in each photo by sha256, as a training finds them; photos that cannot be read are left out."""
    features = Features(derived, Viewer(ImageSpec(32), detector), Width())
    problems = features.fill(photos)
    return {sha: list(features.animals.get(sha)) for sha, _ in photos if sha not in problems}


def photos_in(folder):
    paths = sorted(folder.rglob("*.jpg"))
    return [(hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in paths]


@pytest.fixture
def photos(tmp_path):
    from conftest import draw_photo

    for number in range(20):
        draw_photo(tmp_path / "photos" / f"{number:02}.jpg", number, subject=True)
    return photos_in(tmp_path / "photos")


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
    monkeypatch.setattr("ismila.learning.animals.MIN_SCORE", 0.05)
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
    assert SEEN[0].share == pytest.approx(0.125)


def test_a_photo_is_looked_at_once(photos, tmp_path):
    photos[3][1].write_bytes(b"not a picture")
    first, second = Counting(), Counting()
    seen = look_at(photos, tmp_path / "derived", first)
    del photos[3]
    assert set(seen) == {sha for sha, _ in photos}
    assert first.looked == len(photos)
    assert look_at(photos, tmp_path / "derived", second) == seen
    assert second.looked == 0
    table = pd.read_parquet(tmp_path / "derived" / TABLE)
    assert tuple(table.columns) == COLUMNS


def test_a_photo_without_animals_is_not_asked_again(photos, tmp_path):
    class Blind(Counting):
        def __call__(self, images):
            return [[] for _ in super().__call__(images)]

    seen = look_at(photos, tmp_path, Blind())
    assert set(map(len, seen.values())) == {0}
    again = Blind()
    assert look_at(photos, tmp_path, again) == seen
    assert again.looked == 0


def test_rows_of_another_detector_are_kept_and_not_taken(photos, tmp_path):
    class Other(Counting):
        recipe = "other"
        digest = "other"

    look_at(photos, tmp_path, Counting())
    other, again = Other(), Counting()
    look_at(photos, tmp_path, other)
    look_at(photos, tmp_path, again)
    assert (other.looked, again.looked) == (len(photos), 0)


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing more"])
def test_a_damaged_table_is_made_again(photos, tmp_path, content):
    seen = look_at(photos, tmp_path, Counting())
    (tmp_path / TABLE).write_bytes(content)
    detector = Counting()
    assert look_at(photos, tmp_path, detector) == seen
    assert detector.looked == len(photos)


def test_what_a_killed_run_wrote_is_not_done_again(photos, tmp_path):
    derived = tmp_path / "derived"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "photos"), str(derived)]
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    died = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert died.returncode == 9
    detector = Counting()
    assert len(look_at(photos, derived, detector)) == len(photos)
    assert detector.looked <= len(photos) - 8


def test_what_is_written_grows_with_the_photos_and_not_with_their_square(tmp_path, monkeypatch):
    monkeypatch.setattr(animal_table, "KEPT_EVERY", 1)
    written = []
    monkeypatch.setattr(animal_table, "write_aside", lambda path, content: written.append(path))
    table = AnimalTable(tmp_path, Counting())
    for number in range(640):
        table.add(str(number), SEEN)
    assert 32 < len(written) < 160


def test_a_derived_folder_that_cannot_be_written_is_named(photos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"data\.cache"):
        look_at(photos, tmp_path / "file", Counting())


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
