import base64
import contextlib
import copy
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from PIL import Image

from ismila.evidence.explain import Explainer
from ismila.learning.backbones import make_network, weights_of
from ismila.learning.classifier import Classifier
from ismila.photos import UserError
from ismila.photos.images import ImageSpec, fit_photo, open_photo, read_image
from ismila.use.export import export_run as export
from ismila.use.export import website
from ismila.use.export.exported import ExportedClassifier
from ismila.use.export.graph import graph_of, halve

CHROMIUM = shutil.which("chromium")
ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "data/cache" / f"{website.PACKAGE}-{website.VERSION}.tgz"


def ismila(folder, *args, env=None):
    command = [sys.executable, "-m", "ismila.cli", *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


def classifier_of(name, size_px, hidden=0, **backbone):
    torch.manual_seed(0)
    described = {"name": name, "hidden": hidden, "dropout": 0.2, "weights": "bundled", **backbone}
    spec = ImageSpec(size_px, "squash", (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    network = make_network(described, spec).eval()
    for parameter in network.head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Classifier(
        weights_of(network), described, spec, "rex", 0.7, {"accuracy": 0.5}, "abcdef12"
    )


@pytest.fixture(scope="module")
def bundled():
    from ismila.learning.features import bundled_digest

    return classifier_of("mobilenet", 96, digest=bundled_digest())


def images_of(classifier, count=6):
    side = classifier.spec.size_px
    noise = np.random.default_rng(1).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in noise])


@pytest.mark.parametrize(
    ("name", "size_px", "hidden", "temperature"),
    [
        ("cnn", 64, 0, 1.0),
        ("mobilenet", 64, 0, 1.0),
        ("mobilenet", 64, 16, 2.5),
        ("bundled", 96, 0, 2.5),
    ],
)
def test_the_graph_says_what_torch_says(bundled, name, size_px, hidden, temperature):
    classifier = bundled if name == "bundled" else classifier_of(name, size_px, hidden)
    classifier = copy.copy(classifier)
    classifier.temperature = temperature
    images = images_of(classifier)
    exported = ExportedClassifier(graph_of(classifier).SerializeToString(), "rex.onnx")
    with torch.inference_mode():
        expected = torch.sigmoid(classifier.network(torch.from_numpy(images)) / temperature).numpy()
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(exported.probabilities(images, 4), expected, atol=1e-4)
    assert exported.tells_heat == (hidden == 0)


@pytest.mark.parametrize("name", ["cnn", "bundled"])
def test_its_heat_is_what_explain_draws(bundled, name):
    classifier = bundled if name == "bundled" else classifier_of("cnn", 64)
    exported = ExportedClassifier(graph_of(classifier).SerializeToString(), "rex.onnx")
    explainer = Explainer(
        classifier, pd.DataFrame({"path": [], "kind": []}), np.zeros((0, 1), np.float32)
    )
    for image in images_of(classifier, 3):
        heat = exported.heat(image)
        assert heat.shape == image.shape[:2] and heat.max() == pytest.approx(1)
        np.testing.assert_allclose(heat, explainer.explain(image).heat, atol=0.02)


def test_the_file_alone_is_enough(bundled, tmp_path):
    (tmp_path / "rex.onnx").write_bytes(graph_of(bundled).SerializeToString())
    told = ExportedClassifier.load(tmp_path)
    assert told.spec == bundled.spec
    assert (told.subject, told.threshold, told.scores, told.run) == (
        "rex",
        0.7,
        {"accuracy": 0.5},
        "abcdef12",
    )
    props = {
        entry.key: json.loads(entry.value)
        for entry in onnx.load(tmp_path / "rex.onnx").metadata_props
    }
    assert (props["labels"], props["opset"], props["format"]) == (["not_rex", "rex"], 18, 1)


def test_half_precision_halves_the_file_and_hardly_moves_the_answer(bundled):
    graph = graph_of(bundled)
    whole, half = graph.SerializeToString(), halve(graph).SerializeToString()
    assert len(half) < 0.55 * len(whole)
    images = images_of(bundled, 16)
    answers = [
        ExportedClassifier(content, "rex.onnx").probabilities(images) for content in (whole, half)
    ]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.02


def test_an_export_says_how_far_it_was_checked_and_agrees_with_predict(trained, exported):
    folder, said = exported
    assert re.search(
        r"differs from torch by at most \d\.\de-(0[5-9]|1\d) in probability on \d+ photos of the album",
        said,
    )
    exported = ExportedClassifier.load(folder / "mila.onnx")
    photos = [trained / "album" / name for name in ("mila/m1.jpg", "not_mila/t3.jpg")]
    told = [
        json.loads(line)
        for line in ismila(trained, "predict", "--json", *photos).stdout.splitlines()
    ]
    for photo, one in zip(photos, told, strict=True):
        [p] = exported.probabilities(read_image(photo, exported.spec)[None])
        assert p == pytest.approx(one["probability"], abs=1e-3)
        assert (one["run"], one["threshold"]) == (exported.run, exported.threshold)


@pytest.fixture
def in_process(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_a_graph_that_differs_from_torch_is_refused_and_leaves_nothing(
    in_process, tmp_path, monkeypatch
):
    def wrong(classifier):
        return graph_of(replace(classifier, spec=replace(classifier.spec, mean=(0.4, 0.5, 0.5))))

    monkeypatch.setattr(export, "graph_of", wrong)
    with pytest.raises(UserError, match="nothing was written"):
        export.export_run("best", "mila", tmp_path / "out", "onnx", None, None)
    assert not (tmp_path / "out").exists()


def test_without_the_album_it_is_checked_on_noise_and_says_so(in_process, tmp_path):
    (in_process / "album").rename(in_process / "gone")
    try:
        assert "of noise (the album is gone" in export.export_run(
            "best", "mila", tmp_path, "onnx", None, None
        )
        with pytest.raises(UserError, match="--root"):
            export.export_run("best", "mila", tmp_path, "onnx", tmp_path / "nowhere", None)
    finally:
        (in_process / "gone").rename(in_process / "album")


def test_what_cannot_be_exported_is_one_line_with_the_remedy(in_process, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    (tmp_path / "wrong.tgz").write_bytes(b"another package")
    said = ismila(in_process, "export", "--to", tmp_path / "full", "--format", "web")
    assert said.returncode == 1 and "notes.txt is no part of an earlier export" in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind, run, runtime, words in (
        ("web", "best", tmp_path / "wrong.tgz", "npm pack"),
        ("web", "best", tmp_path / "missing.tgz", "--runtime"),
        ("web", "best", None, "npm is not here"),
        ("onnx", "abc", None, "no such run"),
    ):
        with pytest.raises(UserError, match=words):
            export.export_run(run, "mila", tmp_path / "a", kind, None, runtime)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "wrong.tgz"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


@pytest.fixture(scope="module")
def site(trained, tmp_path_factory):
    if not RUNTIME.is_file():
        pytest.skip(
            f"needs {RUNTIME}: npm pack {website.PACKAGE}@{website.VERSION} --pack-destination data/cache"
        )
    to = tmp_path_factory.mktemp("web") / "site"
    with contextlib.chdir(trained):
        for _ in range(2):  # the second takes the place of the first
            assert "differs from torch" in export.export_run(
                "best", "mila", to, "web", None, RUNTIME
            )
    assert [path.name for path in to.parent.iterdir()] == ["site"]
    return to


@pytest.fixture
def hosted(site):
    """A static host that serves the folder under a sub-path."""
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
def open_page(hosted):
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
        page.goto(hosted[1])
        yield page
        browser.close()
        assert problems == []


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
    before = page.get_attribute("li.yes .photo", "src")
    page.locator("li.yes").get_by_role("button", name="show what speaks for it").click()
    assert page.get_attribute("li.yes .photo", "src") != before
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


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_the_browser_resizes_as_pillow(open_page, fit):
    rng = np.random.default_rng(0)
    spec = ImageSpec(96, fit)
    resize = """async ([content, spec, isJpeg]) => {
      const { fit } = await import("./images.js");
      const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      canvas.drawImage(bitmap, 0, 0);
      const rows = (y, count) => canvas.getImageData(0, y, bitmap.width, count).data;
      return [...fit(rows, bitmap.width, bitmap.height, spec, isJpeg)]; }"""
    for width, height in ((300, 700), (97, 96), (50, 60), (641, 479)):
        png = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(png, "PNG")
        content = base64.b64encode(png.getvalue()).decode()
        found = np.array(
            open_page.evaluate(resize, [content, spec.as_dict(), False]), np.uint8
        ).reshape(96, 96, 3)
        expected = fit_photo(open_photo(png.getvalue(), 96), spec)
        # Pillow takes the columns of a tall photo first: each pass rounds
        assert np.abs(found.astype(int) - expected).max() <= (height > 2 * width), (width, height)
    with Image.open(png) as photo:  # what stands in for Pillow's smaller decoding of a JPEG
        expected = fit_photo(photo.reduce(4), spec)
    found = np.array(open_page.evaluate(resize, [content, spec.as_dict(), True]), np.uint8).reshape(
        96, 96, 3
    )
    assert np.abs(found.astype(int) - expected).max() <= 1
