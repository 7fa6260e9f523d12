"""The documented API around a classifier that needs no training."""

import base64
import io
import threading
import time

import pytest
import requests
from loopback import running
from PIL import Image
from stub import StubModels, grey_png

from ismila.use.serve.app import make_app


@pytest.fixture(scope="module")
def models():
    return StubModels()


@pytest.fixture(scope="module")
def address(models):
    with running(make_app(models, feedback=True, loopback=True)) as where:
        yield where


def test_about_says_who_answers_and_begins_to_load_explanations(address, models):
    before = models.default.prepared
    about = requests.get(f"{address}/api").json()
    assert about == {
        "subject": "mila", "run": models.default.run_id, "threshold": 0.5, "feedback": True
    }  # fmt: skip
    for _ in range(100):
        if models.default.prepared > before:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was loaded")


def test_photos_are_answered_in_order_and_say_no_more_than_was_asked(address):
    files = [("a", (f"{value}.png", grey_png(value))) for value in (255, 0, 128)]
    answer = requests.post(f"{address}/api/predict", files=files).json()
    assert list(answer) == ["run", "subject", "threshold", "photos"]
    assert [photo["name"] for photo in answer["photos"]] == ["255.png", "0.png", "128.png"]
    assert [photo["verdict"] for photo in answer["photos"]] == ["mila", "not mila", "unsure"]
    assert all(
        set(photo) == {"name", "probability", "verdict", "is_subject"} for photo in answer["photos"]
    )


def test_heat_has_the_photos_proportions(address):
    [told] = requests.post(f"{address}/api/predict?heat=1", data=grey_png(size=(64, 48))).json()[
        "photos"
    ]
    heat = Image.open(io.BytesIO(base64.b64decode(told["heat"].split(",")[1])))
    assert heat.size == (480, 360)
    assert told["said"] == "it is bright" and told["nearest"] == []


def test_errors_are_in_words_and_one_bad_photo_spoils_no_other(address):
    files = [("a", ("bad.png", b"x")), ("b", ("good.png", grey_png()))]
    bad, good = requests.post(f"{address}/api/predict", files=files).json()["photos"]
    assert bad == {"name": "bad.png", "error": "not a picture"} and good["is_subject"]
    only_bad = requests.post(f"{address}/api/predict", files=files[:1])
    assert (only_bad.status_code, only_bad.json()) == (422, {"error": "not a picture"})
    many = requests.post(f"{address}/api/predict?nearest=9", data=grey_png())
    assert many.status_code == 422 and many.json()["error"].startswith("nearest: ")


def test_feedback_keeps_photos_only(address, models):
    where = f"{address}/api/feedback?label"
    content = grey_png()
    assert requests.post(f"{where}=mila", data=content).json() == {"path": "feedback/x.png"}
    assert requests.post(f"{where}=mila", data=b"no photo").status_code == 422
    assert requests.post(f"{where}=x", data=content).json() == {"error": "label=x: expected mila"}
    assert models.corrected == [len(content)]


def test_feedback_can_be_off():
    with running(make_app(StubModels(), feedback=False, loopback=False)) as where:
        assert requests.get(f"{where}/api").json()["feedback"] is False
        answer = requests.post(f"{where}/api/feedback?label=mila", data=grey_png())
        assert answer.status_code == 403 and "--feedback" in answer.json()["error"]


def test_openapi_describes_what_is_answered(address):
    described = requests.get(f"{address}/openapi.json").json()
    schemas = described["components"]["schemas"]
    assert {"probability", "verdict", "heat", "nearest"} <= set(schemas["Judged"]["properties"])
    answer = described["paths"]["/api/predict"]["post"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Answer")


def test_loading_explanations_holds_up_nobody():
    models = StubModels()
    loading = threading.Event()
    models.default.prepare = lambda: loading.wait(10)
    with running(make_app(models, feedback=False, loopback=True)) as where:
        explained = []
        asking = threading.Thread(
            target=lambda: explained.append(
                requests.post(f"{where}/api/predict?heat=1", data=grey_png())
            )
        )
        asking.start()
        time.sleep(0.2)
        for _ in range(3):
            assert requests.post(f"{where}/api/predict", data=grey_png(), timeout=5).ok
        assert explained == []
        loading.set()
        asking.join(10)
        assert explained[0].ok and "heat" in explained[0].json()["photos"][0]
