import base64
import concurrent.futures
import csv
import io
import os
import re
import shutil
import signal
import socket
import zipfile
import zlib
from pathlib import Path

import pytest
import requests
from conftest import call, draw_photo
from PIL import Image
from server import start

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def served(trained):
    process, address = start(trained)
    yield trained, address
    process.send_signal(signal.SIGINT)
    assert process.wait(15) in (0, 130)
    assert "Traceback" not in process.stdout.read()


def photo_of(folder, name="mila/m0.jpg"):
    return (folder / "album" / name).read_bytes()


def test_a_client_of_the_first_is_mila_is_answered(served):
    folder, address = served
    names = requests.get(f"{address}/model").json()["models"]
    assert names[0] == "champion" and len(names) == 2
    for name in names:
        told = requests.get(
            f"{address}/model/{name}", headers={"Accept": "application/json"}
        ).json()
        assert told["network"] == {
            "batch_size": 1,
            "image": {"rows": 128, "cols": 128, "color_channels": 3},
        }
        assert told["meta"]["classes"] == ["mila", "not_mila"]
        assert all(
            told["meta"]["latest_logs"][key] >= 0
            for key in ("accuracy", "loss", "val_accuracy", "val_loss")
        )
        answer = requests.post(
            f"{address}/model/{name}/prediction",
            data=photo_of(folder),
            headers={"Origin": "http://x"},
        )
        [told] = answer.json()
        assert told["mila"] > 0.5 and told["mila"] + told["not_mila"] == pytest.approx(1)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    missing = requests.get(f"{address}/model/nothing")
    assert (missing.status_code, missing.json()) == (404, {"error": "Model not found: nothing"})


def test_it_says_what_predict_says(served):
    folder, address = served
    paths = [f"album/{name}" for name in ("mila/m1.jpg", "not_mila/t3.jpg", "pets/dog/p3.jpg")]
    said = call(folder, "ismila.cli", "predict", *paths).stdout.splitlines()
    files = [("photos", (path, (folder / path).read_bytes())) for path in paths]
    told = requests.post(f"{address}/api/predict", files=files).json()
    assert [photo["name"] for photo in told["photos"]] == paths
    for line, photo in zip(said, told["photos"], strict=True):
        assert float(re.search(r"([\d.]+)%", line)[1]) == pytest.approx(
            100 * photo["probability"], abs=0.1
        )
        assert line.split("  ")[0].strip() == photo["verdict"] or photo["verdict"] in line


def test_heat_and_nearest_photos_come_on_request(served):
    folder, address = served
    address = f"{address}/api/predict?heat=true&nearest=2"
    [told] = requests.post(
        address, data=photo_of(folder), headers={"Content-Type": "image/jpeg"}
    ).json()["photos"]
    heat = Image.open(io.BytesIO(base64.b64decode(told["heat"].split(",")[1])))
    assert abs(heat.width / heat.height - 4 / 3) < 0.02
    assert told["heat_box"] == [0, 0, 1, 1]
    plain = requests.post(address.split("?")[0], data=photo_of(folder)).json()["photos"][0]
    assert told["probability"] == plain["probability"]
    assert len(told["nearest"]) == 2 and told["nearest"][0]["src"].startswith("data:image/jpeg")


def one_colour_png(side):
    row = b"\0" + b"\x40" * 3 * side
    packed = zlib.compressobj(1)
    data = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()

    def chunk(name, content):
        body = name + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bad_bodies():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.jpg", "x" * 1000)
    jpeg = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(jpeg, "JPEG")
    tiny = io.BytesIO()
    Image.new("RGB", (3, 3)).save(tiny, "PNG")
    return {
        "zip": packed.getvalue(),
        "html": b"<html><body>no photo</body></html>",
        "empty": b"",
        "truncated": jpeg.getvalue()[:2000],
        "tiny": tiny.getvalue(),
        "text": b"mila",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n",
    }


