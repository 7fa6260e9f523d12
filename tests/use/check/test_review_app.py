"""The page of `ismila check --serve`, over HTTP and in a browser."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import requests
from conftest import draw_photo
from loopback import running
from wrong_album import labels, make_wrong

from ismila.cli.check import print_suspects, print_suspects_as_json
from ismila.photos.album import Album
from ismila.use.check.review import Review
from ismila.use.check.review_app import make_app
from ismila.use.check.still_page import write_page


@pytest.fixture
def served(suspected):
    root = suspected.album.root
    with running(make_app(Review(suspected.album, suspected.suspects, suspected.kinds))) as address:
        yield root, address
    (root / "labels.csv").unlink(missing_ok=True)
    make_wrong(root)


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
        "box": "",
        "note": "",
        "mine": "",
    }
    assert labels(root)["mila/m1.jpg"] == {
        "path": "mila/m1.jpg", "label": "drop", "closeup": "", "box": "", "note": "old", "mine": "x"
    }  # fmt: skip
    for left in ({"label": "mila", "closeup": ""}, None):
        assert requests.post(f"{address}/undo", json={}).json() == {"path": path}
        now = labels(root).get(path)
        assert now is None if left is None else {key: now[key] for key in left} == left
    assert requests.post(f"{address}/undo", json={}).json() == {"path": None}


def test_only_its_own_photos_are_shown_and_labelled(served):
    root, address = served
    listing = requests.get(f"{address}/album.json").json()
    assert list(listing) == ["subject", "root", "kinds", "photos", "threshold"]
    columns = {"path", "label", "kind", "closeup", "sort", "score", "reason", "suggested"}
    assert set(listing["photos"][0]) == columns | {"box", "boxes", "chosen", "probability"}
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


@pytest.fixture
def of_animals(tmp_path):
    """Photos of the subject: two animals in one, none in the next, and one whose label is wrong."""
    root = tmp_path / "album"
    two = [[0.05, 0.1, 0.45, 0.9], [0.55, 0.1, 0.95, 0.9]]
    rows = [
        ("m0", "animal", two, 1, ""),
        ("m1", "animal", [], None, "none"),
        ("m2", "label", [], None, ""),
    ]
    table = pd.DataFrame(
        {
            "path": f"mila/{name}.jpg", "label": "subject", "kind": "mila", "closeup": None,
            "box": box, "sort": sort, "score": 0.4, "reason": "which?", "suggested": "",
            "boxes": boxes, "chosen": chosen,
        }
        for name, sort, boxes, chosen, box in rows
    ).astype({"chosen": object})  # fmt: skip
    table["chosen"] = pd.Series([1, None, None], dtype=object)
    for at in range(3):
        draw_photo(root / f"mila/m{at}.jpg", at, True)
    return Review(Album.open(root, "mila"), table, ["other"])


def test_the_list_names_the_boxes_that_labels_csv_may_name(of_animals, capsys):
    print_suspects(of_animals.suspects)
    said = capsys.readouterr().out
    boxes = "box in labels.csv: 0.05 0.1 0.45 0.9, 0.55 0.1 0.95 0.9 (taken), none or x0 y0 x1 y1"
    assert f"mila/m0.jpg: which?; {boxes}\n" in said
    assert "mila/m2.jpg: which?\n" in said
    print_suspects_as_json(of_animals.suspects)
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["box"], first["chosen"], first["boxes"][0]) == ("", 1, [0.05, 0.1, 0.45, 0.9])


@contextmanager
def browser_page(**options):
    """A page in Chromium, and what it complained about."""
    sync = pytest.importorskip("playwright.sync_api")
    problems = []
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(**options)
        page.on(
            "console",
            lambda message: problems.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page, sync.expect, problems
        browser.close()


needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs Debian's chromium"
)


@pytest.mark.slow
@needs_chromium
def test_a_key_a_click_or_a_drag_says_which_animal_she_is(of_animals):
    root = of_animals.album.root
    page_of = browser_page(viewport={"width": 390, "height": 800})
    with running(make_app(of_animals)) as address, page_of as (page, expect, problems):
        page.goto(address)
        page.select_option("#sort", "animal")
        expect(page.locator("li:visible")).to_have_count(2)
        first = page.locator("li").first
        expect(first.locator(".taken")).to_have_text("2")
        first.focus()
        page.keyboard.press("1")
        expect(first.locator(".taken")).to_have_text("1")
        assert labels(root)["mila/m0.jpg"]["box"] == "0.05 0.1 0.45 0.9"
        first.get_by_label("animal 2").click()
        expect(first.locator(".now")).to_have_text("now: animal 2")
        first.get_by_role("button", name="whole photo").click()
        expect(first.locator(".taken")).to_have_count(0)
        assert labels(root)["mila/m0.jpg"]["box"] == "none"
        first.get_by_role("button", name="draw a box").click()
        # right across both animals: a drag is no click on the one where it begins or ends
        drag(page, first.locator(".frame"), (0.1, 0.2), (0.9, 0.7))
        expect(first.locator(".now")).to_have_text("now: the box that was drawn")
        drawn = [float(side) for side in labels(root)["mila/m0.jpg"]["box"].split()]
        assert drawn == pytest.approx([0.1, 0.2, 0.9, 0.7], abs=0.01)
        for word in ("the whole photo", "animal 2", "animal 1", ""):
            page.locator("#undo").click()
            expect(first.locator(".now")).to_have_text(word and f"now: {word}")
        expect(first.locator(".taken")).to_have_text("2")
        assert labels(root) == {}
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []


def drag(page, frame, start, end):
    at = frame.bounding_box()
    for step, (x, y) in enumerate((start, (0.5, 0.5), end)):
        page.mouse.move(at["x"] + x * at["width"], at["y"] + y * at["height"])
        if step == 0:
            page.mouse.down()
    page.mouse.up()


@pytest.mark.slow
@needs_chromium
def test_the_page_in_one_file_gives_the_line_for_labels_csv(of_animals, tmp_path):
    write_page(of_animals, tmp_path / "page.html")
    with browser_page() as (page, expect, problems):
        page.goto((tmp_path / "page.html").as_uri())
        page.locator("li").first.get_by_label("animal 1").click()
        expect(page.locator("#live")).to_have_text(
            "A line for labels.csv (path,label,closeup,box,note): mila/m0.jpg,,,0.05 0.1 0.45 0.9,"
        )
        page.keyboard.press("w")
        expect(page.locator("#live")).to_contain_text("mila/m0.jpg,,,none,")
        assert problems == []


@pytest.mark.slow
@needs_chromium
def test_keys_settle_photos_in_a_real_browser(served):
    root, address = served
    with browser_page(viewport={"width": 390, "height": 800}) as (page, expect, problems):
        page.goto(address)
        page.wait_for_selector("li:focus")
        paths = page.eval_on_selector_all("li", "items => items.map((item) => item.photo.path)")
        for key in ("m", "n", "c", "x"):
            page.keyboard.press(key)
            expect(page.locator("li.settled")).to_have_count("mncx".index(key) + 1)
        page.select_option("#kind", "cat")
        page.locator("li").nth(4).focus()
        page.keyboard.press("p")
        expect(page.locator("li.settled")).to_have_count(5)
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
        expect(page.locator("li.settled")).to_have_count(4)
        assert paths[4] not in labels(root)
        assert "undone" in page.inner_text("#live")
        page.locator("li").first.get_by_role("button", name="drop").click()
        expect(page.locator("li .now").first).to_have_text("now: dropped")
        assert labels(root)[paths[0]]["label"] == "drop"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []
        if os.environ.get("ISMILA_SHOTS"):
            page.screenshot(path=Path(os.environ["ISMILA_SHOTS"]) / "check.png", full_page=True)
