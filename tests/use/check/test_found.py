"""`ismila scan --review`: what a scan found, asked one after another; what is confirmed joins the album."""

import contextlib
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import requests
from conftest import call, draw_photo
from loopback import free_port, running
from test_review_app import browser_page, drag, needs_chromium
from wrong_album import labels

from ismila.photos import UserError
from ismila.photos.added import read_records
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.photos.reviewed import read_answers, write_answers
from ismila.use.ask.judging import Scan
from ismila.use.ask.library import Library, StateRow, version_of
from ismila.use.check.found import LibraryReview, in_words
from ismila.use.check.review_app import make_app
from ismila.vision.animals import Animal
from ismila.vision.views import Viewer

TWO = ["0.05 0.1 0.45 0.9", "0.55 0.1 0.95 0.9"]
PROBABILITIES = {
    "a/1.jpg": 0.999,
    "d/2.jpg": 0.91,
    "b/3.jpg": 0.7,
    "b/known.jpg": 0.98,
    "c/twin.jpg": 0.99,
}


class TwoAnimals:
    """A detector that sees two animals in every photo."""

    recipe = digest = "two"
    spec = ImageSpec(64, "squash")

    def __call__(self, images):
        boxes = [tuple(map(float, text.split())) for text in TWO]
        return [[Animal(box, "dog", 0.9) for box in boxes] for _ in images]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """An album, and a library: one photo is in the album already, another twice in the library."""
    folder = tmp_path_factory.mktemp("found")
    draw_photo(folder / "album/mila/known.jpg", 0, True)
    draw_photo(folder / "album/pets/goat/p.jpg", 1, False)
    for seed, path in enumerate(PROBABILITIES):
        draw_photo(folder / "library" / path, 10 + seed, True)
    shutil.copy(folder / "album/mila/known.jpg", folder / "library/b/known.jpg")
    shutil.copy(folder / "library/a/1.jpg", folder / "library/c/twin.jpg")
    return folder


@pytest.fixture
def place(drawn, tmp_path):
    """A copy of both that a test may change."""
    return shutil.copytree(drawn, tmp_path / "place")


def opened(place, most=60, run="run"):
    """What a person is asked, by a run of which only the answers are known."""
    library = Library(place / "library", place / "state.sqlite")
    box = TWO[1]
    rows = [
        StateRow(path, version_of(place / "library" / path), p, None, "", box)
        for path, p in PROBABILITIES.items()
        if (place / "library" / path).exists()
    ]
    library.keep(run, rows)
    classifier = SimpleNamespace(
        subject="mila", threshold=0.9, viewer=Viewer(ImageSpec(64), TwoAnimals())
    )
    return LibraryReview.of(
        Album.open(place / "album", "mila"), Scan(library, classifier, run), most
    )


def photos_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")
                  if ".ismila" not in path.parts)  # fmt: skip


def test_what_is_in_the_album_or_twice_in_the_library_is_not_asked(place):
    listing = opened(place).listing()
    assert [(one.path, one.sort) for one in listing.photos] == [
        ("a/1.jpg", "found"), ("d/2.jpg", "doubtful"), ("b/3.jpg", "confusion")
    ]  # fmt: skip
    assert (listing.subject, listing.root, listing.threshold) == ("mila", "library", 0.9)
    assert listing.kinds == ["cat", "dog", "goat", "other"]
    assert (listing.photos[0].boxes, listing.photos[0].chosen) == (TWO, 1)
    assert len(opened(place, most=1).listing().photos) == 1


def test_answers_join_the_album_by_link_and_are_not_asked_again(place):
    found = opened(place)
    before = photos_in(place / "album")
    found.correct("a/1.jpg", "mila")
    found.correct("d/2.jpg", "pets/dog")
    found.correct("b/3.jpg", "drop")
    added = set(photos_in(place / "album")) - set(before)
    assert added == {"mila/1.jpg", "pets/dog/2.jpg"}
    assert (place / "album/mila/1.jpg").samefile(place / "library/a/1.jpg")
    assert labels(place / "album")["mila/1.jpg"]["box"] == TWO[1]
    whys = {one.path: one.why for one in read_records(place / "album").values()}
    assert whys["pets/dog/2.jpg"] == "asked as doubtful at 0.9100" and len(whys) == 2
    kept = {one.source: one for one in read_answers(place / "album").values()}
    assert kept["a/1.jpg"].why == "asked as found at 0.9990"
    assert [kept[path].path for path in sorted(kept)] == ["mila/1.jpg", "", "pets/dog/2.jpg"]
    assert in_words(found.joined(), found.album).endswith("2 photos joined (1 mila, 1 pets/dog)")
    assert opened(place).listing().photos == []


def test_undo_takes_the_photo_out_again_and_asks_again(place):
    found = opened(place)
    before = photos_in(place / "album")
    found.correct("a/1.jpg", "not_mila")
    found.correct("a/1.jpg", None, box="0.1 0.2 0.5 0.9")
    found.correct("a/1.jpg", None, box="none")
    assert labels(place / "album")["mila/1.jpg"]["box"] == "none"
    assert found.undo() == "a/1.jpg"
    assert labels(place / "album")["mila/1.jpg"]["box"] == "0.1 0.2 0.5 0.9"
    assert found.undo() == "a/1.jpg"
    assert set(photos_in(place / "album")) - set(before) == {"not_mila/1.jpg"}
    assert [found.undo(), found.undo()] == ["a/1.jpg", None]
    assert photos_in(place / "album") == before
    assert labels(place / "album") == {} == read_answers(place / "album")
    assert read_records(place / "album") == {}
    assert photos_in(place / "library") == sorted(PROBABILITIES)
    assert len(opened(place).listing().photos) == 3


