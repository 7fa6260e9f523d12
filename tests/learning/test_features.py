import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import SMALL, call
from recorded import in_processes

from ismila.learning.features import Features, Store
from ismila.photos import images
from ismila.photos.album import Album
from ismila.photos.images import FAR_VIEW, ImageSpec, view_of
from ismila.photos.index import usable
from ismila.vision.encoders import Identity
from ismila.vision.views import Viewer

SPEC = ImageSpec(64)


class Counting(Identity):
    calls = 0

    def __call__(self, images):
        Counting.calls += len(images)
        return super().__call__(images)


def opened(root, encoder):
    album = Album.open(root, "mila")
    return album.photos(usable(album.update())), Features(album.derived, Viewer(SPEC), encoder)


def test_a_row_is_computed_once(album):
    Counting.calls = 0
    for _ in range(2):
        photos, features = opened(album, Counting(SPEC))
        assert features.fill(photos, views=2) == {}
    assert Counting.calls == 2 * len(photos)
    sha256 = photos[0][0]
    assert (features.rows([sha256])[0][:, ::-1] == features.rows([sha256], view=1)[0]).all()


def test_some_photos_are_looked_at_from_afar_too(album):
    Counting.calls = 0
    photos, features = opened(album, Counting(SPEC))
    far = {photos[1][0], photos[2][0]}
    features.fill(photos)
    for _ in range(2):
        features.fill(photos, low_resolution=far)
    assert Counting.calls == len(photos) + 2
    assert [features.has(sha, [FAR_VIEW]) for sha, _ in photos[:4]] == [False, True, True, False]
    [image], [smaller] = (features.rows([photos[1][0]], view) for view in (0, FAR_VIEW))
    assert (smaller == view_of(image, photos[1][0], FAR_VIEW)).all()


class Meeting(Identity):
    """Encodes when all processes are about to."""

    def __init__(self, folder, n):
        super().__init__(SPEC)
        self.folder = folder
        self.n = n

    def __call__(self, images):
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < self.n:
            time.sleep(0.01)
        return super().__call__(images)


def fill_as(rank, root, n):
    """What one process of two does, `n` of which live."""
    os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    met = root.with_name("met")
    met.mkdir(exist_ok=True)
    photos, features = opened(root, Meeting(met, n))
    features.fill(photos)
    assert all(features.has(sha) for sha, _ in photos)


def test_processes_of_one_training_share_the_photos(album):
    photos, features = opened(album, Identity(SPEC))
    assert in_processes(fill_as, [(0, album, 2), (1, album, 2)]) == [0, 0]
    shards = [np.load(file) for file in features.store.folder.glob("*.npy")]
    assert [len(shard) for shard in shards] == [len(photos) // 2] * 2
    _, alone = opened(shutil.copytree(album, album.with_name("alone")), Identity(SPEC))
    alone.fill(photos)
    _, features = opened(album, Identity(SPEC))
    shas = [sha for sha, _ in photos]
    assert (features.rows(shas) == alone.rows(shas)).all()


def test_what_a_process_that_died_leaves_the_others_do(album):
    photos, features = opened(album, Identity(SPEC))
    assert in_processes(fill_as, [(0, album, 1)]) == [0]  # the other of the two never came
    _, features = opened(album, Identity(SPEC))
    assert all(features.has(sha) for sha, _ in photos)


def test_a_photo_that_vanished_is_named_not_fatal(album):
    photos, features = opened(album, Identity(SPEC))
    photos[3][1].unlink()
    assert features.fill(photos) == {photos[3][0]: "file not found"}
    assert (photos[4][0], 0) in features.store


def test_no_row_stands_under_the_name_of_another_photo(album):
    photos, features = opened(album, Identity(SPEC))
    shutil.copy(photos[4][1], photos[3][1])
    problems = features.fill(photos)
    assert list(problems) == [photos[3][0]]
    assert "has changed" in problems[photos[3][0]]
    assert (photos[3][0], 0) not in features.store


def test_rows_of_another_reader_or_image_specification_are_not_taken(album, monkeypatch):
    _, features = opened(album, Identity(SPEC))
    derived = features.store.folder.parents[1]
    other_size = Features(derived, Viewer(ImageSpec(65)), Identity(SPEC))
    monkeypatch.setattr(images, "PIXELS_VERSION", 99)
    other_pixels = Features(derived, Viewer(SPEC), Identity(SPEC))
    folders = {each.store.folder for each in (features, other_size, other_pixels)}
    assert len(folders) == 3


def test_a_damaged_shard_is_computed_again(album):
    photos, features = opened(album, Counting(SPEC))
    features.fill(photos)
    [shard] = features.store.folder.glob("*.npy")
    shard.write_bytes(shard.read_bytes()[:1000])
    Counting.calls = 0
    photos, features = opened(album, Counting(SPEC))
    features.fill(photos)
    assert Counting.calls == len(photos)


def test_rows_come_back_in_the_order_asked_for(tmp_path):
    store = Store(tmp_path, (2,), "<f4")
    store.add([("a", 0), ("b", 0)], [np.array([1, 2]), np.array([3, 4])])
    store.add([("c", 0)], [np.array([5, 6])])
    assert Store(tmp_path, (2,), "<f4").rows([("c", 0), ("a", 0)]).tolist() == [[5, 6], [1, 2]]
    with pytest.raises(KeyError):
        store.rows([("d", 0)])


@pytest.mark.slow
def test_killed_while_features_are_computed_the_next_run_works(album, tmp_path):
    words = ["ismila.train", *SMALL, f"data.root={album}"]
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    while not list((album / ".ismila").rglob("features/*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    said = call(tmp_path, *words)
    assert said.returncode == 0, said.stderr
