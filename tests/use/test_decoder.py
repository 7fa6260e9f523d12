import asyncio
import io
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from ismila.photos.images import MAX_PIXELS, ImageSpec, PhotoError, read_image
from ismila.use.decoder import Decoder, PixelBudget, pixels_of
from ismila.vision.views import Viewer


def photo(size, kind="PNG", **how):
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, kind, **how)
    return out.getvalue()


def test_a_budget_is_never_exceeded_and_a_large_one_gets_its_turn():
    budget, held, most, done = PixelBudget(100), 0, 0, []
    lock = threading.Lock()

    def work(name, pixels):
        nonlocal held, most
        with budget.hold(pixels):
            with lock:
                held += min(pixels, 100)
                most = max(most, held)
            time.sleep(0.005)
            with lock:
                held -= min(pixels, 100)
                done.append(name)

    threads = []
    for at in range(40):
        threads.append(threading.Thread(target=work, args=(at, 500 if at == 8 else 30)))
        threads[-1].start()
        time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert most == 100 and len(done) == 40
    assert done.index(8) < 20  # not overtaken by all that came later


def test_a_budget_is_given_back_after_an_error():
    budget = PixelBudget(10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.hold(10):
            raise ZeroDivisionError


def test_one_job_gives_the_image_that_predict_sees_and_the_upright_shape():
    decoder = Decoder()
    turned = Image.Exif()
    turned[0x0112] = 6
    content = photo((300, 200), "JPEG", exif=turned)
    spec = ImageSpec(64)
    views = asyncio.run(decoder.run(decoder.views, content, Viewer(spec)))
    np.testing.assert_array_equal(views.images[0], read_image(content, spec))
    assert views.width_px < views.height_px


def test_what_is_no_photo_is_said():
    decoder = Decoder()
    with pytest.raises(PhotoError, match="not a picture"):
        decoder.views(b"text", Viewer(ImageSpec(64)))
    with pytest.raises(PhotoError, match="too large"):
        decoder.views(photo((300, 200)), Viewer(ImageSpec(64)), max_pixels=100)


def test_a_thumbnail_keeps_the_proportions():
    thumbnail = Image.open(io.BytesIO(Decoder().thumbnail(photo((300, 200)), 120, 80)))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (120, 80))


def test_pixels_are_counted_as_they_will_be_decoded(tmp_path):
    assert pixels_of(photo((300, 200)), 64) == 60_000
    assert pixels_of(photo((800, 800), "JPEG"), 100) == 10_000
    assert pixels_of(photo((800, 800), "JPEG", progressive=True), 100) == 640_000
    assert pixels_of(b"no photo", 64) == MAX_PIXELS
    assert pixels_of(tmp_path / "missing.jpg", 64) == 0
    os.mkfifo(tmp_path / "pipe.jpg")
    assert pixels_of(tmp_path / "pipe.jpg", 64) == 0  # it would wait for ever
