import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import draw_photo

from ismila.evidence.verdict import few, verdict


def held_out(found, n, things, pets, n_pets):
    rows = [("subject", "mila", i < found) for i in range(n)] + [("things", "things", i < things) for i in range(50)]
    rows += [("pets", "dog", i < pets) for i in range(n_pets)]
    table = pd.DataFrame(rows, columns=["label", "kind", "taken"])
    return table.assign(probability=table["taken"].astype(float), closeup=False)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (held_out(19, 20, 0, 1, 80), "more than an animal detector"),
        (held_out(20, 20, 0, 40, 80), "rather an animal detector"),
        (held_out(4, 20, 0, 0, 80), "misses mila more often than not"),
        (held_out(9, 10, 0, 0, 6), "too few animals"),
        (held_out(9, 10, 0, 0, 0), "asked about no other animal"),
    ],
)
def test_the_verdict_follows_from_the_counts(table, words):
    assert words in verdict(table, 0.5, "mila")


def test_too_few_photos_are_said():
    assert few(held_out(9, 10, 0, 0, 6), "mila") == (
        "Only 6 photos of other animals were held out: rates on them say next to nothing."
    )
    assert few(held_out(19, 20, 0, 0, 80), "mila") == ""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_the_page_opens_from_disk_and_its_parts_answer(album, tmp_path):
    sync = pytest.importorskip("playwright.sync_api")
    for i in range(12):
        draw_photo(album / f"not_mila/<img src=x onerror=alert(1)>{i}.jpg", 600 + i, i % 2 == 0)

    def call(module, *args):
        command = [sys.executable, "-m", module, *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ)

    call("ismila.train", "model=mobilenet", "data=base", f"data.root={album}")
    call("ismila.train", "model=mobilenet", "data=pets", f"data.root={album}")
    said = call("ismila.cli", "report", "--to", "out")
    assert said.returncode == 0, said.stderr
    page_path = tmp_path / said.stdout.strip()
    outside = re.sub(r"(?s)<script>/\*\*.*?</script>", "", page_path.read_text())  # without plotly's own source
    assert not re.search(r'(?:src|href)="(?:https?:)?//', outside)
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        problems = []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append("a file name ran as code"))
        page.goto(page_path.as_uri())
        page.wait_for_selector("#histogram .main-svg")
        assert "Recognises" in page.inner_text("h1")
        before = page.inner_text("#figures")
        page.focus("#threshold")
        page.keyboard.press("Home")
        assert page.inner_text("#figures") != before
        assert "recall 100.0 %" in page.inner_text("#figures")
        page.locator("#confusion button").nth(2).click()
        negatives = page.evaluate("REPORT.photos.filter((p) => p.label !== 'subject').length")
        assert page.locator("#opened figure").count() == negatives
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert problems == []
        browser.close()
