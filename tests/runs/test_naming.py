"""Names that people give, and what MLflow gets instead of those that it does not take."""

import json
from contextlib import suppress

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.utils.models import get_model_name_and_version
from mlflow.utils.validation import _validate_metric_name, _validate_model_name
from recorded import predictions_of

from ismila.cli.main import main
from ismila.photos.names import name_problem, subject_problem
from ismila.runs import outbox, registry
from ismila.runs.find import find_run
from ismila.runs.naming import experiment_name, metric_key, model_name
from ismila.runs.outbox import PendingRun, pack
from ismila.runs.registry import aliases, promote_champion

ORDINARY = ["cat", "Guinea pig", "st-bernard", "no. 7", "a_b", "Åsa", "犬", "мила"]
ODD = [
    "O'Malley",
    'the "cat"',
    "a:b",
    "cat (2)",
    "dogs & cats",
    "100 %",
    "what?",
    "no #1",
    "a;b",
    "me@home",
    "`x`",
    "-- x",
    "बिल्ली",  # its vowels are no letters to MLflow
    "Zoe\u0308",
    "🐕",
    "a\u200db",
    "x" * 100,
    "Default",
    "model",
    "strangers",
]


@pytest.mark.parametrize("name", ORDINARY)
def test_what_mlflow_takes_stays_as_it_is(name):
    assert metric_key(f"test_fpr_{name}") == f"test_fpr_{name}"
    assert model_name(name) == experiment_name(name) == name


@pytest.mark.parametrize("name", [*ORDINARY, *ODD])
def test_whatever_the_rule_allows_gets_names_that_mlflow_takes(name):
    assert subject_problem(name) == ""
    _validate_metric_name(metric_key(f"test_fpr_{name}"))
    _validate_metric_name(metric_key(f"test_fpr_{name * 3}"))
    _validate_model_name(model_name(name))


def test_what_would_become_the_same_is_kept_apart():
    alike = ["a&b", "a(b", "a_b", "a'b", "a’b", "Zoë", "Zoe\u0308", "y" * 300, "y" * 301]
    assert len({metric_key(name) for name in alike}) == len(alike)
    alike = ["a'b", 'a"b', "a_b", "a:b", "a@b", "a#b"]
    assert len({model_name(name) for name in alike}) == len(alike)


@pytest.mark.parametrize(
    "name", ["", "  ", "a/b", "a\\b", ".x", "a\nb", "a\x1b[2J", "caf\udce9", "a\u202eb", "x" * 101]
)
def test_what_no_folder_of_an_album_can_be_called_is_refused(name):
    assert name_problem(name)


@pytest.mark.parametrize("name", ["pets", "drop", "feedback", "other", "unsure", "not_mila"])
def test_words_with_a_meaning_of_their_own_are_no_subject(name):
    assert subject_problem(name)


@pytest.fixture
def light(monkeypatch):
    """Registers without the package's 20 MB."""

    def register(subject, run_id):
        client = mlflow.MlflowClient()
        name = model_name(subject)
        with suppress(MlflowException):
            client.create_registered_model(name)
        return str(client.create_model_version(name, "nowhere", run_id).version)

    monkeypatch.setattr(registry, "_register", register)


@pytest.mark.parametrize("subject", ODD)
def test_a_pet_of_any_name_is_recorded_found_and_champion(ledger, light, subject):
    run_id = ledger.run(subject)
    assert promote_champion(subject) == run_id
    assert promote_champion(subject) == run_id
    assert aliases(subject) == {"champion": run_id}
    for which in ("best", "latest", "champion"):
        assert find_run(which, subject, ledger.uri) == run_id
    client = mlflow.MlflowClient(ledger.uri)
    assert client.get_run(run_id).data.tags["subject"] == subject
    address = f"models:/{model_name(subject)}@champion"
    assert get_model_name_and_version(client, address)[0] == model_name(subject)


KINDS = ["cat (2)", "dogs & cats", "O'Malley", "बिल्ली", "🐕", "z" * 100, "strangers"]


def test_a_run_that_waits_for_its_names_is_sent_by_sync(ledger, light, tmp_path, monkeypatch):
    """What an earlier version packed holds people's names: MLflow did not take them, then or by `sync`."""
    monkeypatch.chdir(tmp_path)
    run_id = ledger.run("waiting", predictions=predictions_of(4, 4, 4))
    folder = outbox.UNSENT / run_id
    folder.mkdir(parents=True)
    figures = [(f"test_fpr_{kind}", at / 10, 1000, 0) for at, kind in enumerate(KINDS)]
    pack(
        PendingRun(run_id=run_id, subject="waiting", uri=ledger.uri, figures=figures, tags={}),
        folder,
    )
    assert json.loads((folder / "record.json").read_text())["figures"][0][0] == "test_fpr_cat (2)"
    assert main(["sync"]) == 0
    assert not folder.exists()
    metrics = mlflow.MlflowClient(ledger.uri).get_run(run_id).data.metrics
    for at, kind in enumerate(KINDS):
        assert metrics[metric_key(f"test_fpr_{kind}")] == at / 10


def test_a_run_that_mlflow_will_never_take_does_not_keep_the_others(
    ledger, light, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    fine = ledger.run("waiting too")
    for run_id in ("0" * 32, fine):
        folder = outbox.UNSENT / run_id
        folder.mkdir(parents=True)
        pack(PendingRun(run_id=run_id, subject="waiting too", uri=ledger.uri, tags={}), folder)
    assert main(["sync"]) == 1
    said = capsys.readouterr()
    assert f"sent run {fine}" in said.out
    assert said.err.startswith("error: MLflow does not take ")
    assert "delete the folder" in said.err
    assert len(said.err.splitlines()) == 1
    assert not (outbox.UNSENT / fine).exists()
    assert aliases("waiting too") == {"champion": fine}
    assert (outbox.UNSENT / ("0" * 32)).exists()
