import os

import pytest

from ismila.photos.ray_token import keep_to_ourselves, names_token


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that what the test leaves goes
        del os.environ[name]


def test_a_cluster_of_our_own_gets_a_token_that_nobody_knows():
    keep_to_ourselves()
    first = os.environ.pop("RAY_AUTH_TOKEN")
    keep_to_ourselves()
    assert names_token()
    assert len(first) == len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert first != os.environ["RAY_AUTH_TOKEN"]


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_that_the_environment_names_stays_the_only_one(name):
    os.environ[name] = "theirs"
    keep_to_ourselves()
    named = {key: each for key, each in os.environ.items() if key.startswith("RAY_AUTH")}
    assert named == {name: "theirs"}
