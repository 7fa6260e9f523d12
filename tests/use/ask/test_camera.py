"""A camera (a film that ends, and a real stream on loopback): who comes, who goes, and who is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import call, draw_photo
from films import draw_film

from ismila.use.ask import camera
from ismila.use.ask.films import Film


@pytest.fixture(scope="session")
def visit(tmp_path_factory):
    """Three seconds of things, three of the subject, three of things."""
    return draw_film(tmp_path_factory.mktemp("visit") / "door.mp4", "...mmm...")


class Hook(BaseHTTPRequestHandler):
    """Keeps what it gets; answers as its server says."""

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(content))
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def served():
    """Serves a handler on loopback until the test ends."""
    servers = []

    def serve(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def watch(trained, *words):
    said = call(trained, "ismila.cli", "camera", "--run", "latest", *words)
    assert "Traceback" not in said.stderr
    return said


@pytest.mark.slow
def test_who_comes_and_who_goes_is_said_sent_and_kept(trained, visit, served, tmp_path):
    hook = served(Hook)
    hook.got, hook.answer = [], 204
    url = f"http://127.0.0.1:{hook.server_port}/door"
    said = watch(trained, visit, "--webhook", url, "--keep", tmp_path / "kept")
    assert said.returncode == 0
    assert [line.split()[3:] for line in said.stdout.splitlines()] == [
        ["mila", "is", "there"],
        ["mila", "has", "gone"],
    ]
    assert [message["is_there"] for message in hook.got] == [True, False]
    assert set(hook.got[0]) == {"subject", "is_there", "probability", "at"}
    [kept] = (tmp_path / "kept").iterdir()
    assert kept.name.endswith("_mila.jpg")


@pytest.mark.slow
def test_a_receiver_that_refuses_is_named_and_the_camera_goes_on(trained, visit, served, tmp_path):
    hook = served(Hook)
    hook.got, hook.answer = [], 500
    url = f"http://127.0.0.1:{hook.server_port}/"
    (tmp_path / "file").write_text("in the way")
    said = watch(trained, visit, "--json", "--webhook", url, "--keep", tmp_path / "file")
    assert said.returncode == 0
    assert [json.loads(line)["is_there"] for line in said.stdout.splitlines()] == [True, False]
    assert said.stderr.count("not sent: --webhook: it answers 500") == 2
    assert said.stderr.count("not kept: --keep") == 1


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--webhook", "door"], "expected http://HOST"),
        (["--mqtt", "http://user:secret@127.0.0.1"], "expected mqtt://HOST"),
        (["--mqtt", "mqtt://user:secret@127.0.0.1:1/door"], "no broker at 127.0.0.1:1"),
        (["--mqtt", "mqtt://127.0.0.1:x/door"], "error: --mqtt"),
    ],
)
def test_a_receiver_that_cannot_be_is_an_error_before_anything_is_watched(
    trained, visit, words, remedy
):
    said = watch(trained, visit, *words)
    assert said.returncode == 1
    assert said.stdout == ""
    assert remedy in said.stderr
    assert "secret" not in said.stderr


def test_a_film_that_is_none_is_an_error(trained, tmp_path):
    said = watch(trained, tmp_path / "none.mp4")
    assert said.returncode == 1
    assert "No such file" in said.stderr


def camera_of(photos):
    """A handler that streams photos as cameras do, and hangs up after the last."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for photo in photos:
                head = (
                    f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
                )
                self.wfile.write(head.encode() + photo + b"\r\n")

        def log_message(self, *_):
            pass

    return Camera


def test_a_camera_that_was_away_is_asked_again(served, tmp_path, monkeypatch):
    monkeypatch.setattr(camera, "WAITS_S", (0.05,))
    photo = draw_photo(tmp_path / "a.jpg", 1, True).read_bytes()
    server = served(camera_of([photo] * 30))
    said = []
    film = Film(f"http://127.0.0.1:{server.server_port}/cam.mjpg", 50, 1024)
    frames = camera.frames_of_camera(film, said.append)
    for _ in range(3):
        assert next(frames).photo.size == (160, 120)
        while len(said) < 2:  # it hung up twice while we held one frame
            threading.Event().wait(0.02)
        said.clear()
    assert next(frames).photo.size == (160, 120)