@pytest.mark.parametrize("where", ["/api/predict", "/model/champion/prediction"])
def test_a_bad_upload_is_a_4xx_in_json_at_once_and_others_are_answered(served, where):
    folder, address = served
    bodies = {**bad_bodies(), "bomb": one_colour_png(30_000), "zeros": b"\0" * 200_000_000}
    for name, body in bodies.items():
        try:
            answer = requests.post(
                address + where, data=body, headers={"Content-Type": "image/jpeg"}, timeout=5
            )
        except requests.ConnectionError:  # the answer was sent and the rest of the 200 MB refused
            assert name == "zeros"
            continue
        assert 400 <= answer.status_code < 500, (name, answer.status_code, answer.text[:200])
        assert answer.json()["error"], name
    for kind in ("text/html", "application/json", "application/zip"):
        answer = requests.post(
            address + where, data=photo_of(folder), headers={"Content-Type": kind}
        )
        assert answer.status_code == 415
    assert requests.post(f"{address}/model/champion/prediction", data=photo_of(folder)).ok


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "x" * 3000, "a%00b", "%2e%2e", "' or 1=1", "ünique"]
)
def test_a_name_that_tricks_is_not_found(served, name):
    _, address = served
    for answer in (
        requests.get(f"{address}/model/{name}", timeout=5),
        requests.post(f"{address}/model/{name}/prediction", data=b"x", timeout=5),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_one_broken_photo_among_several_is_named(served):
    folder, address = served
    files = [("a", ("good.jpg", photo_of(folder))), ("b", ("../bad.jpg", b"nothing"))]
    answer = requests.post(f"{address}/api/predict", files=files)
    good, bad = answer.json()["photos"]
    assert answer.ok and "probability" in good
    assert bad == {"name": "../bad.jpg", "error": "not a picture"}
    broken = requests.post(
        f"{address}/api/predict", data=b"x", headers={"Content-Type": "multipart/form-data"}
    )
    assert broken.status_code == 400


def test_a_slow_client_does_not_hold_up_others(served):
    folder, address = served
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        head = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        slow.sendall(head + b"Content-Type: image/png\r\n\r\nab")
        assert requests.post(
            f"{address}/model/champion/prediction", data=photo_of(folder), timeout=5
        ).ok
        slow.settimeout(20)
        assert b" 408 " in slow.recv(4096)


def test_many_clients_at_once_are_all_answered_or_told_to_wait(served):
    folder, address = served
    photos = [photo_of(folder, f"mila/m{i}.jpg") for i in range(8)]

    def ask(i):
        answer = requests.post(
            f"{address}/model/champion/prediction", data=photos[i % 8], timeout=60
        )
        return answer.status_code, answer.headers.get("Retry-After"), answer.text

    with concurrent.futures.ThreadPoolExecutor(120) as pool:
        told = list(pool.map(ask, range(400)))
    assert {status for status, *_ in told} <= {200, 503}
    assert all(wait == "1" for status, wait, _ in told if status == 503)
    by_photo = {}
    for i, (status, _, text) in enumerate(told):
        if status == 200:
            by_photo.setdefault(i % 8, set()).add(
                round(float(re.search(r'"mila":([\d.e-]+)', text)[1]), 4)
            )
    assert len(by_photo) == 8 and all(len(found) == 1 for found in by_photo.values())
    metrics = requests.get(f"{address}/metrics").text
    assert 'ismila_requests_total{status="200"}' in metrics
    assert "ismila_requests_waiting 0.0" in metrics


def labels(root):
    with (root / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def test_a_correction_lands_in_the_album_and_only_from_this_machines_page(served, tmp_path):
    folder, address = served
    where = f"{address}/api/feedback"
    assert requests.post(f"{where}?label=not_mila", data=photo_of(folder)).json() == {
        "path": "mila/m0.jpg"
    }
    new = draw_photo(tmp_path / "new.jpg", 5000, True).read_bytes()
    path = requests.post(f"{where}?label=mila", data=new).json()["path"]
    assert (folder / "album" / path).read_bytes() == new
    assert labels(folder / "album") == {"mila/m0.jpg": "not_mila", path: "mila"}
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert requests.post(f"{where}?label=drop", data=new, headers=headers).status_code == 403
    assert requests.post(f"{where}?label=../x", data=new).status_code == 400
    assert requests.post(f"{where}?label=mila", data=b"no photo").status_code == 422
    assert len(labels(folder / "album")) == 2
    (folder / "album/labels.csv").unlink()


def test_other_sites_pages_reach_the_first_api_only(served):
    folder, address = served
    other = {"Origin": "http://other.example"}
    assert (
        requests.get(f"{address}/model", headers=other).headers["Access-Control-Allow-Origin"]
        == "*"
    )
    told = requests.post(f"{address}/api/predict?nearest=2", data=photo_of(folder), headers=other)
    assert "Access-Control-Allow-Origin" not in told.headers
    bound = {
        "Host": f"other.example:{address.split(':')[-1]}"
    }  # its name made to mean this machine
    for path in ("/", "/api", "/model", "/health"):
        told = requests.get(address + path, headers=bound)
        assert told.status_code == 403 and "--host" in told.json()["error"]
    for host in ("localhost", "127.0.0.1:1", "[::1]:8000"):
        assert requests.get(f"{address}/health", headers={"Host": host}).ok


def test_a_port_that_is_taken_and_a_missing_run_are_one_line(served, tmp_path):
    folder, address = served
    for cwd, args, words in (
        (folder, ["--port", address.split(":")[-1]], "give another"),
        (tmp_path, [], "no finished"),
    ):
        said = call(cwd, "ismila.cli", "serve", *args)
        assert said.returncode == 1
        assert words in said.stderr and len(said.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_the_page_in_a_real_browser(trained, tmp_path):
    sync = pytest.importorskip("playwright.sync_api")
    process, address = start(trained)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    drop = """async ([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], name, { type: "image/jpeg" }));
      document.dispatchEvent(new %s); }"""
    dropped = drop % 'DragEvent("drop", { dataTransfer: files, cancelable: true })'
    pasted = drop % 'ClipboardEvent("paste", { clipboardData: files })'
    content = base64.b64encode(photo_of(trained)).decode()
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        sync.expect(page).to_have_title("Is it Mila?")
        sync.expect(page.locator("#where")).to_contain_text("not kept")
        page.evaluate(dropped, ["dropped.jpg", content])
        page.wait_for_selector("li.yes")
        assert "Yes, Mila" in page.inner_text("li.yes .verdict")
        assert "dropped.jpg: Yes, Mila" in page.inner_text("#live")
        assert page.locator("li .heat").count() == page.locator(".near img").count() == 0
        page.keyboard.press("Tab")
        page.get_by_role("button", name="show what speaks for it").focus()
        page.keyboard.press("Enter")
        sync.expect(page.locator("li .heat")).to_be_visible()
        sync.expect(page.locator(".near img")).to_have_count(4)
        page.keyboard.press("Enter")
        sync.expect(page.locator("li .heat")).to_have_count(0)
        page.evaluate(pasted, ["pasted.jpg", content])
        sync.expect(page.locator("li.yes")).to_have_count(2)
        several = [str(trained / f"album/not_mila/t{i}.jpg") for i in range(2)]
        page.set_input_files("#choose", [*several, str(tmp_path / "broken.jpg")])
        page.wait_for_selector("li.failed")
        assert "not a picture" in page.inner_text("li.failed")
        assert page.locator("li.no, li.unsure, li.yes").count() == 4
        page.get_by_role("button", name="that's wrong").last.click()
        sync.expect(page.get_by_role("button", name="kept").first).to_be_visible()
        assert "mila/m0.jpg" in labels(trained / "album")
        (trained / "album/labels.csv").unlink()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if os.environ.get("ISMILA_SHOTS"):
            page.screenshot(path=Path(os.environ["ISMILA_SHOTS"]) / "serve.png", full_page=True)
        process.kill()
        process.wait()
        page.evaluate(dropped, ["late.jpg", content])
        sync.expect(page.locator("li.failed").first).to_contain_text("server is gone")
        assert problems == []
        browser.close()
