"""Recorded runs behind a real server, which writes nothing but a correction."""

import csv
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from conftest import BLUE, call, draw_photo
from server import start

from ismila.use.serve import from_runs
from ismila.use.serve.from_runs import RunModels, _suffix

pytestmark = pytest.mark.slow


def contents(*folders):
    """Every file and folder below, with what would change if it was written."""
    return {
        str(path): path.stat().st_mtime_ns if path.is_file() else None
        for folder in folders
        for path in folder.rglob("*")
    }


@pytest.fixture
def features_gone(trained):
    """The album as somebody left it who deleted half of what is derived."""
    features = trained / "album/.ismila/features"
    aside = trained / "features-aside"
    shutil.copytree(features, aside)
    for shard in list(features.rglob("*.npy")):
        shard.unlink()
    yield trained
    shutil.rmtree(features)
    aside.rename(features)


def ask(address, content, **wanted):
    return requests.post(f"{address}/api/predict", params=wanted, data=content, timeout=60).json()


def test_it_writes_nothing_and_knows_the_neighbours_that_are_cached(trained):
    process, address = start(trained)
    try:
        requests.get(f"{address}/model")
        before = contents(trained)
        [photo] = ask(address, (trained / "album/mila/m0.jpg").read_bytes(), heat=1, nearest=3)[
            "photos"
        ]
        assert len(photo["nearest"]) == 3
        assert all(near["src"].startswith("data:image/jpeg") for near in photo["nearest"])
        assert contents(trained) == before
    finally:
        process.kill()
        process.wait()


def test_without_cached_features_there_are_no_neighbours_and_the_album_is_not_read(features_gone):
    process, address = start(features_gone)
    try:
        requests.get(f"{address}/model")
        before = contents(features_gone)
        content = (features_gone / "album/mila/m0.jpg").read_bytes()
        [photo] = ask(address, content, heat=1, nearest=3)["photos"]
        assert photo["nearest"] == [] and photo["heat"]
        assert contents(features_gone) == before
    finally:
        process.kill()
        process.wait()


def test_photos_are_answered_beside_the_first_explanation(trained):
    process, address = start(trained)
    content = (trained / "album/mila/m0.jpg").read_bytes()
    try:
        with ThreadPoolExecutor() as asking:
            explained = asking.submit(ask, address, content, heat=1)
            [plain] = ask(address, content)["photos"]
            [with_heat] = explained.result(60)["photos"]
        assert with_heat["heat"]
        # two photos that happen to go together are summed up in another order
        assert with_heat["probability"] == pytest.approx(plain["probability"], abs=1e-5)
        assert ask(address, content, run="champion")["photos"] == ask(address, content)["photos"]
    finally:
        process.kill()
        process.wait()


def test_a_run_that_is_loaded_waits_for_nothing_that_is_being_loaded(trained, monkeypatch):
    monkeypatch.chdir(trained)
    models = RunModels("mila", "champion", None)
    with ThreadPoolExecutor() as asking, from_runs._importing:
        model = asking.submit(models.get, "champion").result(30)
    assert model is models.default


def test_a_new_photo_is_kept_as_what_it_is_and_a_known_one_is_only_named(trained, tmp_path):
    process, address = start(trained)
    root = trained / "album"
    new = draw_photo(tmp_path / "new.jpg", 7000, True).read_bytes()
    where = f"{address}/api/feedback?label"
    try:
        known = requests.post(f"{where}=drop", data=(root / "mila/m3.jpg").read_bytes()).json()
        path = requests.post(f"{where}=mila", data=new).json()["path"]
        assert known == {"path": "mila/m3.jpg"} and path.startswith("feedback/")
        assert (root / path).read_bytes() == new
        rows = list(csv.DictReader(io.StringIO((root / "labels.csv").read_text())))
        assert {row["path"]: row["label"] for row in rows} == {"mila/m3.jpg": "drop", path: "mila"}
        shutil.rmtree(root / "feedback")
        (root / "feedback").write_text("in the way")
        refused = requests.post(f"{where}=mila", data=new)
        assert refused.status_code == 400 and "may be written" in refused.json()["error"]
    finally:
        process.kill()
        process.wait()
        (root / "feedback").unlink(missing_ok=True)
        (root / "labels.csv").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", "jpg"), (b"\x89PNG\r\n", "png"), (b"GIF89a", "gif"), (b"BM12", "bmp"),
        (b"\0\0\0\x1cftypheic", "heic"), (b"\0\0\0\x1cftypavif", "avif"),
        (b"RIFF\0\0\0\0WEBPVP8", "webp"), (b"II*\0", "tif"),
    ],
)  # fmt: skip
def test_a_kept_photo_is_named_by_its_content(content, suffix):
    assert _suffix(content) == suffix


def test_several_pets_are_answered_as_predict_does_and_corrected_by_name(both_trained, tmp_path):
    draw_photo(tmp_path / "mila.jpg", 901, True)
    draw_photo(tmp_path / "nobody.jpg", 902, False)
    draw_photo(tmp_path / "rex.jpg", 903, True, colour=BLUE)
    both = ("--subject", "mila,rex")
    said = call(both_trained, "ismila.cli", "predict", "--json", *both, tmp_path)
    expected = [json.loads(line) for line in said.stdout.splitlines()]
    photos = [Path(one["path"]) for one in expected]
    process, address = start(both_trained, *both)
    try:
        files = [("photos", (photo.name, photo.read_bytes())) for photo in photos]
        told = requests.post(f"{address}/api/predict", files=files, timeout=60).json()["photos"]
        for one, photo in zip(expected, told, strict=True):
            assert photo["names"] == one["names"] and "animals" not in photo
            for subject, answer in one["subjects"].items():
                served = photo["subjects"][subject]
                assert served.pop("verdict") in (subject, f"not {subject}", "unsure")
                assert served.pop("probability") == pytest.approx(
                    answer.pop("probability"), abs=1e-5
                )
                assert served == answer
        runs = requests.get(f"{address}/health").json()["runs"]
        content = photos[2].read_bytes()
        [why] = ask(address, content, heat=1, nearest=2, subject="rex")["photos"]
        near = why["subjects"]["rex"]["nearest"]
        assert [one["kind"] for one in near] == ["rex", "rex"] and why["subjects"]["rex"]["heat"]
        [alone] = ask(address, content, run=runs["rex"][:12])["photos"]
        assert list(alone["subjects"]) == ["rex"]
        known = (both_trained / "album/rex/r0.jpg").read_bytes()
        kept = requests.post(f"{address}/api/feedback?label=mila", data=known, timeout=60).json()
        assert kept == {"path": "rex/r0.jpg"}
    finally:
        process.kill()
        process.wait()
        (both_trained / "album/labels.csv").unlink(missing_ok=True)
