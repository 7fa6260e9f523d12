"""What each verb parses and prints, in this process where no run is needed."""

import json
import subprocess
import sys
import types
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import draw_photo

from ismila.cli import check, compare, fetch, make_parser, predict, scan
from ismila.cli.main import VERBS, main
from ismila.photos.fetch import Fetched
from ismila.use.ask.judging import Scanned
from ismila.use.ask.pets import PetPrediction, PetPredictions
from ismila.use.ask.predict import MultiPetPrediction


def test_every_verb_has_a_file_of_its_name():
    verbs = make_parser()._subparsers._group_actions[0].choices
    assert [verb.__name__.rpartition(".")[2] for verb in VERBS] == list(verbs)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_every_verb_explains_itself(verb, capsys):
    name = verb.__name__.rpartition(".")[2]
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"ismila {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["ui", "--port", "70000"],
        ["serve", "--port", "-1"],
        ["check", "--port", "x"],
        ["fetch", "--limit", "-3"],
        ["index", "--subject", ""],
        ["demo", "--subject", "../rex"],
        ["check", "--json", "--serve"],
        ["add", "x", "--as", "mila", "--copy", "--link"],
        ["export", "--to", "x", "--format", "exe"],
        ["serve", "--run", "latest", "--model", "x.onnx"],
        ["predict", "--subject", "mila,../rex", "a.jpg"],
        ["scan", "--subject", "mila,", "library"],
        ["index", "--subject", "caf\udce9"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "a.jpg"],
        ["index"],
    ],
    ids=" ".join,
)
def test_a_verb_that_asks_about_one_subject_refuses_several(words, capsys):
    with pytest.raises(SystemExit) as end:
        main([*words, "--subject", "mila,rex"])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert (
        f"ismila {words[0]}: error: argument --subject: 'mila,rex': expected one subject here"
        in last
    )


def test_several_subjects_are_each_named_once():
    parsed = make_parser().parse_args(["predict", "--subject", "mila, rex,mila", "a.jpg"])
    assert parsed.subjects == ("mila", "rex")


def test_who_is_in_a_photo_in_words(tmp_path):
    def line(**verdicts):
        answers = {
            name: PetPrediction(0.5, verdict == name, 0.5, "r", verdict)
            for name, verdict in verdicts.items()
        }
        return predict._as_line(MultiPetPrediction(tmp_path, PetPredictions(answers))).split(
            "  mila "
        )[0]

    assert line(mila="mila", rex="rex").strip() == "mila, rex"
    assert line(mila="not mila", rex="rex").strip() == "rex"
    assert line(mila="not mila", rex="not rex").strip() == "not mila, not rex"
    assert line(mila="mila", rex="unsure").strip() == "mila, rex unsure"


