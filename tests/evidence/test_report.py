import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import asdict

import mlflow
import numpy as np
import pytest
from conftest import call
from recorded import predictions_of

from ismila.evidence.deletion import PHOTOS
from ismila.evidence.intervals import rate_of
from ismila.evidence.report import _best_other, _notes, describe, page_of, taken_among
from ismila.learning.held_out import HeldOutClassifiers
from ismila.photos.album import Album
from ismila.runs.find import (
    Recorded,
    choose_run,
    find_run,
    load_classifier,
    load_predictions,
    read_run,
)


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
    sentence = run.data.tags["mlflow.note.content"]
    assert data_of(page_path)["summary"] == sentence


def data_of(page_path):
    return json.loads(re.search(r"window.REPORT = (.*);</script>", page_path.read_text())[1])


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
def test_the_page_says_whether_the_heat_map_tells_the_truth(page_path):
    report = data_of(page_path)
    hers = [photo["p"] for photo in report["photos"] if photo["label"] == "subject"]
    deletion = report["deletion"]
    assert deletion["n"] == len(hers) <= PHOTOS
    for curve in deletion["curves"].values():
        assert curve[0] == pytest.approx(np.mean(hers), abs=1e-4)  # nothing is hidden yet
    assert deletion["areas"]["deletion"] < deletion["areas"]["insertion"]


needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs Debian's chromium"
)


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, width=390, scheme="dark"):
    """The page at a width, whose console stays without an error and which does not scroll
    sideways."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    problems = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append("a file name ran as code"))
    page.goto(path.as_uri())
    page.wait_for_function("window.Plotly && document.querySelector('#errors').children.length")
    page.wait_for_timeout(200)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []
    page.close()


@pytest.mark.slow
@needs_chromium
def test_the_page_opens_from_disk_and_its_parts_answer(page_path, browser):
    with opened(browser, page_path) as page:
        page.wait_for_selector("#histogram .main-svg")
        assert "Recognises" in page.inner_text("h1")
        assert "were held out: rates on them say next to nothing" in page.inner_text("#few")
        assert "too few to say" in page.inner_text("#bars")
        # 6 of the subject, 3 other animals
        assert "too few photos to say" in page.inner_text("#other")
        assert "Expected calibration error" in page.inner_text("#curves-words")
        assert page.is_hidden("#judged")  # one threshold for all
        assert page.locator("#taken-section").count() == 0  # one subject
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


@pytest.mark.slow
def test_who_is_taken_for_whom_by_the_runs_of_several_subjects(both_trained, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{both_trained}/mlruns/mlflow.db")
    taken = taken_among({name: find_run("best", name) for name in ("mila", "rex")})
    assert taken.subjects == ["mila", "rex"]
    assert list(taken.rows)[:2] == ["mila", "rex"]
    by_mila, by_rex = taken.rows["mila"]
    assert by_mila.hits == by_mila.n == by_rex.n > by_rex.hits


@needs_chromium
@pytest.mark.slow
def test_a_page_shows_who_is_taken_for_whom_where_several_are_reported(
    page_path, browser, tmp_path
):
    rows = {"mila": [(9, 9), (1, 9)], "rex": [(0, 0), (3, 4)]}
    rates = {
        name: [asdict(rate_of(np.arange(n) < hits)) for hits, n in of_each]
        for name, of_each in rows.items()
    }
    taken = {"subjects": ["mila", "rex"], "rows": rates}
    content = page_path.read_text().replace('"taken": null', f'"taken": {json.dumps(taken)}', 1)
    (tmp_path / "page.html").write_text(content)
    with opened(browser, tmp_path / "page.html") as page:
        rows = page.locator("#taken tr").all_inner_texts()
        assert [row.split("\t") for row in rows] == [
            ["a photo shows", "taken for mila", "taken for rex"],
            ["mila", "9 of 9 (100.0 %; 70 – 100)", "1 of 9 (11.1 %; 2 – 43)"],
            ["rex", "no photo", "3 of 4 (75.0 %; 30 – 95)"],
        ]


@pytest.fixture(scope="module")
def write_page(swept, ledger, tmp_path_factory):
    """Writes the page of a run with made-up predictions of the swept album's photos."""
    folder = tmp_path_factory.mktemp("pages")
    best = choose_run("best", "mila", f"sqlite:///{swept}/mlruns/mlflow.db").run
    classifier = load_classifier(best.run_id)
    paths = load_predictions(best.run_id).sort_values("path")

    def write(name, predictions, **more):
        for label, rows in predictions.groupby("label"):
            there = paths.loc[paths["label"] == label, "path"]
            predictions.loc[rows.index, "path"] = np.resize(there.to_numpy(), len(rows))
        run_id = ledger.run(name, predictions=predictions, classifier=classifier, **more)
        os.environ["MLFLOW_TRACKING_URI"] = ledger.uri  # `own_tracking` forgets it after the test
        album = Album.open(swept / "album", "mila")
        page = page_of(describe(read_run(run_id), album))
        path = folder / f"{name}.html"
        path.write_text(page)
        return path

    return write


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(
    ("counts", "sentences"),
    [
        ((0, 0, 0), ("nothing was measured", "no probabilities to show", "nobody can say")),
        ((0, 6, 3), ("No photo of mila", "0 and 9 were held out", "recall unknown")),
        ((4, 0, 0), ("was asked about nothing else", "4 and 0 were held out")),
        ((1, 1, 0), ("asked about no other animal", "points among mila and things")),
    ],
)
def test_what_was_not_measured_is_said_and_no_axes_stand_empty(
    write_page, browser, counts, sentences
):
    path = write_page(f"lopsided{sum(counts)}", predictions_of(*counts))
    with opened(browser, path) as page:
        text = page.inner_text("body")
        assert "NaN" not in text and "undefined %" not in text and "Infinity" not in text
        for sentence in (*sentences, "trained in one step"):
            assert sentence in text
        assert ("takes the probability down faster" in text) == (counts[0] > 0)
        charts = page.locator(".main-svg").evaluate_all(
            "all => all.map((one) => one.closest('[id]').id)"
        )
        both = counts[0] > 0 and sum(counts[1:]) > 0
        assert ("roc" in charts) == ("reliability" in charts) == both
        assert ("histogram" in charts) == (sum(counts) > 0)
        assert page.locator(".chart:not(:has(.main-svg))").count() == 0


