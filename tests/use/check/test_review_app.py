"""The page of `ismila check --serve`, over HTTP and in a browser."""

import os
import shutil
from pathlib import Path

import pytest
import requests
from loopback import running
from wrong_album import labels, make_wrong

from ismila.photos.album import Album
from ismila.use.check.review import Review
from ismila.use.check.review_app import make_app


@pytest.fixture
def served(album):
    review = Review.of(Album.open(make_wrong(album), "mila"))
    with running(make_app(review)) as address:
        yield album, address


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


def test_only_its_own_photos_are_shown_and_labelled(served):
    root, address = served
    listing = requests.get(f"{address}/album.json").json()
    assert list(listing) == ["subject", "root", "kinds", "photos"]
    assert {"path", "label", "kind", "closeup", "sort", "score", "reason", "suggested"} == set(
        listing["photos"][0]
    )
    shown = requests.get(f"{address}/photo", params={"path": listing["photos"][0]["path"]})
    assert shown.headers["Content-Type"] == "image/jpeg" and shown.content[:2] == b"\xff\xd8"
    for path in ("../../etc/passwd", "mila/m0.jpg/../also.jpg", ""):
        assert requests.get(f"{address}/photo", params={"path": path}).status_code == 404
        body = {"path": path, "label": "drop"}
        assert requests.post(f"{address}/correction", json=body).status_code == 404
    answer = requests.post(f"{address}/correction", json={"path": "mila/also.jpg", "label": "../x"})
    assert (answer.status_code, "expected mila" in answer.json()["error"]) == (400, True)
    assert requests.post(f"{address}/correction", json={"label": "drop"}).status_code == 422
    assert labels(root) == {}


def test_a_photo_that_has_gone_is_said(served):
    root, address = served
    (root / "mila/also.jpg").unlink()
    answer = requests.get(f"{address}/photo", params={"path": "mila/also.jpg"})
    assert (answer.status_code, answer.json()["error"]) == (422, "file not found")


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
            sync.expect(page.locator("li.settled")).to_have_count("mncx".index(key) + 1)
        page.select_option("#kind", "cat")
        page.locator("li").nth(4).focus()
        page.keyboard.press("p")
        sync.expect(page.locator("li.settled")).to_have_count(5)
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
        sync.expect(page.locator("li.settled")).to_have_count(4)
        assert paths[4] not in labels(root)
        assert "undone" in page.inner_text("#live")
        page.locator("li").first.get_by_role("button", name="drop").click()
        sync.expect(page.locator("li .now").first).to_have_text("now: dropped")
        assert labels(root)[paths[0]]["label"] == "drop"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []
        if os.environ.get("ISMILA_SHOTS"):
            page.screenshot(path=Path(os.environ["ISMILA_SHOTS"]) / "check.png", full_page=True)
        browser.close()
