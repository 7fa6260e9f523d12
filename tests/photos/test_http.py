import gzip
import tracemalloc

import pytest
from photo_servers import PhotoPrismServer

from ismila.photos.http import Client, FetchError, Request, Secret, origin_of, printable


@pytest.fixture
def server():
    with PhotoPrismServer({}) as running:
        yield running


def test_what_passes_is_tried_again(server):
    server.faults.update({"429": 1, "503": 2})
    assert Client().get(f"{server.address}/api/v1/status").status == 200
    assert server.calls["GET /status"] == 4
    server.faults["503"] = 9
    with pytest.raises(FetchError, match="status 503, 5 times"):
        Client().get(f"{server.address}/api/v1/status")


def test_what_must_not_happen_twice_is_asked_once(server):
    server.faults["503"] = 1
    with pytest.raises(FetchError, match=r"status 503$"):
        Client().send(
            Request(method="POST", url=f"{server.address}/api/v1/albums", json={}, attempts=1)
        )
    assert server.calls["POST /albums"] == 1


def test_a_secret_goes_to_its_own_server_only(server):
    with PhotoPrismServer({}) as other:
        server.leads_to = other.address
        secret = Secret({"x-api-key": "s3cret"}, origin_of(server.address))
        assert Client(secret).get(f"{server.address}/api/v1/status").status == 200
        assert [headers.get("x-api-key") for _, headers in server.seen] == ["s3cret"]
        assert [headers.get("x-api-key") for _, headers in other.seen] == [None]
    assert "s3cret" not in repr(secret)


def test_a_netrc_does_not_take_the_place_of_the_token(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    secret = Secret({"Authorization": "Bearer s3cret"}, origin_of(server.address))
    Client(secret).get(f"{server.address}/api/v1/status")
    assert server.seen[0][1]["Authorization"] == "Bearer s3cret"


def test_an_answer_is_unpacked_to_its_bound_only(server):
    server.bomb = gzip.compress(bytes(100 * 2**20), 1)
    tracemalloc.start()
    with pytest.raises(FetchError, match="larger than 16 MiB"):
        Client().send(Request(url=f"{server.address}/api/v1/status", most_bytes=16 * 2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 2**20


def test_an_answer_that_drips_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr("ismila.photos.http.LONGEST_ANSWER_S", 0.1)
    server.drip_s = 0.02
    with pytest.raises(FetchError, match="not whole after"):
        Client().get(f"{server.address}/api/v1/status")


def test_nobody_there_and_no_address():
    with pytest.raises(FetchError, match="connection: ConnectionError"):
        Client().send(Request(url="http://127.0.0.1:9/", attempts=1))
    with pytest.raises(FetchError, match="connection"):
        Client().send(Request(url="http:///nowhere", attempts=1))


def test_origins_and_words_of_strangers():
    assert origin_of("https://NAS/x") == origin_of("https://nas:443/y") == ("https", "nas", 443)
    assert origin_of("http://nas/") != origin_of("https://nas/")
    assert printable("a\x1b[31m\nb") == "a [31m b"
