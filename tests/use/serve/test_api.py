"""The documented API around a classifier that needs no training."""

import base64
import io
import threading
import time

import pytest
import requests
from loopback import running
from PIL import Image
from seen import LEFT, RIGHT, pets_that_see, photo_of
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
    assert requests.post(f"{where}=x", data=content).json() == {
        "error": "label=x: expected mila, not_mila, pets/other or drop"
    }
    assert models.corrected == [(len(content), "mila")]


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


@pytest.fixture(scope="module")
def pets():
    return pets_that_see(0.6)


@pytest.fixture(scope="module")
def of_pets(pets):
    with running(make_app(*pets, feedback=True, loopback=True)) as where:
        yield where


def test_of_several_pets_each_animal_has_a_name_and_each_pet_an_answer(of_pets):
    files = [("a", ("both.png", photo_of(left=250, right=10))), ("b", ("bad.png", b"x"))]
    both, bad = requests.post(f"{of_pets}/api/predict", files=files).json()["photos"]
    assert set(both) == {"name", "names", "subjects", "animals"}
    assert both["names"] == ["mila", "rex"]
    assert [(one["name"], one["box"]) for one in both["animals"]] == [
        ("mila", list(LEFT)), ("rex", list(RIGHT))
    ]  # fmt: skip
    assert list(both["subjects"]) == ["mila", "rex"]
    mila = both["subjects"]["mila"]
    expected = {"is_subject": True, "threshold": 0.6, "run": "0123456789abcdef", "verdict": "mila"}
    assert mila == {"probability": pytest.approx(0.8, abs=0.05), **expected}
    assert bad == {"name": "bad.png", "error": "not a picture"}


def test_of_several_pets_one_is_asked_by_its_run_or_all_by_an_alias(of_pets):
    where = f"{of_pets}/api/predict?run"
    content = photo_of(left=250)
    for name, subjects in (
        ("champion", ["mila", "rex"]),
        ("rex", ["rex"]),
        ("0123456789abcdef", ["mila"]),
    ):
        [told] = requests.post(f"{where}={name}", data=content).json()["photos"]
        assert list(told["subjects"]) == subjects
    assert requests.post(f"{where}=nothing", data=content).status_code == 404


def test_of_several_pets_why_is_said_of_the_one_that_is_chosen_or_those_in_the_photo(of_pets):
    where = f"{of_pets}/api/predict?heat=1"
    content = photo_of(left=250)
    [there] = requests.post(where, data=content).json()["photos"]
    assert "heat" in there["subjects"]["mila"] and "heat" not in there["subjects"]["rex"]
    [chosen] = requests.post(f"{where}&subject=rex", data=content).json()["photos"]
    assert "heat" in chosen["subjects"]["rex"] and "heat" not in chosen["subjects"]["mila"]
    unknown = requests.post(f"{where}&subject=tom", data=content)
    assert (unknown.status_code, unknown.json()) == (
        400,
        {"error": "subject=tom: expected mila or rex"},
    )


def test_about_and_health_say_the_pets_and_a_correction_goes_to_the_one_it_names(of_pets, pets):
    runs = {"mila": "0123456789abcdef", "rex": "fedcba9876543210"}
    about = requests.get(f"{of_pets}/api").json()
    known = {name: {"run": run, "threshold": 0.6} for name, run in runs.items()}
    assert about == {"subjects": known, "feedback": True}
    assert requests.get(f"{of_pets}/health").json() == {"status": "ok", "runs": runs}
    content = photo_of(left=250)
    for label in ("rex", "pets/other"):
        assert requests.post(f"{of_pets}/api/feedback?label={label}", data=content).ok
    assert [one.corrected for one in pets] == [
        [(len(content), "pets/other")],
        [(len(content), "rex")],
    ]
    wrong = requests.post(f"{of_pets}/api/feedback?label=tom", data=content).json()
    assert "expected mila, rex, not_mila, not_rex, pets/other or drop" in wrong["error"]
    schemas = requests.get(f"{of_pets}/openapi.json").json()["components"]["schemas"]
    assert "JudgedPets" in schemas and "Judged" not in schemas
