import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from untrained import bundled_classifier, bundled_pair

from ismila.demo.shots import draw_shot, plan_album
from ismila.photos import UserError
from ismila.photos.images import (
    ImageSpec,
    cut_photo,
    fit_photo,
    jpeg_bytes,
    open_photo,
    square_around,
)
from ismila.runs.find import find_run
from ismila.use.ask.pets import Pets
from ismila.use.export import website
from ismila.use.export.export_run import export_web
from ismila.use.export.exported import ANIMALS, ExportedClassifier, ExportedFile
from ismila.use.export.graph import graph_of, halve
from ismila.vision.animals import Animal, bundled_detector
from ismila.vision.judgement import PetProbabilities, assign_names, named
from ismila.vision.views import MARGIN
from ismila.vision.weights import NANODET

CHROMIUM = shutil.which("chromium")
ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "data/cache" / f"{website.PACKAGE}-{website.VERSION}.tgz"


def ismila(folder, *args, env=None):
    command = [sys.executable, "-m", "ismila.cli", *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="module")
def runtime():
    """onnxruntime-web as npm packs it."""
    if not RUNTIME.is_file():
        pytest.skip(
            f"needs {RUNTIME}: npm pack {website.PACKAGE}@{website.VERSION} --pack-destination data/cache"
        )
    return RUNTIME


@pytest.fixture(scope="module")
def site(runtime, trained, tmp_path_factory):
    to = tmp_path_factory.mktemp("web") / "site"
    to.mkdir()
    of_before = {"made_by": website.MADE_BY, "files": ["old.js", website.MARK]}
    (to / website.MARK).write_text(json.dumps(of_before))
    (to / "old.js").write_text("of an earlier export")
    with contextlib.chdir(trained):
        run_id = find_run("best", "mila", f"sqlite:///{trained}/mlruns/mlflow.db")
        said = export_web({"mila": run_id}, to, runtime=runtime)
        assert "differs from torch" in said
    assert [path.name for path in to.parent.iterdir()] == ["site"]
    assert not (to / "old.js").exists()
    return to


@contextlib.contextmanager
def hosting(site):
    """A static host that serves the folder under a sub-path: its process and the page's address."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "0",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(site.parent),
    ]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = re.search(r"http://[^/]+", host.stdout.readline())[0]
    yield host, f"{address}/site/"
    host.kill()
    host.wait()


@pytest.fixture
def hosted(site):
    with hosting(site) as told:
        yield told


@contextlib.contextmanager
def opened(address):
    """The page in a browser; an error of its scripts fails the test."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda message: message.type == "error" and problems.append(message.text)
        )
        page.goto(address)
        yield page
        browser.close()
        assert problems == []


@pytest.fixture
def open_page(hosted):
    with opened(hosted[1]) as page:
        yield page


@pytest.mark.slow
def test_the_exported_page_judges_in_the_browser_also_without_a_network(
    hosted, open_page, trained, tmp_path
):
    host, page = hosted[0], open_page
    asked = []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    photos = [trained / "album" / name for name in ("not_mila/t3.jpg", "mila/m1.jpg")]
    page.set_input_files("#choose", [str(photo) for photo in photos])
    page.wait_for_selector("li.yes")
    page.wait_for_selector("li.no")
    shown = [page.inner_text(f"li.{verdict} .words") for verdict in ("no", "yes")]
    told = [
        json.loads(line)
        for line in ismila(trained, "predict", "--json", *photos).stdout.splitlines()
    ]
    for text, one in zip(shown, told, strict=True):
        assert float(re.search(r"([\d.]+) %", text)[1]) == pytest.approx(
            100 * one["probability"], abs=3
        )
    assert page.locator("li.yes .heat").count() == 0
    page.locator("li.yes").get_by_role("button", name="show what speaks for it").click()
    page.locator("li.yes .heat").wait_for()
    assert page.locator(".animal").count() == 0 and "No animal seen" not in page.inner_text("main")
    assert (
        page.locator(".near").count() == 0
        and page.get_by_role("button", name="that's wrong").count() == 0
    )
    assert "never leave this device" in page.inner_text("#where")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if os.environ.get("ISMILA_SHOTS"):
        page.screenshot(path=Path(os.environ["ISMILA_SHOTS"]) / "export.png", full_page=True)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    page.set_input_files("#choose", str(tmp_path / "broken.jpg"))
    page.wait_for_selector("li.failed")
    assert "not a picture" in page.inner_text("li.failed")

    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    host.kill()
    host.wait()
    page.context.set_offline(True)
    page.reload()
    page.set_input_files("#choose", str(photos[1]))
    page.wait_for_selector("li.yes")
    assert page.inner_text("li.yes .words").split("\n")[1] == shown[1].split("\n")[1]
    assert {method for method, _ in asked} == {"GET"}
    assert all(url.startswith((hosted[1], "blob:")) for _, url in asked)


