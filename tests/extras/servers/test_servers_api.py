import json

import pytest
from photo_servers import KEY, ImmichServer, PhotoPrismServer

from ismila.extras.servers.api import ServerClient, in_the_clear, read_key, server_url
from ismila.extras.servers.immich import PROGRAM
from ismila.extras.servers.server import ServerError
from ismila.photos import UserError


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://nas:2283", "http://nas:2283"),
        ("http://nas:2283/api/", "http://nas:2283"),
        ("https://photos.example.org/immich/", "https://photos.example.org/immich"),
        ("nas:2283", "http://nas:2283"),
    ],
)
def test_addresses_as_people_give_them(given, url):
    assert server_url(given, PROGRAM) == url


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("ftp://nas", "expected the address of a server, such as http://nas:2283"),
        ("http://", "expected the address"),
        ("http://nas:port", "expected the address"),
        ("http://me:s3cret@nas", "as IMMICH_API_KEY"),
    ],
)
def test_what_is_no_address(given, words):
    with pytest.raises(UserError, match=words) as caught:
        server_url(given, PROGRAM)
    assert "s3cret" not in str(caught.value)


def test_a_token_comes_from_the_environment_or_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("IMMICH_API_KEY", raising=False)
    with pytest.raises(UserError, match="no IMMICH_API_KEY"):
        read_key(PROGRAM, tmp_path)
    (tmp_path / ".env").write_text("IMMICH_API_KEY=from-file\n")
    assert read_key(PROGRAM, tmp_path) == "from-file"
    monkeypatch.setenv("IMMICH_API_KEY", " from-environment\n")
    assert read_key(PROGRAM, tmp_path) == "from-environment"
    monkeypatch.setenv("IMMICH_API_KEY", "caf\u00e9")
    with pytest.raises(UserError, match="copy the token once more"):
        read_key(PROGRAM, tmp_path)


@pytest.mark.parametrize(
    ("url", "is_said"),
    [
        ("http://photos.example.org", True),
        ("http://8.8.8.8:2283", True),
        ("http://[2001:4860:4860::8888]", True),
        ("https://photos.example.org", False),
        ("http://nas:2283", False),
        ("http://nas.local", False),
        ("http://192.168.1.2:2283", False),
        ("http://127.0.0.1", False),
        ("http://[::1]:2283", False),
    ],
)
def test_whoever_sends_the_token_in_the_clear_is_told(url, is_said):
    assert ("in the clear" in in_the_clear(url, PROGRAM)) is is_said


def api_of(server):
    return ServerClient(server.address, PROGRAM, {"x-api-key": KEY})


def test_every_way_to_be_wrong_is_one_line():
    with ImmichServer({}) as server, PhotoPrismServer({}) as other:
        server.faults["html"] = 1
        with pytest.raises(ServerError, match="answers, but not as Immich does"):
            api_of(server).call("GET", "/tags")
        with pytest.raises(ServerError, match="not as Immich does"):
            api_of(other).require("/server/version", "major", int)
        server.leads_to = "https://photos.example.org"
        with pytest.raises(ServerError, match=r"leads to https://photos\.example\.org:443"):
            api_of(server).call("GET", "/tags")
        server.leads_to = ""
        server.rights = set()
        with pytest.raises(ServerError, match="not the right for GET /tags"):
            api_of(server).call("GET", "/tags")
        with pytest.raises(ServerError, match="does not know this token"):
            ServerClient(server.address, PROGRAM, {"x-api-key": "wrong"}).call("GET", "/tags")
        server.faults["503"] = 9
        with pytest.raises(ServerError, match="status 503, 5 times"):
            api_of(server).call("GET", "/tags")
    with pytest.raises(ServerError, match=r"connection: ConnectionError.*; check that it runs"):
        ServerClient("http://127.0.0.1:9", PROGRAM, {}).call("GET", "/tags", attempts=1)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"{", b""])
def test_what_is_no_json_is_another_program(content):
    with ImmichServer({}) as server:
        server.content = content
        if content:
            with pytest.raises(ServerError, match="not as Immich does"):
                api_of(server).call("GET", "/tags")
        else:
            assert api_of(server).call("GET", "/tags") is None


def test_what_the_server_says_is_wrong_is_passed_on_in_one_line():
    with ImmichServer({}) as server:
        server.content = json.dumps({"message": "bad\n\x1b[31mthing"}).encode()
        server.status = 400
        with pytest.raises(ServerError, match=r"status 400 at GET /tags \(bad  \[31mthing\)"):
            api_of(server).call("GET", "/tags")
