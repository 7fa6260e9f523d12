"""Both servers through the same guard."""

import re
import shutil
import socket
import sys
from pathlib import Path

import pandas as pd
import pytest
import requests
from fastapi import FastAPI
from loopback import running

from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.use import web
from ismila.use.check import review_app
from ismila.use.check.review import Review
from ismila.use.serve.app import make_app

sys.path.insert(0, str(Path(__file__).parent / "serve"))
from stub import StubModels, grey_png

COLUMNS = ["path", "label", "kind", "closeup", "sort", "score", "reason", "suggested"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Address, and one that changes something, of `ismila serve` and of `ismila check --serve`."""
    root = tmp_path_factory.mktemp("album")
    review = Review(Album(root, "mila", root), pd.DataFrame(columns=COLUMNS), ["other"])
    serve = make_app(StubModels(), feedback=True, loopback=True)
    with running(serve) as first, running(review_app.make_app(review)) as second:
        yield {"serve": (first, "/api/feedback?label=mila"), "check": (second, "/undo")}


both = pytest.mark.parametrize("server", ["serve", "check"])


def change(servers, server, **headers):
    address, path = servers[server]
    headers = {"Content-Type": "image/png", **headers}
    return requests.post(address + path, data=grey_png(), headers=headers)


@both
@pytest.mark.parametrize("path", ["/", "/nothing", "/undo?x", "/openapi.json"])
def test_every_answer_forbids_frames_foreign_scripts_and_guessed_types(servers, server, path):
    headers = requests.get(servers[server][0] + path).headers
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@both
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@localhost", "localhost@a"],
)
def test_another_name_for_this_machine_is_refused(servers, server, host):
    for path in ("/", "/album.json", "/model", "/health"):
        answer = requests.get(servers[server][0] + path, headers={"Host": host})
        assert answer.status_code == 403 and "another name" in answer.json()["error"]
        assert answer.headers["X-Frame-Options"] == "DENY"


@both
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]", "[::1]:8000"])
def test_this_machine_has_several_names(servers, server, host):
    assert requests.get(servers[server][0], headers={"Host": host}).ok


@both
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "other port", "https", "", "file://"]
)
def test_a_page_of_another_origin_changes_and_reads_nothing(servers, server, origin):
    address = servers[server][0]
    origin = {"other port": "http://127.0.0.1:1", "https": address.replace("http", "https")}.get(
        origin, origin
    )
    assert change(servers, server, Origin=origin).status_code == 403
    assert requests.get(f"{address}/", headers={"Origin": origin}).status_code == 403


@both
def test_the_page_itself_and_programs_may_change_things(servers, server):
    assert change(servers, server).ok
    own = {"Origin": servers[server][0], "Sec-Fetch-Site": "same-origin"}
    assert change(servers, server, **own).ok
    assert change(servers, server, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    linked = {"Sec-Fetch-Site": "cross-site"}  # a link on another site
    assert requests.get(servers[server][0], headers=linked).ok


def test_other_sites_may_ask_the_first_api_only(servers):
    address = servers["serve"][0]
    foreign = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
    asked = requests.post(f"{address}/model/champion/prediction", data=grey_png(), headers=foreign)
    assert asked.ok and asked.headers["Access-Control-Allow-Origin"] == "*"
    for path in ("/api/predict", "/models/x", "/api/feedback?label=mila"):
        assert requests.post(address + path, data=b"x", headers=foreign).status_code == 403


@both
def test_the_page_and_its_files_have_their_types(servers, server):
    address = servers[server][0]
    page = requests.get(address)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8" and "<title>" in page.text
    script = {"serve": "page.js", "check": "check.js"}[server]
    assert "text/javascript" in requests.get(f"{address}/{script}").headers["Content-Type"]
    assert requests.get(f"{address}/../../etc/passwd").status_code == 404


def test_our_own_mistake_is_a_500_with_headers_and_a_traceback_for_the_terminal(caplog):
    app = FastAPI()
    web.say_errors(app)

    @app.get("/broken")
    def broken(number: int = 0):
        raise ZeroDivisionError

    app.add_middleware(web.Guard, loopback=True)
    with running(app) as address:
        answer = requests.get(f"{address}/broken")
        invalid = requests.get(f"{address}/broken?number=x")
    assert answer.status_code == 500 and "terminal" in answer.json()["error"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert invalid.status_code == 422 and invalid.json()["error"].startswith("number: ")


def test_an_address_that_is_taken_or_none_is_said_with_the_remedy():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for port in (other.getsockname()[1], 99_999, -1):
            with pytest.raises(UserError, match=rf"--port {port}: .*give another"):
                web.run_server(FastAPI(), "127.0.0.1", port, "")
    with pytest.raises(UserError, match="--host nowhere"):
        web.run_server(FastAPI(), "nowhere.invalid", 0, "")


def refusals(metrics):
    found = re.search(r'status="403"} (\d+)', requests.get(metrics).text)
    return int(found[1]) if found else 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_foreign_page_cannot_frame_either_in_a_real_browser(servers):
    sync = pytest.importorskip("playwright.sync_api")
    foreign = FastAPI()

    @foreign.get("/")
    def frames():
        shown = "".join(f'<iframe src="{address}"></iframe>' for address, _ in servers.values())
        return web.Response(shown, media_type="text/html")

    with running(foreign) as address, sync.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(address, wait_until="networkidle")
        refused = [text for text in said if "frame-ancestors" in text]
        assert len(refused) == 2, said
        sent = """([where]) =>
            fetch(where, { method: "POST", mode: "no-cors", body: "x" }).catch(() => null)"""
        metrics = f"{servers['serve'][0]}/metrics"
        before = refusals(metrics)
        for where, path in servers.values():
            page.evaluate(sent, [where + path])
        assert refusals(metrics) == before + 1
        browser.close()
