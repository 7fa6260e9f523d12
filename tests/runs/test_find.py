import tempfile
from contextlib import chdir
from dataclasses import replace

import mlflow
import pandas as pd
import pytest
from recorded import predictions_of

from ismila.photos import UserError, WrongUsageError
from ismila.runs import find
from ismila.runs.find import (
    Recorded,
    album_of,
    best_of,
    choose_each,
    choose_run,
    find_run,
    incomparable,
    load_classifier,
    load_predictions,
    read_epochs,
    read_run,
    upgraded,
)
from ismila.runs.store import connect


def run_of(name, loss=0.1, album="a", seed="0", protocol="fold", selection="clean"):
    figures = {"select_auroc": 1.0, "select_loss": loss}
    tags = {"album": album, "protocol": protocol, "selection": selection}
    return Recorded(name, tags, {"seed": seed}, figures)


def test_of_two_runs_that_rank_perfectly_the_surer_one_is_best():
    assert best_of([run_of("new", 0.2), run_of("old", 0.1)]).run.run_id == "old"
    assert best_of([run_of("new", 0.1), run_of("old", 0.2)]).run.run_id == "new"
    assert best_of([run_of("new", 0.1), run_of("old", 0.1)]).run.run_id == "old"  # stays champion


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (run_of("demo", 0.0, album="demo"), "on another album"),
        (run_of("lucky", 0.0, seed="1"), "with another seed than 0"),
        (run_of("few", 0.0, protocol="crossval"), "not measured by fold"),
        (
            run_of("tuned", 0.0, selection="chosen-on"),
            "whose select_loss is of photos that chose its",
        ),
        (run_of("older", 0.0, selection=""), "of a version that calibrated for another prior"),
    ],
)
def test_best_crosses_neither_albums_nor_seeds_nor_protocols(other, reason):
    """Here an old run with a better figure; the other way round a newer demo run takes no real run
    with it."""
    chosen = best_of([run_of("new", 0.2), other, run_of("old", 0.1)])
    assert (chosen.run.run_id, chosen.compared) == ("old", 2)
    assert [(words.startswith(reason), n) for words, n in chosen.left_out.items()] == [(True, 1)]
    assert f"1 {reason}" in chosen.words()
    newest = best_of([other, run_of("new", 0.2), run_of("old", 0.1)])
    assert (newest.run, newest.compared) == (other, 1)
    assert sum(newest.left_out.values()) == 2
    assert "the only run that can be compared" in newest.words()


def cut_short(run, **params):
    limits = {"trainer.max_epochs": "2", "trainer.limit_train_batches": "2", "model.epochs": "40"}
    return replace(run, params={**run.params, **limits, **params})


def test_a_run_that_was_cut_short_is_not_ranked_with_full_ones():
    smoke = cut_short(run_of("smoke", 0.0))
    chosen = best_of([smoke, run_of("new", 0.2), run_of("old", 0.1)])
    assert (chosen.run.run_id, chosen.compared) == ("old", 2)
    assert "1 cut short (trainer.max_epochs, trainer.limit_train_batches)" in chosen.words()
    # nor does it say with which seed the others are compared
    other_seed = best_of([cut_short(run_of("smoke", 0.0, seed="1")), run_of("old", 0.1)])
    assert other_seed.run.run_id == "old"
    # alone on its album it is all there is
    assert best_of([smoke, run_of("demo", 0.1, album="demo")]).run.run_id == "smoke"
    assert best_of([smoke, cut_short(run_of("earlier", -1.0))]).run.run_id == "earlier"


@pytest.mark.parametrize(
    "params",
    [
        {"model.hidden": "0", "model.finetune_blocks": "0"},  # solved exactly
        {"trainer.limit_train_batches": "None", "trainer.max_epochs": "40"},
        {"trainer.limit_train_batches": "None", "trainer.max_epochs": "None"},
    ],
)
def test_what_loses_nothing_by_its_limits_is_a_full_run(params):
    assert cut_short(run_of("any"), **params).limits == {}


def test_whether_two_runs_can_be_compared_is_asked_in_either_order():
    clean, tuned = run_of("clean"), run_of("tuned", selection="chosen-on")
    assert incomparable(clean, tuned) and incomparable(tuned, clean)
    assert incomparable(clean, run_of("other")) == ""


def test_nothing_is_said_when_nothing_was_left_out():
    assert best_of([run_of("new"), run_of("old")]).words() == ""


def test_a_run_whose_loss_was_measured_otherwise_comes_last():
    older = run_of("older", 0.0, selection="")
    without = Recorded("without", {"album": "a", "protocol": "fold"}, {"seed": "0"}, {})
    assert best_of([run_of("new", 0.9), older, without]).run.run_id == "new"
    assert best_of([run_of("o2", 0.2, selection=""), older]).run.run_id == "older"
    assert older.selection == {}
    assert without.protocol == "fold"


