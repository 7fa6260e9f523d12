import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ismila.learning.features import Identity, Store, encode_missing, open_store
from ismila.photos.images import ImageSpec
from ismila.photos.index import index_album, usable

SPEC = ImageSpec(64)


class Counting(Identity):
    calls = 0

    def __call__(self, images):
        Counting.calls += len(images)
        return super().__call__(images)


def photos_of(album):
    (album / ".ismila").mkdir(exist_ok=True)
    rows = usable(index_album(album, "mila", album / ".ismila"))
    return [(row.sha256, album / row.path) for row in rows.itertuples()]


def test_a_row_is_computed_once(album):
    photos, encoder = photos_of(album), Counting(SPEC)
    Counting.calls = 0
    for _ in range(2):
        store = open_store(album / ".ismila", SPEC, encoder)
        assert encode_missing(photos, 2, SPEC, encoder, store) == {}
    assert Counting.calls == 2 * len(photos)
    first, mirrored = store.rows([(photos[0][0], 0), (photos[0][0], 1)])
    assert (first[:, ::-1] == mirrored).all()


def test_a_photo_that_vanished_is_named_not_fatal(album):
    photos, encoder = photos_of(album), Identity(SPEC)
    photos[3][1].unlink()
    store = open_store(album / ".ismila", SPEC, encoder)
    assert encode_missing(photos, 1, SPEC, encoder, store) == {photos[3][0]: "file not found"}
    assert (photos[4][0], 0) in store


def test_a_damaged_shard_is_computed_again(album):
    photos, encoder = photos_of(album), Counting(SPEC)
    store = open_store(album / ".ismila", SPEC, encoder)
    encode_missing(photos, 1, SPEC, encoder, store)
    [shard] = store.folder.glob("*.npy")
    shard.write_bytes(shard.read_bytes()[:1000])
    Counting.calls = 0
    store = open_store(album / ".ismila", SPEC, encoder)
    encode_missing(photos, 1, SPEC, encoder, store)
    assert Counting.calls == len(photos)


def test_rows_come_back_in_the_order_asked_for(tmp_path):
    store = Store(tmp_path, (2,), "<f4")
    store.add([("a", 0), ("b", 0)], [np.array([1, 2]), np.array([3, 4])])
    store.add([("c", 0)], [np.array([5, 6])])
    assert Store(tmp_path, (2,), "<f4").rows([("c", 0), ("a", 0)]).tolist() == [[5, 6], [1, 2]]
    with pytest.raises(KeyError):
        store.rows([("d", 0)])


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [4.0, 6.0])
def test_killed_at_any_moment_the_next_run_works(album, tmp_path, delay_s):
    command = [
        sys.executable,
        "-m",
        "ismila.train",
        "model=mobilenet",
        f"data.root={album}",
        "model.epochs=2",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
