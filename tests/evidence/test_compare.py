import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recorded import predictions_of
from sklearn.metrics import recall_score, roc_auc_score

from ismila.evidence.compare import RunFigures, compare_runs, figures_of
from ismila.evidence.intervals import mean_interval, rate_of
from ismila.evidence.metrics import reported
from ismila.runs.find import Recorded, finished_runs


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
        run_id=f"{data}{seed}",
        model="mobilenet",
        data=data,
        seed=seed,
        predictions=table.assign(held_out_by=np.where(held_out, "test", "val"), threshold=0.5),
        selection={"select_auroc": 1.0, "select_loss": 0.1 + seed / 100},
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
        tests = [reported(r.predictions) for r in runs if r.data == data]
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
    photos = sum((reported(r.predictions)["label"] == "pets").sum() for r in runs[:4])
    taken = [
        sum(
            (
                (r.predictions["probability"] >= 0.5)
                & (r.predictions["held_out_by"] == "test")
                & (r.predictions["label"] == "pets")
            ).sum()
            for r in part
        )
        for part in (runs[:4], runs[4:])
    ]
    assert row["d_test_fpr_pets"] == pytest.approx((taken[1] - taken[0]) / photos, abs=1e-9)


def test_all_right_on_a_few_photos_is_not_certainty(runs):
    sure = [
        replace(
            r,
            predictions=r.predictions.assign(
                probability=(r.predictions["label"] == "subject").astype(float)
            ),
        )
        for r in runs
    ]
    row = compare_runs(sure).iloc[0]
    assert row["test_recall"] == 1
    assert row["test_recall_low"] < 0.9


def test_every_rate_has_an_interval_by_groups_and_so_has_an_auroc(runs):
    row = compare_runs(runs[:1]).iloc[0]
    dogs = reported(runs[0].predictions).query("kind == 'dog'")
    rate = rate_of(dogs["probability"] >= 0.5, dogs["group"])
    assert rate.groups < rate.n
    for name in ("test_fpr_dog", "test_fpr_pets"):
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((rate.low, rate.high))
    assert (
        row["test_auroc_low"] < row["test_auroc"] < row["test_auroc_high"]
    )  # one run, and still an interval


def test_a_photo_that_two_seeds_hold_out_counts_once_and_groups_are_those_of_the_album(runs):
    one = replace(runs[0], predictions=runs[0].predictions.assign(held_out_by="test"))
    copies = [replace(one, seed=seed) for seed in range(5)]
    alone = compare_runs([one]).iloc[0]
    row = compare_runs(copies).iloc[0]
    for name in ("test_recall_low", "test_recall_high", "test_accuracy_low", "test_fpr_pets_high"):
        assert row[name] == pytest.approx(alone[name])
    # halves of one album, each seed its own
    subject = one.predictions.query("label == 'subject'")
    parts = [subject.iloc[:4], subject.iloc[2:]]
    both = [replace(one, seed=seed, predictions=part) for seed, part in enumerate(parts)]
    row = compare_runs(both).iloc[0]
    hit = (subject["probability"] >= 0.5).to_numpy(float)
    weight = (np.arange(20) < 4) / 4 + (np.arange(20) >= 2) / 18
    expected = mean_interval(hit, weight, subject["group"].to_numpy())
    assert (row["test_recall_low"], row["test_recall_high"]) == pytest.approx(expected)


def test_a_change_counts_groups_and_is_never_certain(runs):
    def read(copies):
        """base takes 24 dogs for the subject, pets 6 of them, in groups of `copies` photos."""
        tables = []
        for taken in (24, 6):
            table = predictions_of(0, 0, 48)
            table["probability"] = (np.arange(48) % 24 < taken // 2).astype(float)
            table["group"] = [f"g{at // copies}" for at in range(48)]
            tables.append(table)
        pair = [
            replace(runs[at], predictions=table) for at, table in zip((0, 4), tables, strict=True)
        ]
        return compare_runs(pair).set_index("data").loc["pets"]

    alone, bursts = read(1), read(4)
    assert alone["d_test_fpr_pets"] == bursts["d_test_fpr_pets"] == -18 / 48
    assert alone["d_test_fpr_pets_high"] < bursts["d_test_fpr_pets_high"] < 0
    assert "too few occasions to say (6, of 48 photos)" in read(8)["reading"]
    same = compare_runs([runs[0], replace(runs[0], data="pets")]).set_index("data").loc["pets"]
    assert same["d_test_fpr_pets"] == 0
    assert same["d_test_fpr_pets_low"] < 0 < same["d_test_fpr_pets_high"]
    assert "false positives on animals unchanged, " in same["reading"]


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


TRAINER = {
    "trainer.accelerator": "cpu",
    "trainer.devices": "1",
    "trainer.strategy": "auto",
    "trainer.precision": "None",
    "trainer.max_epochs": "None",
    "trainer.limit_train_batches": "None",
}
HIDDEN = {"model.hidden": "128", "model.finetune_blocks": "0", "model.epochs": "40"}
SMOKE = {"trainer.max_epochs": "2", "trainer.limit_train_batches": "2"}


def recorded(name, data="base", **params):
    tags = {"model": "mobilenet", "data": data, "album": "a", "protocol": "fold"}
    return Recorded(name, tags, {"seed": "0", **TRAINER, **HIDDEN, **params}, {})


@pytest.fixture
def settings_in(monkeypatch):
    """The settings that a table of runs names, the newest run first."""
    table = predictions_of(12, 12, 12)
    monkeypatch.setattr("ismila.evidence.compare.load_predictions", lambda run: table)

    def settings(*runs):
        return {run.run_id: run.settings for run in figures_of(runs)[0]}

    return settings


def test_a_smoke_run_does_not_stand_for_a_full_one(settings_in):
    smoke = recorded("smoke", **SMOKE)
    assert settings_in(smoke, recorded("full")) == {
        "smoke": "max_epochs=2 limit_train_batches=2",
        "full": "",
    }
    # also where most runs are such, and in what a row is compared with
    runs = [smoke, recorded("again", **SMOKE), recorded("pets", "pets", **SMOKE), recorded("full")]
    assert settings_in(*runs)["full"] == ""
    table = compare_runs(figures_of(runs)[0])
    named = "max_epochs=2 limit_train_batches=2"
    assert table["settings"].tolist() == ["", named, named]
    assert "against base max_epochs=2 limit_train_batches=2: " in table["reading"].iloc[2]
    assert table["reading"].iloc[1] == ""  # it is not compared with the full one


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"trainer.precision": "bf16-mixed"}, "precision=bf16-mixed"),
        ({"trainer.strategy": "ddp", "trainer.devices": "2"}, "devices=2 strategy=ddp"),
        ({"trainer.max_epochs": "3"}, "max_epochs=3"),
        ({"trainer.max_epochs": "40"}, ""),  # as many as the model has
        ({"trainer.accelerator": "gpu"}, ""),
        ({"data.gap_s": "600"}, "gap_s=600"),  # whatever a later version can set
        ({"model.lr": "0.1"}, "lr=0.1"),
        ({"data.root": "elsewhere", "tracking.uri": "x", "seed": "3"}, ""),
    ],
)
def test_what_changes_a_result_is_a_setting(settings_in, params, shown):
    runs = [recorded("other", **params), recorded("usual"), recorded("older")]
    assert settings_in(*runs) == {"other": shown, "usual": "", "older": ""}


