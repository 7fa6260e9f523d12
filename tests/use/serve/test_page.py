"""The page in a real browser, around a classifier that needs no training."""

import os
import shutil
from pathlib import Path

import pytest
from loopback import running
from seen import LEFT, RIGHT, models_that_see, pets_that_see, photo_of

from ismila.use.serve.app import make_app

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
NARROW = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
WIDE = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def show(page, photos):
    """Choose photos, by name, and wait for all answers."""
    files = [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in photos]
    page.set_input_files("#choose", files)
    page.wait_for_function(
        "n => document.querySelectorAll('li .verdict').length === n", arg=len(files)
    )
    assert page.locator("li.failed").count() == 0


def place_in_photo(item, selector):
    """x0, y0, x1, y1 in [0, 1] of what lies over a shown photo, by what the browser drew."""
    return item.evaluate(
        """(item, selector) => {
          const photo = item.querySelector(".photo").getBoundingClientRect();
          const over = item.querySelector(selector).getBoundingClientRect();
          return [(over.left - photo.left) / photo.width, (over.top - photo.top) / photo.height,
            (over.right - photo.left) / photo.width, (over.bottom - photo.top) / photo.height]; }""",
        selector,
    )


@pytest.mark.parametrize("options", [NARROW, WIDE], ids=["narrow", "wide"])
def test_each_animal_has_a_box_with_its_name(browser, options):
    wide, tall = photo_of(left=250, right=10), photo_of(left=250, size=(150, 300))
    nothing, dark = photo_of(), photo_of(right=90)
    photos = [("wide.png", wide), ("tall.png", tall), ("none.png", nothing), ("dark.png", dark)]
    with running(make_app(models_that_see(0.6), feedback=False, loopback=True)) as address:
        page = browser.new_page(**options)
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.goto(address)
        show(page, photos)
        dark, nothing, tall, wide = page.locator("li").all()
        assert wide.locator(".animal").count() == 2
        assert wide.locator(".asked .name").inner_text().startswith("Mila 79")
        assert wide.locator(".animal:not(.asked) .name").inner_text() == "another animal"
        for item in (wide, tall):
            assert place_in_photo(item, ".asked") == pytest.approx(LEFT, abs=0.01)
        assert place_in_photo(wide, ".animal:not(.asked)") == pytest.approx(RIGHT, abs=0.01)
        shape = tall.locator(".photo").bounding_box()
        assert shape["width"] / shape["height"] == pytest.approx(0.5, abs=0.02)
        assert nothing.locator(".animal").count() == 0
        assert "No animal seen; the whole photo was judged." in nothing.inner_text()
        assert "No animal seen" not in wide.inner_text() + dark.inner_text()
        assert dark.locator(".name").all_inner_texts() == ["another animal"]
        assert "Mila from 60.0 % on" in wide.inner_text()
        bar, mark = (wide.locator(of).bounding_box() for of in ("meter", ".mark"))
        middle = (mark["x"] + mark["width"] / 2 - bar["x"]) / bar["width"]
        assert middle == pytest.approx(0.6, abs=0.01)
        assert "Below the mark, so no: Mila from 60.0 % on." in dark.inner_text()
        wide.get_by_role("button", name="show what speaks for it").click()
        wide.locator(".heat").wait_for()
        # a square of 1.15 times the longer side of the box, 150 of 400 x 300 px
        x0, y0, x1, y1 = place_in_photo(wide, ".heat")
        assert (400 * (x1 - x0), 300 * (y1 - y0)) == pytest.approx((172.5, 172.5), abs=2)
        assert (x0 + x1, y0 + y1) == pytest.approx((0.5, 0.9), abs=0.02)
        assert wide.locator(".animal").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
        if os.environ.get("ISMILA_SHOTS"):
            name = f"boxes-{options['viewport']['width']}.png"
            page.screenshot(path=Path(os.environ["ISMILA_SHOTS"]) / name, full_page=True)
        page.close()
        assert problems == []


