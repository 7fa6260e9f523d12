import csv
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests
import uvicorn
from conftest import draw_photo

from ismila.photos.labels import correct
from ismila.use.check.review import Album, make_app


@pytest.fixture
def wrong(album):
    draw_photo(album / "not_mila/wr<i>ng & ünique.jpg", 700, True)
    draw_photo(album / "mila/also.jpg", 701, False)
    (album / ".ismila").mkdir(exist_ok=True)
    return album


@pytest.fixture
def served(wrong):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = make_app(Album(wrong, "mila", wrong / ".ismila"), port)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield wrong, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(5)


def labels(root):
    if not (root / "labels.csv").exists():
        return {}
    with (root / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def check(root, *args):
    command = [sys.executable, "-m", "ismila.cli", "check", "--root", str(root), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_list_comes_worst_first_as_lines_and_as_json(wrong):
    said = check(wrong)
    assert said.returncode == 0, said.stderr
    assert "wr<i>ng & ünique.jpg: labelled not mila, looks like mila" in said.stdout
    told = [json.loads(line) for line in check(wrong, "--json").stdout.splitlines()]
    assert [row["score"] for row in told] == sorted((row["score"] for row in told), reverse=True)


def test_the_page_in_one_file_needs_nothing_else(wrong, tmp_path):
    assert check(wrong, "--html", tmp_path / "page.html").returncode == 0
    page = (tmp_path / "page.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "wr<i>ng" not in page


def test_a_correction_is_written_at_once_and_can_be_undone(served):
    root, address = served
    (root / "labels.csv").write_text(
        "path,label,closeup,note,mine\nmila/m1.jpg,drop,,old,x\n", encoding="utf-8-sig"
    )
    path = "not_mila/wr<i>ng & ünique.jpg"
    assert requests.post(f"{address}/correction", json={"path": path, "label": "mila"}).ok
    assert requests.post(f"{address}/correction", json={"path": path, "closeup": True}).ok
    assert labels(root)[path] == {
        "path": path,
        "label": "mila",
        "closeup": "yes",
        "note": "",
        "mine": "",
    }
    assert labels(root)["mila/m1.jpg"] == {
        "path": "mila/m1.jpg", "label": "drop", "closeup": "", "note": "old", "mine": "x"
    }  # fmt: skip
    for left in ({"label": "mila", "closeup": ""}, None):
        assert requests.post(f"{address}/undo", json={}).json() == {"path": path}
        now = labels(root).get(path)
        assert now is None if left is None else {key: now[key] for key in left} == left
    assert requests.post(f"{address}/undo", json={}).json() == {"path": None}


def test_only_the_page_itself_may_ask_and_only_about_its_photos(served):
    root, address = served
    body = {"path": "mila/also.jpg", "label": "drop"}
    assert (
        requests.get(f"{address}/album.json", headers={"Host": "evil.example"}).status_code == 403
    )
    assert (
        requests.post(
            f"{address}/correction", json=body, headers={"Origin": "http://evil"}
        ).status_code
        == 403
    )
    assert requests.get(f"{address}/photo", params={"path": "../../etc/passwd"}).status_code == 404
    assert (
        requests.post(f"{address}/correction", json={"path": "../x", "label": "drop"}).status_code
        == 404
    )
    answer = requests.post(f"{address}/correction", json={**body, "label": "../x"})
    assert (answer.status_code, "expected mila" in answer.json()["error"]) == (400, True)
    assert labels(root) == {}


def test_corrections_from_several_threads_are_all_there(wrong):
    threads = [
        threading.Thread(target=correct, args=(wrong, "mila", f"mila/m{i}.jpg", {"label": "drop"}))
        for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(labels(wrong)) == 20


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_keys_settle_photos_in_a_real_browser(served):
    sync = pytest.importorskip("playwright.sync_api")
    root, address = served
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        problems = []
        page.on(
            "console",
            lambda message: problems.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.wait_for_selector("li:focus")
        paths = page.eval_on_selector_all("li", "items => items.map((item) => item.photo.path)")
        for key in ("m", "n", "c", "x"):
            page.keyboard.press(key)
            page.wait_for_function(
                f"document.querySelectorAll('li.settled').length === {'mncx'.index(key) + 1}"
            )
        page.select_option("#kind", "cat")
        page.locator("li").nth(4).focus()
        page.keyboard.press("p")
        page.wait_for_function("document.querySelectorAll('li.settled').length === 5")
        said = labels(root)
        assert [said[path]["label"] for path in paths[:5]] == [
            "mila",
            "not_mila",
            "",
            "drop",
            "pets/cat",
        ]
        assert said[paths[2]]["closeup"] == "yes"
        page.keyboard.press("u")
        page.wait_for_function("document.querySelectorAll('li.settled').length === 4")
        assert paths[4] not in labels(root)
        assert "undone" in page.inner_text("#live")
        page.locator("li").first.get_by_role("button", name="drop").click()
        page.wait_for_function("document.querySelector('li .now').textContent === 'now: dropped'")
        assert labels(root)[paths[0]]["label"] == "drop"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []
        browser.close()