def test_undo_never_deletes_the_only_file_that_holds_a_photo(place):
    found = opened(place)
    found.correct("d/2.jpg", "mila")
    (place / "library/d/2.jpg").unlink()
    with pytest.raises(UserError, match=r"has changed or gone"):
        found.undo()
    assert "mila/2.jpg" in photos_in(place / "album")


def test_an_answer_that_a_killed_process_kept_joins_with_the_next_start(place):
    found = opened(place)
    found.correct("a/1.jpg", "mila")
    found.correct("d/2.jpg", "mila")
    answers = read_answers(place / "album")
    write_answers(place / "album", {key: replace(one, path="") for key, one in answers.items()})
    (place / "album/labels.csv").unlink()
    (place / "album/mila/1.jpg").unlink()
    (place / "album/mila/2.jpg").unlink()
    (place / "library/d/2.jpg").unlink()  # what has gone meanwhile is forgotten
    assert [one.path for one in opened(place).listing().photos] == ["b/3.jpg"]
    assert "mila/1.jpg" in photos_in(place / "album")
    assert [one.path for one in read_answers(place / "album").values()] == ["mila/1.jpg"]


def test_an_answer_about_a_library_that_is_not_here_today_is_kept(place):
    opened(place).correct("a/1.jpg", "mila")
    [(sha256, answer)] = read_answers(place / "album").items()
    away = replace(answer, where=str(place / "not mounted"), path="")
    write_answers(place / "album", {sha256: away})
    opened(place)
    assert read_answers(place / "album") == {sha256: away}


def test_what_cannot_be_followed_is_refused_and_nothing_is_kept(place):
    found = opened(place)
    draw_photo(place / "library/d/2.jpg", 99, True)
    with running(make_app(found)) as address:
        for body, status, text in (
            ({"path": "../album/mila/known.jpg", "label": "mila"}, 404, "no such photo"),
            ({"path": "a/1.jpg", "label": "pets/../x"}, 400, "expected mila, not_mila"),
            ({"path": "a/1.jpg", "box": "1 2"}, 400, "expected x0 y0 x1 y1"),
            ({"path": "d/2.jpg", "label": "mila"}, 400, "has changed or gone"),
        ):
            answer = requests.post(f"{address}/correction", json=body)
            assert (answer.status_code, text in answer.json()["error"]) == (status, True)
        assert requests.get(f"{address}/photo", params={"path": "b/known.jpg"}).status_code == 404
        assert requests.get(f"{address}/photo", params={"path": "a/1.jpg"}).ok
    assert read_answers(place / "album") == {}


@pytest.mark.slow
@needs_chromium
def test_the_keyboard_answers_everything(place):
    page_of = browser_page(viewport={"width": 390, "height": 800})
    with running(make_app(opened(place))) as address, page_of as (page, expect, problems):
        page.goto(address)
        page.wait_for_selector("li:focus")
        cards = page.locator("li")
        expect(cards.nth(2).locator(".reason")).to_have_text(
            "70.0 %: not mila, which it is from 90.0 % on"
        )
        expect(cards.nth(2).locator(".mark")).to_have_attribute("style", "left: 90%;")
        page.keyboard.press("1")
        expect(cards.first.locator(".now")).to_have_text("now: mila, animal 1")
        page.keyboard.press("d")
        expect(cards.nth(1).locator(".now")).to_have_text("now: dog")
        page.keyboard.press("x")
        expect(page.locator("#live")).to_have_text(re.compile("All answered"))
        expect(page.locator("#summary")).to_have_text(
            re.compile("^3 of 3 photos of library answered")
        )
        assert labels(place / "album")["mila/1.jpg"]["box"] == TWO[0]
        for answered in (2, 1, 0):
            page.keyboard.press("u")
            expect(page.locator("li.settled")).to_have_count(answered)
        drag(page, cards.first.locator(".frame"), (0.1, 0.2), (0.9, 0.7))
        expect(cards.first.locator(".now")).to_have_text("now: mila, the box that was drawn")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []


def test_the_command_scans_asks_and_says_how_to_train_again(trained, tmp_path):
    album = shutil.copytree(trained / "album", tmp_path / "al,bum")
    draw_photo(tmp_path / "library/new.jpg", 7000, True)
    shutil.copy(album / "mila/m1.jpg", tmp_path / "library/old.jpg")
    port = free_port()
    words = ["scan", tmp_path / "library", "--state", tmp_path / "state", "--review"]
    person = threading.Thread(target=answer_and_stop, args=(port, "new.jpg"))
    person.start()
    said = call(trained, "ismila.cli", *words, "--root", album, "--port", port)
    person.join()
    assert said.returncode == 0, said.stderr
    assert "(1 photo; Ctrl-C ends it)" in said.stdout
    assert said.stdout.splitlines()[-1] == (
        f"{album}: 1 photo joined (1 mila); train again: python -m ismila.train model=mobilenet "
        f"data=pets subject=mila \"data.root='{album}'\""
    )
    assert (album / "mila/new.jpg").samefile(tmp_path / "library/new.jpg")


def answer_and_stop(port, path):
    """Say yes once the page is there, then press Ctrl-C."""
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with contextlib.suppress(requests.ConnectionError):
            if requests.post(f"{address}/correction", json={"path": path, "label": "mila"}).ok:
                break
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)


def test_only_one_pet_is_asked_about_at_a_time(tmp_path):
    said = call(tmp_path, "ismila.cli", "scan", tmp_path, "--review", "--subject", "mila,rex")
    assert (said.returncode, "--review asks about one pet" in said.stderr) == (2, True)