RESIZE = """async ([content, spec, isJpeg, box]) => {
  const { fit, reduced, wholeBox } = await import("./images.js");
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const rows = (y, count) => canvas.getImageData(0, y, bitmap.width, count).data;
  const photo = reduced(rows, bitmap.width, bitmap.height, spec.size_px, isJpeg);
  return [...fit(photo, spec.size_px, box ?? wholeBox(photo, spec.fit))]; }"""


def resized(page, png, spec, is_jpeg=False, box=None):
    """`[size_px, size_px, 3]` as the page makes it of a PNG; `box` is in pixels."""
    content = base64.b64encode(png).decode()
    found = page.evaluate(RESIZE, [content, spec.as_dict(), is_jpeg, box])
    return np.array(found).reshape(spec.size_px, spec.size_px, 3)


def noise_png(width, height):
    rng = np.random.default_rng(width)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_the_browser_resizes_as_pillow(open_page, fit):
    spec = ImageSpec(96, fit)
    for width, height in ((300, 700), (97, 96), (50, 60), (120, 150), (641, 479)):
        png = noise_png(width, height)
        expected = fit_photo(open_photo(png, 96), spec).astype(int)
        assert (resized(open_page, png, spec) == expected).all(), (width, height)
    with Image.open(io.BytesIO(png)) as photo:  # what stands in for Pillow's smaller decoding
        expected = fit_photo(photo.reduce(4), spec).astype(int)
    assert np.abs(resized(open_page, png, spec, is_jpeg=True) - expected).max() <= 1


@pytest.mark.slow
def test_the_browser_cuts_out_as_pillow(open_page):
    spec = ImageSpec(96)
    for size_px in ((301, 211), (150, 260)):
        png = noise_png(*size_px)
        photo = open_photo(png, 96)
        for box in ((0.1, 0.2, 0.35, 0.55), (0.0, 0.0, 0.97, 1.0), (0.801, 0.9, 0.999, 0.99)):
            place = square_around(box, photo.size, MARGIN)
            found = resized(open_page, png, spec, box=list(place))
            assert (found == cut_photo(photo, box, spec, MARGIN)).all(), (size_px, box)


@pytest.fixture(scope="module")
def with_detector(runtime, tmp_path_factory):
    """A page that is asked about animals, and the same classifier in Python."""
    whole = graph_of(bundled_classifier(bundled_detector().digest))
    model = halve(whole).SerializeToString()
    site = tmp_path_factory.mktemp("web") / "site"
    halved = ExportedFile(model, "rex.onnx")
    website.write_website(site, model, halved, website.runtime_files(runtime))
    return site, ExportedClassifier(ExportedFile(whole.SerializeToString(), "rex.onnx"))


ANSWER = """async (content) => {
  const { answer } = await import("./answers.js");
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  return await answer(new Blob([bytes])); }"""


