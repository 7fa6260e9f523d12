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

from ismila.photos import UserError
from ismila.photos.images import ImageSpec, fit_photo, open_photo
from ismila.runs.find import find_run
from ismila.use.export import website
from ismila.use.export.export_run import export_web

CHROMIUM = shutil.which("chromium")
ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "data/cache" / f"{website.PACKAGE}-{website.VERSION}.tgz"


def ismila(folder, *args, env=None):
    command = [sys.executable, "-m", "ismila.cli", *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="module")
def site(trained, tmp_path_factory):
    if not RUNTIME.is_file():
        pytest.skip(
            f"needs {RUNTIME}: npm pack {website.PACKAGE}@{website.VERSION} --pack-destination data/cache"
        )
    to = tmp_path_factory.mktemp("web") / "site"
    to.mkdir()
    of_before = {"made_by": website.MADE_BY, "files": ["old.js", website.MARK]}
    (to / website.MARK).write_text(json.dumps(of_before))
    (to / "old.js").write_text("of an earlier export")
    with contextlib.chdir(trained):
        run_id = find_run("best", "mila", f"sqlite:///{trained}/mlruns/mlflow.db")
        said = export_web(run_id, to, runtime=RUNTIME)
        assert "differs from torch" in said
    assert [path.name for path in to.parent.iterdir()] == ["site"]
    assert not (to / "old.js").exists()
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