def test_the_best_other_run_is_one_that_best_would_choose_between(ledger):
    """It was looked for by a rule of its own, which knew nothing of how `select_loss` was measured."""
    ledger.run("rivals", loss=0.01, selection_is_clean=False)
    first, second = (read_run(ledger.run("rivals")) for _ in range(2))
    os.environ["MLFLOW_TRACKING_URI"] = ledger.uri  # `own_tracking` forgets it after the test
    assert _best_other(second, "rivals").id == first.run_id
    tuned = read_run(ledger.run("rivals", selection_is_clean=False))
    assert _best_other(tuned, "rivals").id not in (first.run_id, second.run_id)


@pytest.mark.parametrize(
    ("protocol", "selection", "says"),
    [
        ("fold", "clean", []),
        ("fold", "chosen-on", ["select_loss, which is flattered"]),
        ("crossval", "chosen-on", ["chosen by figures of the same photos"]),
    ],
)
def test_the_page_says_what_was_chosen_on_which_photos(protocol, selection, says):
    run = Recorded("a", {"protocol": protocol, "selection": selection}, {}, {})
    notes = _notes(run, HeldOutClassifiers({"test": None}))
    assert len(notes) == len(says)
    assert all(part in note for part, note in zip(says, notes, strict=True))
    assert "older version" in _notes(run, HeldOutClassifiers({}))[-1]


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_cross_validated_page_judges_each_photo_by_its_own_threshold(
    write_page, browser, width, scheme
):
    table = predictions_of(20, 30, 20)
    fold = np.arange(len(table)) % 5
    table["held_out_by"] = [f"crossval {number}" for number in fold]
    table["threshold"] = 0.3 + 0.1 * fold
    table.loc[table["kind"] == "goat", "probability"] = 0.96
    path = write_page(f"crossval{width}", table, protocol="crossval")
    subject = table[table["label"] == "subject"]
    hits = int((subject["probability"] >= subject["threshold"]).sum())
    with opened(browser, path, width, scheme) as page:
        assert "cross-validated" in page.inner_text("#run")
        assert "0.300 to 0.700" in page.inner_text("#judged")
        assert "one threshold counts for all photos" in page.inner_text("#judged")
        own = page.inner_text("#figures")
        assert f"({hits} of 20)" in own
        assert page.locator("#histogram .shapelayer path").count() == 5
        page.focus("#threshold")
        page.keyboard.press("Home")
        assert "recall 100.0 % (20 of 20)" in page.inner_text("#figures")
        assert "One threshold counts for all photos now" in page.inner_text("#judged")
        assert page.locator("#histogram .shapelayer path").count() == 1
        page.click("#judged button")
        assert page.inner_text("#figures") == own
        goat = page.locator("#believed tr", has_text="goat").inner_text().split("\t")
        assert goat[4] == "100 %"  # certain and wrong
        assert "look certain and are wrong" in page.inner_text("#believed-words")
        assert "points among mila and other animals" in page.inner_text("#believed-words")
        tables = page.eval_on_selector_all(
            ".scroll", "all => all.map((one) => one.scrollWidth - one.clientWidth)"
        )
        assert tables == [0, 0]
        if shots := os.environ.get("ISMILA_SHOTS"):
            page.screenshot(path=f"{shots}/report{width}.png", full_page=True)
