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
from ismila.learning.features import Features
from ismila.photos import UserError
from ismila.photos.images import ImageSpec
from ismila.vision.animals import Animal
from ismila.vision.views import Viewer

SEEN = [Animal((0.25, 0.25, 0.5, 0.75), "dog", 0.5), Animal((0.0, 0.0, 1.0, 0.5), "cat", 0.375)]
KILLED = """
import os, sys, time
from pathlib import Path
import ismila.learning.animal_table as animals
from test_animal_table import Counting, look_at, photos_in
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
