"""Bodies as they come over a real connection."""

import socket
import threading
import time

import pytest
import requests
from fastapi import FastAPI, Request
from loopback import running, wait_until

from ismila.use import web
from ismila.use.serve import upload
from ismila.use.serve.app import _say_busy


@pytest.fixture
def intake(monkeypatch):
    monkeypatch.setattr(upload, "LARGEST_BODY", 100_000)
    monkeypatch.setattr(upload, "IDLE_S", 0.3)
    monkeypatch.setattr(upload, "BODY_S", 1.0)
    return upload.Intake(most_bytes=150_000)


@pytest.fixture
def address(intake):
    app = FastAPI()
    web.say_errors(app)
    _say_busy(app)

    @app.post("/")
    async def lengths(request: Request, hold_s: float = 0):
        async with intake.photos(request) as photos:
            import asyncio

            await asyncio.sleep(hold_s)
            return [[photo.name, len(photo.content)] for photo in photos]

    with running(app) as where:
        yield where


def test_a_photo_alone_or_several_in_a_form(address, intake):
    for kind in ("image/png", "application/octet-stream", None):
        assert requests.post(address, data=b"abc", headers={"Content-Type": kind}).json() == [
            ["photo", 3]
        ]
    form = [("a", ("x.jpg", b"1234")), ("b", ("ü/../y.png", b"12"))]
    assert requests.post(address, files=form).json() == [["x.jpg", 4], ["ü/../y.png", 2]]
    assert intake.held_bytes == 0


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {"data": b""}),
        (400, {"files": [("a", (None, b"a field, no file"))]}),
        (400, {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
        (400, {"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}),
        (400, {"files": [("a", (f"{at}.jpg", b"x")) for at in range(17)]}),
        (413, {"data": b"x" * 100_001}),
        (413, {"data": iter([b"x" * 60_000] * 2)}),
        (413, {"files": [("a", ("x.jpg", b"x" * 100_001))]}),
        (415, {"data": b"x", "headers": {"Content-Type": "text/html"}}),
    ],
)
def test_what_is_no_upload_is_a_4xx_in_words(address, intake, status, sent):
    answer = requests.post(address, **sent)
    assert answer.status_code == status and answer.json()["error"]
    assert intake.held_bytes == 0


def slow(address, parts, pause_s):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n")
        for _ in range(parts):
            client.sendall(b"x")
            time.sleep(pause_s)
        client.settimeout(5)
        return client.recv(4096)


def test_who_sends_nothing_or_too_slowly_is_let_go(address, intake):
    assert b" 408 " in slow(address, 1, 0)
    assert b" 408 " in slow(address, 7, 0.2)
    assert intake.held_bytes == 0


def test_who_goes_away_leaves_nothing_behind(address, intake):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\nabc")
        wait_until(lambda: intake.held_bytes == 3)
    wait_until(lambda: intake.held_bytes == 0)
    assert requests.post(address, data=b"abc").ok


def test_all_bodies_together_are_bounded(address, intake):
    answers = []

    def send():
        answers.append(requests.post(f"{address}/?hold_s=2", data=b"x" * 90_000))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 503, 503]
    assert all(a.headers["Retry-After"] == "1" for a in answers if a.status_code == 503)
    assert intake.held_bytes == 0