def test_runs_are_found_by_best_latest_id_prefix_and_alias(ledger):
    first = ledger.run("finder", loss=0.1)
    second = ledger.run("finder", loss=0.2)
    assert find_run("best", "finder", ledger.uri) == first
    assert find_run("latest", "finder", ledger.uri) == second
    assert find_run(second, "finder", ledger.uri) == second
    assert find_run(second[:12], "finder", ledger.uri) == second
    client = mlflow.MlflowClient(ledger.uri)
    client.create_registered_model("finder")
    version = client.create_model_version("finder", "nowhere", second)
    client.set_registered_model_alias("finder", "mine", version.version)
    assert find_run("mine", "finder", ledger.uri) == second
    for name in ("nobody", "g" * 8, "f" * 33):
        with pytest.raises(UserError, match=f"--run {name}: no such run"):
            choose_run(name, "finder", ledger.uri)


def test_a_prefix_that_two_runs_share_is_not_enough(ledger, monkeypatch):
    connect(ledger.uri)
    runs = [run_of(name) for name in ("abc1", "abc2", "a2")]
    monkeypatch.setattr(find, "finished_runs", lambda subject, uri: runs)
    with pytest.raises(UserError, match="--run ab: 2 runs begin like this; give more"):
        choose_run("ab", "prefixed", ledger.uri)
    assert choose_run("abc2", "prefixed", ledger.uri).run.run_id == "abc2"


def test_a_subject_without_a_run_and_a_server_that_is_away_are_said(ledger, monkeypatch):
    with pytest.raises(UserError, match="no finished run of nobody yet"):
        find_run("best", "nobody", ledger.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="MLflow does not answer"):
        find_run("best", "finder", "http://127.0.0.1:9")


def test_what_a_run_kept_is_loaded(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    epochs = [{"loss": 0.5 - at / 10, "timestamp_ms": 1000 + at} for at in range(3)]
    run_id = ledger.run("keeper", epochs=epochs)
    assert read_epochs(run_id) == {"loss": [0.5, 0.4, 0.3]}
    pd.testing.assert_frame_equal(load_predictions(run_id), predictions_of(4, 4, 4))
    with pytest.raises(UserError, match="not a classifier"):
        load_classifier(run_id)
    assert not list(tmp_path.iterdir())
    for artifact in ledger.folder.glob(f"mlruns/artifacts/{run_id}/artifacts/predictions.parquet"):
        artifact.unlink()
    with pytest.raises(UserError, match=r"predictions.parquet is gone from .*train again"):
        load_predictions(run_id)


def older(held_out, **columns):
    table = pd.DataFrame({"path": ["a", "b", "c"], "fold": ["train", "val", "test"], **columns})
    return table if held_out is None else table.assign(held_out=held_out)


@pytest.mark.parametrize("held_out", [None, [False, False, True]])
def test_an_older_table_gets_todays_columns(held_out):
    table = upgraded(older(held_out), 0.4, refit=False)
    assert table["held_out_by"].tolist() == ["", "val", "test"]
    assert table["used"].tolist() == [True, False, False]
    assert table["threshold"].tolist() == [0.4] * 3
    assert "held_out" not in table


def test_an_older_cross_validated_table_is_known_by_its_rows():
    table = upgraded(older([True] * 3), 0.4, refit=True)
    assert table["held_out_by"].str.startswith("crossval").all()
    assert table["used"].all()


def test_an_older_run_is_upgraded_while_it_is_loaded(ledger):
    table = predictions_of(4, 4, 0).drop(columns=["threshold", "held_out_by", "used"])
    loaded = load_predictions(ledger.run("older", predictions=table, tags={"refit": "all"}))
    assert (loaded["held_out_by"] == "test").all()
    assert (loaded["threshold"] == 0.5).all()
    assert loaded["used"].all()


def test_the_album_of_a_run_lies_where_it_was_or_where_one_says(ledger, tmp_path):
    root = tmp_path / "album"
    cache = tmp_path / "cache"
    moved = tmp_path / "moved"
    for folder in (root, cache, moved):
        folder.mkdir()
    params = {"album.root": root, "data.cache": cache}
    run = read_run(ledger.run("rover", params=params))
    assert (album_of(run).root, album_of(run).derived) == (root, cache)
    assert album_of(run).subject == "rover"
    cache.rmdir()
    assert album_of(run, moved).derived == moved / ".ismila"
    root.rename(tmp_path / "gone")
    with pytest.raises(UserError, match="say where it is with --root"):
        album_of(run)


def test_a_name_that_each_subject_has_stands_for_a_run_of_each(ledger):
    runs = {name: ledger.run(name) for name in ("first pet", "second pet")}
    with chdir(ledger.folder):
        for name in ("best", "latest"):
            chosen = choose_each(name, list(runs), ledger.uri)
            assert {subject: one.run.run_id for subject, one in chosen.items()} == runs
        one = choose_each(runs["first pet"], ["first pet"], ledger.uri)
        assert one["first pet"].run.run_id == runs["first pet"]
        with pytest.raises(WrongUsageError, match="a run id belongs to one subject"):
            choose_each(runs["first pet"], list(runs), ledger.uri)
        with pytest.raises(UserError, match="no finished run of nobody"):
            choose_each("best", ["first pet", "nobody"], ledger.uri)