EXPLAIN = """async (content) => {
  const { explain } = await import("./answers.js");
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  return await explain(new Blob([bytes]), "rex"); }"""


def drawings():
    """Of a dog, of one in which several animals are seen, of a house, and the dog in a large JPEG."""
    shots = {Path(shot.path).stem: shot for shot in plan_album("mila", 0, 0.1)}
    photos = [draw_shot(shots[name], 0).jpeg for name in ("mila_001", "mila_008", "house_002")]
    with Image.open(io.BytesIO(photos[0])) as photo:
        large = photo.resize((2100, 2800), Image.Resampling.BICUBIC)
    return [*photos, jpeg_bytes(large, 92)]


@pytest.mark.slow
def test_the_browser_sees_the_same_animals_and_says_the_same_of_them(with_detector):
    site, exported = with_detector
    counts = []
    with hosting(site) as (_, address), opened(address) as page:
        for photo in drawings():
            found = page.evaluate(ANSWER, base64.b64encode(photo).decode())
            views = exported.viewer.read(photo)
            [expected] = exported.judge([views])
            animals = named(expected, exported.subject, exported.threshold)
            pet = found["subjects"]["rex"]
            assert pet["probability"] == pytest.approx(expected.probability, abs=3e-2)
            told = [one["probability"] for one in found["animals"]]
            assert told == pytest.approx([one.probability for one in animals], abs=3e-2)
            is_large = views.width_px > 1000  # the browser's decoder makes no small picture
            for one, animal in zip(found["animals"], animals, strict=True):
                assert one["box"] == pytest.approx(animal.box, abs=1e-2 if is_large else 1e-3)
                assert (one["kind"], one["name"]) == (animal.kind, animal.name)
            place = views.place(expected.image, exported.spec)
            why = page.evaluate(EXPLAIN, base64.b64encode(photo).decode())
            assert why["heat_box"] == pytest.approx(place, abs=1e-2 if is_large else 1e-3)
            assert "heat" in why and "heat" not in pet
            counts.append(len(animals))
    assert counts[0] == counts[3] == 1 and counts[1] > 1 and counts[2] == 0


@pytest.mark.slow
def test_the_exported_page_shows_the_animals(with_detector):
    files = [
        {"name": f"{at}.jpg", "mimeType": "image/jpeg", "buffer": photo}
        for at, photo in enumerate(drawings()[:3])
    ]
    with hosting(with_detector[0]) as (_, address), opened(address) as page:
        page.set_input_files("#choose", files)
        page.wait_for_function("() => document.querySelectorAll('li .verdict').length === 3")
        house, several, dog = page.locator("li").all()
        assert "No animal seen; the whole photo was judged." in house.inner_text()
        assert several.locator(".animal").count() > 1 and dog.locator(".animal").count() == 1
        assert "Rex from 70.0 % on" in dog.inner_text()


@pytest.fixture(scope="module")
def of_pets(runtime, tmp_path_factory):
    """A page for two pets that is asked about animals, and their classifiers in Python."""
    pair = bundled_pair(bundled_detector().digest)
    content = halve(graph_of(*pair)).SerializeToString()
    site = tmp_path_factory.mktemp("web") / "site"
    exported = ExportedFile(content, "rex+mila.onnx")
    website.write_website(site, content, exported, website.runtime_files(runtime))
    return site, Pets({one.subject: one for one in pair}, {one.subject: one.run for one in pair})


NAMES = """async ([pets, probabilities, boxes]) => {
  const { assignNames } = await import("./names.js");
  return assignNames(pets, probabilities, boxes); }"""


