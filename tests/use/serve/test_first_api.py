import socket

import pytest
import requests
from loopback import running
from stub import StubModels, bright_and_dark, grey_png

from ismila.use.serve.app import make_app


@pytest.fixture(scope="module")
def address():
    with running(make_app(StubModels(), feedback=False, loopback=True)) as where:
        yield where


def test_names_descriptions_and_predictions_are_as_they_were(address):
    assert requests.get(f"{address}/model").json()["models"][0] == "champion"
    assert requests.get(f"{address}/model/champion").json() == {
        "network": {"batch_size": 1, "image": {"rows": 32, "cols": 32, "color_channels": 3}},
        "meta": {
            "classes": ["mila", "not_mila"],
            "latest_logs": {
                "accuracy": 0.9, "loss": None, "val_accuracy": None, "val_loss": None
            },
        },
    }  # fmt: skip
    [told] = requests.post(f"{address}/model/champion/prediction", data=grey_png(255)).json()
    assert told == {"mila": 1.0, "not_mila": 0.0}


def test_a_browser_may_ask_first(address):
    headers = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    asked = requests.options(f"{address}/model/champion/prediction", headers=headers)
    assert asked.ok and asked.headers["Access-Control-Allow-Origin"] == "*"


def test_an_asterisk_for_an_address_is_answered(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.settimeout(5)
        assert b" 404 " in client.recv(4096)


def test_of_several_pets_a_name_means_the_first_and_each_answers_to_its_own():
    with running(make_app(*bright_and_dark(), feedback=False, loopback=True)) as where:
        names = requests.get(f"{where}/model").json()["models"]
        assert names == ["mila", "rex", "champion", "0123456789abcdef", "fedcba9876543210"]
        answered = {
            name: requests.post(f"{where}/model/{name}/prediction", data=grey_png(255)).json()
            for name in names
        }
        described = requests.get(f"{where}/model/rex").json()["meta"]["classes"]
    mila, rex = {"mila": 1.0, "not_mila": 0.0}, {"rex": 0.0, "not_rex": 1.0}
    assert answered == {
        "mila": [mila], "rex": [rex], "champion": [mila], names[3]: [mila], names[4]: [rex]
    }  # fmt: skip
    assert described == ["rex", "not_rex"]