def test_index_and_add(tmp_path, capsys):
    draw_photo(tmp_path / "new/one.jpg", 1, True)
    (tmp_path / "new/text.txt").write_text("no photo")
    root = str(tmp_path / "album")
    assert main(["add", str(tmp_path / "new"), "--as", "mila", "--root", root, "--copy"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{root}/mila: 0 linked, 1 copied, 1 skipped\n"
    assert "text.txt: not a photo" in printed.err
    (tmp_path / "album/mila/zero.jpg").touch()
    assert main(["index", root]) == 0
    assert capsys.readouterr().out == "mila/zero.jpg: empty file\nmila: 1 photo\n"


def test_demo_of_a_folder_that_holds_something_else_is_one_line(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["demo", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_fetch_did(tmp_path, capsys):
    fetched = Fetched(here_already=3, failed=[f"{i}: status 404" for i in range(25)])
    fetched.new["mila"] = 2
    fetch.print_fetched(fetched, tmp_path)
    printed = capsys.readouterr()
    assert "new: 2 to mila; here already: 3; left out by tag: 0" in printed.out
    assert printed.err.splitlines()[20:] == [
        "not fetched: 5 more",
        "the same command tries again what was not fetched",
    ]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["index", "~/a"], "root"), (["scan", "~/a"], "root"), (["add", "x", "--as=mila", "--root=~/a"], "root"),
        (["scan", "x", "--csv=~/a"], "csv"), (["serve", "--model=~/a"], "model"), (["demo", "~/a"], "root"),
        (["export", "--format=web", "--to=~/a"], "to"), (["check", "--cache=~/a"], "cache"),
        (["fetch", "--root=~/a"], "root"),
    ],
)  # fmt: skip
def test_a_path_is_at_home_where_no_shell_has_said_so(words, name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    args = vars(make_parser().parse_args(words))
    assert Path("/home/ann/a") in (args[name], args.get("root_option"))


@pytest.mark.parametrize("words", [["index"], ["scan"], ["add", "--as", "mila"]], ids=" ".join)
def test_a_name_that_no_disk_takes_is_one_line(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scan, "chosen_runs", lambda args: {})
    assert main([words[0], "x" * 5000, *words[1:]]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_a_scan_did(tmp_path, capsys):
    scan.print_scanned(Scanned(5, 7, 1), tmp_path)
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path}: 5 photos judged now, 7 before\n"
    assert "1 photo could not be read" in printed.err


def test_suspects_as_lines_and_as_json(capsys):
    row = {"path": "a.jpg", "score": 0.5, "reason": "blurred", "suggested": "", "closeup": None}
    row |= {"sort": "quality", "boxes": [], "chosen": None}
    hinted = {**row, "path": "b.jpg", "suggested": "mila", "closeup": True}
    box = (0.0, 0.25, 0.5, 1.0)
    which = {**row, "path": "c.jpg", "reason": "which of 2", "sort": "animal"}
    which |= {"boxes": [box, (0.5, 0.5, 1.0, 1.0)], "chosen": 0}
    table = pd.DataFrame([row, hinted, which])
    table["chosen"] = pd.Series([None, None, 0], dtype=object)
    check.print_suspects(table)
    assert capsys.readouterr().out.splitlines() == [
        "0.50  a.jpg: blurred",
        "0.50  b.jpg: blurred  (maybe mila)",
        "0.50  c.jpg: which of 2; box in labels.csv: 0 0.25 0.5 1 (taken), 0.5 0.5 1 1, none"
        " or x0 y0 x1 y1",
    ]
    check.print_suspects_as_json(table)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["closeup"] for line in lines] == [None, True, None]
    assert [line["chosen"] for line in lines] == [None, None, 0]


def test_a_comparison_as_a_table_and_as_json(capsys):
    row = {"model": "cnn", "data": "base", "settings": "", "seeds": 2, "reading": ""}
    row |= {"test_recall": 0.5, "test_recall_low": 0.25, "test_recall_high": 0.75}
    row |= {"test_fpr_pets": float("nan"), "test_auroc": 0.8125}
    pets = {
        **row,
        "data": "pets",
        "settings": "layers=[4]",
        "reading": "pets against base: lowers recall",
    }
    table = pd.DataFrame([row, pets])
    compare.print_table(table)
    shown = capsys.readouterr().out
    assert "0.500 (0.25 to 0.75)" in shown
    assert "layers=[4]" in shown  # no markup
    assert shown.count("no photo") == 4
    assert "cnn: pets against base: lowers recall" in shown
    compare.print_as_json(table)
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["test_fpr_pets"] is None


def test_the_ui_is_mlflows_on_the_runs(monkeypatch, capsys, tmp_path, ledger):
    called = []
    ledger.run("watched")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # the ledger's
    monkeypatch.chdir(tmp_path)

    def run(command, check, env):
        called.append(command)
        assert env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"  # eight processes less
        return types.SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["ui", "--port", "5001"]) == 3
    uri = ["--backend-store-uri", "sqlite:///mlruns/mlflow.db", "--port", "5001"]
    assert called == [[sys.executable, "-m", "mlflow", "ui", *uri]]
    assert "http://127.0.0.1:5001/#/experiments?" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ledger.uri)
    assert main(["ui", "--port", "5001", "--subject", "watched"]) == 3
    experiment = mlflow.MlflowClient(ledger.uri).get_experiment_by_name("watched").experiment_id
    page = f"http://127.0.0.1:5001/#/experiments/{experiment}/runs?viewStateShareKey=ismila"
    assert page in capsys.readouterr().out


def test_verbs_that_ask_a_run_say_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "library").mkdir()
    for words in (
        ["predict", "a.jpg"],
        ["scan", "library"],
        ["serve"],
        ["export", "--to", "x", "--format", "onnx"],
        ["explain", "a.jpg"],
        ["report"],
        ["compare"],
    ):
        assert main(words) == 1, words
        [line] = capsys.readouterr().err.splitlines()
        assert "python -m ismila.train subject=mila" in line
