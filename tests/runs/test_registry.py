import multiprocessing
from contextlib import nullcontext, suppress

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from recorded import at_once

from ismila.runs import registry
from ismila.runs.find import find_run
from ismila.runs.registry import aliases, promote_champion


@pytest.fixture
def light(monkeypatch):
    """Logs no 20 MB of package for each champion; tests/runs/test_served.py loads and serves a real
    one."""
    logged = []

    def register(subject, run_id):
        logged.append(run_id)
        client = mlflow.MlflowClient()
        with suppress(MlflowException):  # there is one
            client.create_registered_model(subject)
        return str(client.create_model_version(subject, "nowhere", run_id).version)

    monkeypatch.setattr(registry, "_register", register)
    return logged


def test_the_champion_is_always_the_best_run_and_registered_once(ledger, light):
    def trained(loss, **more):
        run_id = ledger.run("queen", loss=loss, **more)
        is_champion = promote_champion("queen") == run_id
        assert aliases("queen") == {"champion": find_run("best", "queen", ledger.uri)}
        return run_id, is_champion

    first, is_first = trained(0.2)
    assert is_first
    _, is_worse = trained(0.3)
    assert not is_worse
    better, is_better = trained(0.1)
    assert is_better
    elsewhere, is_elsewhere = trained(0.5, album="b" * 16)  # another album: nothing to compare with
    assert is_elsewhere
    _, is_back = trained(0.4)  # back on the first album, where `better` is better
    assert not is_back
    assert aliases("queen") == {"champion": better}
    other_seed, _ = trained(0.6, seed=1)
    crossval, _ = trained(0.7, seed=1, protocol="crossval")
    assert light == [first, better, elsewhere, other_seed, crossval]
    client = mlflow.MlflowClient(ledger.uri)
    assert client.get_model_version_by_alias("queen", "champion").description == "loss 0.7"
    assert client.get_run(better).data.tags["mlflow.note.content"] == "loss 0.1"


def test_of_runs_that_finish_at_once_the_best_is_champion_and_each_is_registered_once(
    ledger, light
):
    losses = [0.5, 0.1, 0.4, 0.3]
    waiting = multiprocessing.get_context("fork").Barrier(len(losses))
    runs = {ledger.run("racer", loss=loss): loss for loss in losses}

    def finish():
        waiting.wait(30)
        mlflow.set_tracking_uri(ledger.uri)
        promote_champion("racer")

    assert at_once(len(losses), finish) == [0] * len(losses)
    mlflow.set_tracking_uri(ledger.uri)
    assert runs[aliases("racer")["champion"]] == 0.1
    client = mlflow.MlflowClient(ledger.uri)
    assert len(client.search_model_versions("name = 'racer'")) == 1


def test_on_a_server_which_has_no_lock_each_looks_at_what_the_others_did(
    ledger, light, monkeypatch
):
    """What another process did in the middle of ours is done here while we register."""
    monkeypatch.setattr(registry, "alone", lambda _: nullcontext(False))
    worse = ledger.run("server", loss=0.3)
    register = registry._register
    better = []

    def interrupted(subject, run_id):
        if not better:
            better.append(ledger.run("server", loss=0.2))
            other = register(subject, run_id)  # the same run, by another process
            assert other == "1"
        return register(subject, run_id)

    monkeypatch.setattr(registry, "_register", interrupted)
    assert promote_champion("server") == better[0]
    assert aliases("server") == {"champion": better[0]}
    client = mlflow.MlflowClient(ledger.uri)
    registered = [model.run_id for model in client.search_model_versions("name = 'server'")]
    assert sorted(registered) == sorted([worse, better[0]])


def test_nothing_registered_has_no_alias(ledger):
    ledger.run("nameless")
    assert aliases("nameless") == {}
