import base64
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from loopback import wait_until
from PIL import Image
from server import start

pytestmark = pytest.mark.slow
ABSENT = ("torch", "torchvision", "mlflow", "pandas", "captum", "sklearn", "scipy", "matplotlib", "safetensors", "rich",
          "onnx", "filelock", "requests")  # fmt: skip
BLOCK = f"""import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def served(exported, tmp_path_factory):
    """The file served where the libraries of training are not installed."""
    absent, folder = tmp_path_factory.mktemp("absent"), tmp_path_factory.mktemp("elsewhere")
    (absent / "sitecustomize.py").write_text(BLOCK)
    path = os.pathsep.join(filter(None, [str(absent), os.environ.get("PYTHONPATH")]))
    process, address = start(folder, "--model", exported[0], env={**os.environ, "PYTHONPATH": path})
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.stdout.read()
    assert list(folder.iterdir()) == []


def photo_of(folder, name="mila/m0.jpg"):
    return (folder / "album" / name).read_bytes()


def test_it_answers_as_the_run_does_without_torch(trained, served):
    process, run = start(trained)
    try:
        for name in ("mila/m1.jpg", "mila/m7.jpg", "not_mila/t3.jpg", "pets/dog/p3.jpg"):
            answers = [
                requests.post(f"{at}/api/predict", data=photo_of(trained, name)).json()
                for at in (run, served)
            ]
            (a,), (b,) = (answer.pop("photos") for answer in answers)
            assert a["probability"] == pytest.approx(b["probability"], abs=1e-3)
            assert a["verdict"] == b["verdict"] and answers[0] == answers[1]
            asked = [
                requests.post(f"{at}/api/predict?heat=1", data=photo_of(trained, name)).json()
                for at in (run, served)
            ]
            heats = [
                Image.open(io.BytesIO(base64.b64decode(one["photos"][0]["heat"].split(",")[1])))
                for one in asked
            ]
            assert heats[0].size == heats[1].size == (480, 360)
            assert asked[1]["photos"][0]["probability"] == b["probability"]
    finally:
        process.kill()
        process.wait()


def test_a_client_of_the_first_is_mila_is_answered_by_a_file(trained, served):
    run = requests.get(f"{served}/health").json()["run"]
    assert requests.get(f"{served}/model").json() == {"models": ["champion", run]}
    for name in ("champion", run):
        told = requests.get(f"{served}/model/{name}").json()
        assert told["network"]["image"] == {"rows": 128, "cols": 128, "color_channels": 3}
        assert told["meta"]["latest_logs"]["val_accuracy"] > 0.5
        [answer] = requests.post(f"{served}/model/{name}/prediction", data=photo_of(trained)).json()
        assert answer["mila"] > 0.5
    for name in ("nothing", "a%00b", "..%2fmila.onnx"):
        assert requests.get(f"{served}/model/{name}").status_code == 404
    assert "ismila_photos_total" in requests.get(f"{served}/metrics").text
    assert "<title>" in requests.get(f"{served}/").text


def test_training_photos_and_corrections_are_not_there(trained, served):
    assert requests.get(f"{served}/api").json()["feedback"] is False
    [told] = requests.post(f"{served}/api/predict?nearest=3", data=photo_of(trained)).json()[
        "photos"
    ]
    assert told["nearest"] == []
    assert (
        requests.post(f"{served}/api/feedback?label=mila", data=photo_of(trained)).status_code
        == 403
    )


@pytest.mark.parametrize(
    ("content", "args", "words"),
    [
        (None, [], "ismila export --format onnx"),
        (b"no model", [], "not an ONNX model"),
        (b"", [], "not an ONNX model"),
        ("bundled", [], "not one that `ismila export` wrote"),
        ("folder", [], "0 ONNX files"),
        ("exported", ["--feedback"], "leave it out"),
    ],
)
def test_a_file_that_cannot_be_served_is_one_line(exported, tmp_path, content, args, words):
    from onnx import TensorProto, helper

    file = tmp_path / "x.onnx"
    if content == "bundled":
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("a", "b")]
        graph = helper.make_graph(
            [helper.make_node("Relu", ["a"], ["b"])], "other", value[:1], value[1:]
        )
        opset = [helper.make_opsetid("", 18)]
        file.write_bytes(
            helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
        )
    elif content in ("folder", "exported"):
        file = tmp_path if content == "folder" else exported[0]
    elif content is not None:
        file.write_bytes(content)
    command = [sys.executable, "-m", "ismila.cli", "serve", "--model", str(file), *args]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 1
    assert words in said.stderr and len(said.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_it_ends(trained, exported, how):
    process, address = start(trained, "--model", exported[0])
    content = photo_of(trained)

    def slowly():
        yield content[:100]
        process.send_signal(how)
        time.sleep(1.0)
        yield content[100:]

    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(
            requests.post(f"{address}/model/champion/prediction", data=slowly(), timeout=20)
        )
    )
    asking.start()
    assert process.wait(20) in (0, 130, -how)
    asking.join(20)
    assert answers[0].status_code == 200 and answers[0].json()[0]["mila"] > 0.5
    host, port = address.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


GROWS_MIB = 600
"""What 64 bodies of 3 MB may add to what one photo takes; 240 were measured. Before photos were
decoded and fitted in one job within a budget, it grew by 100 in a second, without an end."""


def flat_png(side):
    """A picture of one colour: 200 kB for 64 megapixels."""
    row = b"\0" + b"\x40" * 3 * side
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()

    def chunk(name, content):
        body = name + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def memory_mib(process, what):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads Linux' /proc")
def test_memory_stays_bounded_whatever_is_sent_at_once(exported):
    """64 forms of 16 photos of 64 megapixels: one after another, and those who ask less are answered."""
    process, address = start(exported[0], "--model", exported[0])
    large, small = flat_png(8000), flat_png(64)
    form = [("photos", (f"{at}.png", large)) for at in range(16)]

    def send():
        with suppress(requests.RequestException):  # the server ends before it has come to them
            requests.post(f"{address}/api/predict", files=form, timeout=30)

    def is_refused():
        with suppress(requests.Timeout):  # it came before the last of the 64, and waits
            answer = requests.post(f"{address}/api/predict", data=small, timeout=5)
            return answer.status_code == 503
        return False

    try:
        assert requests.post(f"{address}/api/predict", data=large).ok
        with_one = memory_mib(process, "VmHWM")
        for _ in range(64):
            threading.Thread(target=send, daemon=True).start()
        wait_until(is_refused)  # at once: the first that is done makes a place
        for _ in range(20):
            time.sleep(0.5)
            if memory_mib(process, "VmRSS") > with_one + GROWS_MIB:
                break
        statuses = {requests.get(f"{address}/health", timeout=5).status_code for _ in range(5)}
        most = memory_mib(process, "VmHWM")
    finally:
        process.kill()
        process.wait()
    assert statuses == {200}
    assert most < with_one + GROWS_MIB