@pytest.mark.slow
def test_the_browser_names_several_pets_by_the_same_rule(of_pets):
    site, pets = of_pets
    rng = np.random.default_rng(0)
    with hosting(site) as (_, address), opened(address) as page:
        for _ in range(30):
            p = rng.choice(np.float32([0.1, 0.5, 0.9, 0.99999994, 1]), (3, 4))
            p[0] = rng.random(4)
            known = [{"subject": f"pet {at}", "threshold": at} for at in (0.3, 0.5, 0.9)]
            answers = [PetProbabilities(**one, probabilities=p[at]) for at, one in enumerate(known)]
            corners = np.sort(rng.random((4, 2, 2)), axis=1).reshape(4, 4).tolist()
            for boxes in ([], corners):
                animals = [Animal(tuple(box), "cat", 0.5) for box in boxes]
                told = page.evaluate(NAMES, [known, p.tolist(), boxes])
                assert told == list(assign_names(answers, animals))
        photos = drawings()[:3]
        for photo in photos:
            found = page.evaluate(ANSWER, base64.b64encode(photo).decode())
            [expected] = pets.judge([pets.read(photo)])
            for subject, answer in expected.subjects.items():
                told = found["subjects"][subject]
                assert told["probability"] == pytest.approx(answer.probability, abs=3e-2)
                assert told["is_subject"] == answer.is_subject
                assert (told["verdict"], "heat" in told) == (answer.verdict, False)
            assert [one["name"] for one in found["animals"]] == [
                one.name for one in expected.animals
            ]
        assert page.title() == "Is it Rex or Mila?"
        content = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photos[0]}
        page.set_input_files("#choose", content)
        page.get_by_role("button", name="what speaks for Mila").click()
        page.get_by_alt_text("what speaks for Mila").wait_for()
        assert page.locator(".pet").count() == 2
    assert "Is it Rex or Mila?" in (site / "site.webmanifest").read_text()


def test_the_page_finds_animals_by_the_values_that_python_has(with_detector):
    site, exported = with_detector
    settings = json.loads((site / website.MARK).read_text())
    detector = exported.viewer.detector
    assert settings["detector"]["size_px"] == detector.spec.size_px
    kept = ["min_score", "same_iou", "part", "candidates"]
    for name in kept:
        assert str(settings["detector"][name]) in detector.recipe
    assert (site / ANIMALS).read_bytes() == NANODET.read_bytes()
    assert f'"{ANIMALS}"' in (site / "service.js").read_text()
    assert ANIMALS in settings["files"]


def test_a_page_that_judges_whole_photos_has_no_detector(tmp_path):
    exported = ExportedFile(graph_of(bundled_classifier()).SerializeToString(), "rex.onnx")
    website.write_website(tmp_path / "site", b"model", exported, {})
    settings = json.loads((tmp_path / "site" / website.MARK).read_text())
    assert settings["detector"] is None
    assert not (tmp_path / "site" / ANIMALS).exists()


def test_the_page_may_do_what_its_parts_need_and_no_more():
    policy = dict(directive.split(" ", 1) for directive in website.POLICY.split("; "))
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert "frame-ancestors" not in policy  # browsers ignore it outside of a header
    assert all("http" not in value and "*" not in value for value in policy.values())


def test_another_folder_is_not_taken_for_an_earlier_export(tmp_path):
    assert website.other_content(tmp_path / "new") == ""
    assert website.other_content(tmp_path) == ""
    (tmp_path / "model.json").write_text("[]")
    assert website.other_content(tmp_path) == "model.json"
    made = {"made_by": website.MADE_BY, "files": ["model.json"]}
    (tmp_path / "model.json").write_text(json.dumps(made))
    assert website.other_content(tmp_path) == ""
    (tmp_path / "notes.txt").write_text("mine")
    assert website.other_content(tmp_path) == "notes.txt"
    assert website.other_content(tmp_path / "notes.txt") == "notes.txt"


def test_a_cached_package_that_is_another_is_said_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(website, "CACHE", tmp_path)
    (tmp_path / f"{website.PACKAGE}-{website.VERSION}.tgz").write_bytes(b"another")
    with pytest.raises(UserError, match=r"SHA-512 differs.*delete it"):
        website.runtime_files(None)
