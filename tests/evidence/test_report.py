import json
import re
import shutil

import mlflow
import pandas as pd
import pytest
from conftest import call

from ismila.evidence.summary import few, verdict


def held_out(found, n, things, pets, n_pets):
    rows = [("subject", "mila", i < found) for i in range(n)] + [
        ("things", "things", i < things) for i in range(50)
    ]
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


@pytest.fixture(scope="module")
def page_path(swept):
    said = call(swept, "ismila.cli", "report", "--to", "out")
    assert said.returncode == 0, said.stderr
    return swept / said.stdout.strip()


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside_and_stays_with_its_run(swept, page_path):
    plotly = r'(?s)<script type="text/plain" id="plotly">.*?</script>'
    outside = re.sub(plotly, "", page_path.read_text())
    assert not re.search(r'(?:src|href)="(?:https?:)?//', outside)
    client = mlflow.MlflowClient(f"sqlite:///{swept}/mlruns/mlflow.db")
    [run] = [r for r in client.search_runs(["1"]) if r.info.run_id.startswith(page_path.stem)]
    assert "report.html" in [artifact.path for artifact in client.list_artifacts(run.info.run_id)]
    verdict_said = run.data.tags["mlflow.note.content"]
    assert verdict_said in json.loads(
        f'"{re.search(r"verdict.: .(.*?). *, .few", page_path.read_text())[1]}"'
    )


@pytest.mark.slow
def test_the_best_run_is_the_registered_champion_and_says_its_verdict(swept, page_path):
    client = mlflow.MlflowClient(f"sqlite:///{swept}/mlruns/mlflow.db")
    champion = client.get_model_version_by_alias("mila", "champion")
    assert champion.run_id.startswith(page_path.stem)  # `report` took `best`
    assert champion.description.startswith("Recognises")
    assert (
        client.get_experiment_by_name("mila").tags["mlflow.experimentKind"]
        == "custom_model_development"
    )
    [parent] = client.search_runs(["1"], "attributes.run_name LIKE 'sweep%'")
    assert parent.info.run_name == "sweep: mobilenet base,pets, 2 seeds"
    assert "against base: " in parent.data.tags["mlflow.note.content"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_the_page_opens_from_disk_and_its_parts_answer(page_path):
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        problems = []
        page.on(
            "console",
            lambda message: problems.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append("a file name ran as code"))
        page.goto(page_path.as_uri())
        page.wait_for_selector("#histogram .main-svg")
        assert "Recognises" in page.inner_text("h1")
        assert "were held out: rates on them say next to nothing" in page.inner_text("#few")
        assert "too few to say" in page.inner_text("#bars")
        assert "too few photos to say" in page.inner_text(
            "#other"
        )  # 6 of the subject, 3 other animals
        assert "Expected calibration error" in page.inner_text("#curves-words")
        widths = page.eval_on_selector_all(
            "#bars .track", "all => all.map((one) => one.clientWidth)"
        )
        assert len(set(widths)) == 1  # bars that are compared have the same length
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