def test_nothing_cuts_a_solved_head_short(settings_in):
    solved = {"model.hidden": "0", **SMOKE, "trainer.strategy": "ddp", "trainer.devices": "2"}
    runs = [recorded("smoke", **solved)]
    runs += [recorded(name, **{"model.hidden": "0"}) for name in ("full", "older")]
    assert settings_in(*runs)["smoke"] == ""


@pytest.mark.slow
def test_runs_that_were_measured_otherwise_have_rows_of_their_own(ledger):
    tables = [predictions_of(12, 12, 12, seed=seed) for seed in range(2)]
    crossval = predictions_of(12, 12, 12, held_out_by="crossval 1")
    for data in ("base", "pets"):
        ledger.run("measured", data=data, predictions=tables[0])
    ledger.run("measured", data="base", predictions=crossval, protocol="crossval")
    for seed in range(3):  # most runs of this variant are cross-validated, and still say so
        ledger.run("measured", data="pets", seed=seed, predictions=crossval, protocol="crossval")
    ledger.run("measured", data="pets", album="b" * 16)
    runs, _ = figures_of(finished_runs("measured", ledger.uri)[1:])
    table = compare_runs(runs)
    assert table[["data", "settings", "seeds"]].to_numpy().tolist() == [
        ["base", "", 1],
        ["base", "protocol=crossval", 1],
        ["pets", "", 1],
        ["pets", "protocol=crossval", 3],
    ]
    assert table["reading"].iloc[:2].tolist() == ["", ""]
    assert table["reading"].iloc[2].startswith("pets against base: ")
    assert (
        table["reading"]
        .iloc[3]
        .startswith("pets protocol=crossval against base protocol=crossval: ")
    )
    assert figures_of(finished_runs("measured", ledger.uri))[1] == 6  # another album


def test_a_figure_without_a_photo_in_common_is_said(runs):
    table = compare_runs(
        [
            replace(runs[0], predictions=predictions_of(12, 12, 0)),
            replace(runs[4], predictions=predictions_of(12, 12, 12)),
        ]
    )
    row = table.set_index("data").loc["pets"]
    assert "false positives on animals: no photo that both held out" in row["reading"]
    assert "false positives on things unchanged" in row["reading"]
    assert np.isnan(table.set_index("data").loc["base"].get("test_fpr_pets", np.nan))


def test_runs_that_held_out_nothing_still_have_a_row(runs):
    nothing = [replace(r, predictions=predictions_of(3, 3, 3, held_out_by="val")) for r in runs]
    table = compare_runs(nothing)
    assert table["seeds"].tolist() == [4, 4]
    assert not [name for name in table if name.startswith("test_")]
    assert table.loc[1, "reading"].count("no photo that both held out") == 3


def test_each_row_counts_by_its_own_threshold(runs):
    strict = replace(runs[0], predictions=runs[0].predictions.assign(threshold=1.1))
    assert compare_runs([strict]).loc[0, "test_recall"] == 0


@pytest.mark.slow
def test_the_table_is_what_an_independent_script_recomputes(swept, monkeypatch, capsys):
    script = Path(__file__).parents[2] / "benchmarks/check_compare.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--mlruns", str(swept / "mlruns")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert not ended.value.code
    *rows, last = capsys.readouterr().out.splitlines()
    assert rows == [f"mobilenet {data}: 2 seeds" for data in ("base", "pets")]
    assert int(last.split()[0]) > 30  # figures compared


def test_no_run_gives_an_empty_table():
    assert compare_runs([]).empty
