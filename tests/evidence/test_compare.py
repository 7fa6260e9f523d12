import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from ismila.evidence.compare import RunFigures, compare_runs
from ismila.evidence.metrics import wilson


def run_of(data, seed, shift):
    rng = np.random.default_rng(seed)
    label = np.repeat(["subject", "things", "pets"], [20, 40, 60])
    p = np.clip(
        rng.normal(0.2 + 0.5 * (label == "subject") + shift * (label == "pets"), 0.15), 0, 1
    )
    table = pd.DataFrame(
        {"path": [f"{i}" for i in range(120)], "group": [f"g{i // 2}" for i in range(120)]}
    )
    table = table.assign(
        label=label, kind=np.where(label == "pets", "dog", label), closeup=False, probability=p
    )
    held_out = np.random.default_rng(100 + seed).random(120) < 0.5
    return RunFigures(
        f"{data}{seed}",
        "mobilenet",
        data,
        seed,
        0.5,
        table.assign(held_out=held_out, fold=np.where(held_out, "test", "val")),
    )


@pytest.fixture
def runs():
    return [
        run_of(data, seed, shift)
        for data, shift in (("base", 0.3), ("pets", 0.0))
        for seed in range(4)
    ]


def test_means_are_those_of_scikit_learn(runs):
    table = compare_runs(runs).set_index("data")
    for data in ("base", "pets"):
        tests = [r.predictions[r.predictions["held_out"]] for r in runs if r.data == data]
        recall = [recall_score(t["label"] == "subject", t["probability"] >= 0.5) for t in tests]
        auroc = [roc_auc_score(t["label"] == "subject", t["probability"]) for t in tests]
        pets = [(t.loc[t["label"] == "pets", "probability"] >= 0.5).mean() for t in tests]
        assert table.loc[data, "test_recall"] == pytest.approx(np.mean(recall), abs=1e-9)
        assert table.loc[data, "test_auroc"] == pytest.approx(np.mean(auroc), abs=1e-9)
        assert table.loc[data, "test_fpr_pets"] == pytest.approx(np.mean(pets), abs=1e-9)
        assert (
            table.loc[data, "test_recall_low"]
            <= np.mean(recall)
            <= table.loc[data, "test_recall_high"]
        )


def test_the_difference_is_paired_and_read_out(runs):
    row = compare_runs(runs).set_index("data").loc["pets"]
    assert row["d_test_fpr_pets_high"] < 0
    assert "lowers false positives on animals from" in row["reading"]
    assert "recall" in row["reading"]
    photos = sum(
        (r.predictions["held_out"] & (r.predictions["label"] == "pets")).sum() for r in runs[:4]
    )
    taken = [
        sum(
            (
                (r.predictions["probability"] >= 0.5)
                & r.predictions["held_out"]
                & (r.predictions["label"] == "pets")
            ).sum()
            for r in part
        )
        for part in (runs[:4], runs[4:])
    ]
    assert row["d_test_fpr_pets"] == pytest.approx((taken[1] - taken[0]) / photos, abs=1e-9)


def test_all_right_on_a_few_photos_is_not_certainty(runs):
    sure = [
        RunFigures(
            r.run_id,
            r.model,
            r.data,
            r.seed,
            0.5,
            r.predictions.assign(probability=(r.predictions["label"] == "subject").astype(float)),
        )
        for r in runs
    ]
    row = compare_runs(sure).iloc[0]
    assert row["test_recall"] == 1
    assert row["test_recall_low"] < 0.9


def test_every_rate_has_wilsons_interval_and_an_auroc_one_over_groups(runs):
    row = compare_runs(runs[:1]).iloc[0]
    dogs = runs[0].predictions[
        runs[0].predictions["held_out"] & (runs[0].predictions["kind"] == "dog")
    ]
    assert (row["test_fpr_dog_low"], row["test_fpr_dog_high"]) == pytest.approx(
        wilson((dogs["probability"] >= 0.5).sum(), len(dogs))
    )
    assert (
        row["test_auroc_low"] < row["test_auroc"] < row["test_auroc_high"]
    )  # one run, and still an interval


def test_too_few_photos_are_said_instead_of_a_difference(runs):
    few = [
        replace(
            r,
            predictions=pd.concat(
                [r.predictions[r.predictions["label"] != "pets"], r.predictions.iloc[-12:]]
            ),
        )
        for r in (runs[0], runs[4])
    ]
    assert (
        "false positives on animals: too few photos to say" in compare_runs(few).iloc[1]["reading"]
    )


def test_runs_with_other_settings_have_rows_of_their_own(runs):
    table = compare_runs([replace(runs[0], settings="hidden=128"), *runs[4:], *runs[:4]])
    assert table[["data", "settings", "seeds"]].to_numpy().tolist() == [
        ["base", "", 4],
        ["base", "hidden=128", 1],
        ["pets", "", 4],
    ]
    assert table.loc[1, "reading"].startswith(
        "base hidden=128 against base: false positives on animals unchanged"
    )


@pytest.mark.slow
def test_the_table_is_what_an_independent_script_recomputes(swept):
    script = Path(__file__).parents[2] / "benchmarks/check_compare.py"
    checked = subprocess.run(
        [sys.executable, script, "--mlruns", swept / "mlruns"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    *rows, last = checked.stdout.splitlines()
    assert rows == [
        f"mobilenet {data}: 2 seeds" for data in ("base", "base C=1", "pets", "pets C=1")
    ]
    assert int(last.split()[0]) > 50  # figures compared


def test_no_run_gives_an_empty_table():
    assert compare_runs([]).empty