def test_near_the_threshold_the_name_has_a_question_mark(browser):
    with running(make_app(models_that_see(0.8), feedback=False, loopback=True)) as address:
        page = browser.new_page(**NARROW)
        page.goto(address)
        show(page, [("a.png", photo_of(left=250, right=10))])
        assert page.inner_text("li.unsure .asked .name").startswith("Mila? ")
        page.close()


def test_a_photo_that_the_browser_cannot_show_is_replaced_by_what_was_judged(browser):
    with running(make_app(models_that_see(), feedback=False, loopback=True)) as address:
        page = browser.new_page(**NARROW)
        page.add_init_script("URL.createObjectURL = () => 'data:image/heic;base64,AAAA'")
        page.goto(address)
        show(page, [("a.heic", photo_of(left=250))])
        page.get_by_text("This browser cannot show the photo.").wait_for()
        page.get_by_role("button", name="show what speaks for it").click()
        page.wait_for_function("() => document.querySelector('.photo')?.naturalWidth > 0")
        assert page.locator(".animal").count() == 0
        assert "The animal, cut out" in page.inner_text("li")
        page.close()


@pytest.mark.parametrize("options", [NARROW, WIDE], ids=["narrow", "wide"])
def test_of_several_pets_each_has_its_box_its_line_and_its_heat(browser, options):
    both, nobody = photo_of(left=250, right=10), photo_of(left=128 + 30, right=128 - 30)
    pets = pets_that_see(0.6)
    with running(make_app(*pets, feedback=True, loopback=True)) as address:
        page = browser.new_page(**options)
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.goto(address)
        show(page, [("both.png", both), ("nobody.png", nobody), ("none.png", photo_of())])
        assert page.title() == page.inner_text("h1") == "Is it Mila or Rex?"
        none, nobody, both = page.locator("li").all()
        assert both.locator(".verdict").inner_text() == "Yes, Mila and Rex"
        assert both.locator(".animal.asked").count() == 2
        for name, box in (("Mila", LEFT), ("Rex", RIGHT)):
            [at] = [at for at in range(2) if name in both.locator(".name").nth(at).inner_text()]
            assert place_in_photo(both, f".animal:nth-of-type({at + 1})") == pytest.approx(
                box, abs=0.01
            )
        assert both.locator(".pet").count() == both.locator(".mark").count() == 2
        assert "Rex from 60.0 % on" in both.inner_text()
        assert "No animal seen" in none.inner_text()
        rex = both.get_by_role("button", name="what speaks for Rex")
        rex.focus()
        page.keyboard.press("Enter")
        both.locator(".heat").wait_for()
        assert both.locator(".heat").get_attribute("alt") == "what speaks for Rex"
        assert rex.get_attribute("aria-pressed") == "true"
        both.get_by_role("button", name="what speaks for Mila").click()
        both.get_by_alt_text("what speaks for Mila").wait_for()
        assert both.locator(".heat").count() == 1
        assert rex.get_attribute("aria-pressed") == "false"
        both.locator("summary").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        both.get_by_role("button", name="kept: Rex").wait_for()
        assert [len(one.corrected) for one in pets] == [0, 1]
        assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
        if os.environ.get("ISMILA_SHOTS"):
            name = f"pets-{options['viewport']['width']}.png"
            page.screenshot(path=Path(os.environ["ISMILA_SHOTS"]) / name, full_page=True)
        page.close()
        assert problems == []


def test_of_several_pets_too_what_was_judged_replaces_a_photo_that_cannot_be_shown(browser):
    with running(make_app(*pets_that_see(), feedback=False, loopback=True)) as address:
        page = browser.new_page(**NARROW)
        page.add_init_script("URL.createObjectURL = () => 'data:image/heic;base64,AAAA'")
        page.goto(address)
        show(page, [("a.heic", photo_of(left=250))])
        page.get_by_text("This browser cannot show the photo.").wait_for()
        why = page.get_by_role("button", name="what speaks for Mila")
        why.click()
        page.wait_for_function("() => document.querySelector('.photo')?.naturalWidth > 0")
        assert "The animal, cut out, with what speaks for Mila" in page.inner_text("li")
        why.click()
        page.get_by_text("This browser cannot show the photo.").wait_for()
        assert page.locator(".heat").count() == 0
        page.close()
