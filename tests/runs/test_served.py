"""The champion as MLflow's own users load and serve it."""

import base64
import io
import json
import os
import pickle
import pickletools
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
import zipfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pillow_heif
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from ismila.photos.images import ImageSpec
from ismila.runs.served import ServedClassifier
from ismila.vision.judgement import Judgement
from ismila.vision.views import Viewer


@pytest.fixture(scope="module")
def champion(swept):
    """`models:/mila@champion`, loaded, and the folder that it was logged in."""
    mlflow.set_tracking_uri(f"sqlite:///{swept}/mlruns/mlflow.db")
    loaded = mlflow.pyfunc.load_model("models:/mila@champion")
    return loaded, Path(loaded._model_impl.context.artifacts["classifier"]).parents[1]


def is_pickle(path):
    content = path.read_bytes()
    # without the mark of its protocol (2 and later; Python 3 writes 4) a text may be one by chance:
    # "hydra-core==1." is a row of opcodes that ends with STOP
    if not content.startswith(pickle.PROTO):
        return False
    try:
        *_, last = pickletools.genops(content)
        return last[0].name == "STOP"
    except Exception:
        return False


@pytest.mark.slow
def test_no_file_of_the_logged_model_is_a_pickle(champion, tmp_path):
    files = [path for path in champion[1].rglob("*") if path.is_file()]
    assert {"MLmodel", "model.safetensors", "classifier.json", "served.py"} <= {
        path.name for path in files
    }
    arrays = [path for path in files if path.suffix == ".npz"]
    assert not [path for path in files if is_pickle(path)]
    assert not [path for path in files if zipfile.is_zipfile(path) and path not in arrays]
    for path in arrays:
        with np.load(path, allow_pickle=False) as file:
            assert all(file[name].dtype != object for name in file.files)
    (tmp_path / "x").write_bytes(b"\x80\x04N.")
    assert is_pickle(tmp_path / "x")  # the check itself can fail


@pytest.mark.slow
def test_an_image_may_come_as_a_path_or_in_any_common_dress_of_base64(champion, swept):
    photo = swept / "album/mila/m0.jpg"
    plain = base64.b64encode(photo.read_bytes()).decode()
    dressed = [
        str(photo),
        plain,
        base64.encodebytes(photo.read_bytes()).decode(),
        f"data:image/jpeg;base64,{plain}",
    ]
    told = champion[0].predict(pd.DataFrame({"image": dressed}))
    assert told["probability"].nunique() == 1
    assert set(told["verdict"]) in ({"mila"}, {"not mila"}, {"unsure"})
    with pytest.raises(Exception, match=r"row 1: .*expected base64 of an image's bytes, or a path"):
        champion[0].predict(pd.DataFrame({"image": [plain, "nowhere.jpg"]}))


class Half:
    """Stands for a classifier: half sure of everything."""

    spec = ImageSpec(32)
    threshold = 0.5
    subject = "mila"

    viewer = Viewer(spec)

    def judge(self, photos):
        return [Judgement(0.55) for _ in photos]


@pytest.fixture
def model():
    served_classifier = ServedClassifier()
    served_classifier.classifier = Half()
    return served_classifier


def content_of(size=(32, 32)):
    out = io.BytesIO()
    Image.effect_noise(size, 60).save(out, "PNG")
    return out.getvalue()


def test_it_says_unsure_as_predict_does(model):
    image = base64.b64encode(content_of()).decode()
    told = model.predict(None, pd.DataFrame({"image": [image]}))
    assert told.to_dict("records") == [{"probability": 0.55, "verdict": "unsure"}]


def test_base64_of_any_length_is_taken_for_no_path(model, tmp_path):
    content = content_of()
    plain = base64.b64encode(content).decode()
    assert 255 < len(plain) < 4096  # too long for a file's name, which is what the disk says
    (tmp_path / "a photo.png").write_bytes(content)
    dressed = [
        plain,
        plain.rstrip("="),
        base64.urlsafe_b64encode(content).decode(),
        base64.encodebytes(content).decode(),
        f"data:image/png;base64,{plain}",
        f"data:image/png;name=a;base64,{plain}",
        str(tmp_path / "a photo.png"),
    ]
    assert len(model.predict(None, pd.DataFrame({"image": dressed}))) == len(dressed)


@pytest.mark.parametrize(
    "image",
    ["", " ", "nowhere.jpg", "a\0b", "/", "x" * 300, "/" + "x/" * 3000, "data:image/png,abc",
     "data:", "https://example.org/a.jpg", "bm9uZQ==", "None", "/dev/zero"],
)  # fmt: skip
def test_what_is_neither_names_its_row(model, image):
    good = base64.b64encode(content_of()).decode()
    with pytest.raises(
        MlflowException, match=r"row 1: .*; expected base64 of an image's bytes"
    ) as e:
        model.predict(None, pd.DataFrame({"image": [good, image]}))
    assert e.value.get_http_status_code() == 400


ASK = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
told = model.predict(pd.DataFrame({"image": sys.argv[2:]}))
print(json.dumps([sorted(sys.modules.keys() & {"torch", "pillow_heif"}), told["probability"].tolist()]))
"""


@pytest.mark.slow
def test_it_answers_in_the_environment_that_mlflow_makes_for_it(champion, swept, tmp_path):
    """Nothing but what MLflow is told to install, from the index that pip is configured for; iPhones' photos, too."""
    logged = champion[1]
    needed = mlflow.pyfunc.get_model_dependencies(str(logged))
    venv.create(tmp_path / "made", with_pip=True)
    python = tmp_path / "made/bin/python"
    command = [python, "-m", "pip", "install", "--quiet", "--requirement", needed]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No matching distribution" in installed.stderr:
        pytest.skip(f"no index has it: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    photo, heic = swept / "album/mila/m0.jpg", tmp_path / "m0.heic"
    with Image.open(photo) as image:
        pillow_heif.from_pillow(image).save(heic, quality=95)
    images = [str(photo), str(heic), base64.b64encode(heic.read_bytes()).decode()]
    kept = ("PATH", "HOME", "LANG")  # above all no PYTHONPATH, by which ismila would come
    asked = subprocess.run(
        [python, "-c", ASK, logged, *images],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={name: os.environ[name] for name in kept if name in os.environ},
    )
    assert asked.returncode == 0, asked.stderr
    imported, told = json.loads(asked.stdout.splitlines()[-1])
    here = champion[0].predict(pd.DataFrame({"image": images}))["probability"].tolist()
    assert told == pytest.approx(here, abs=1e-4)
    assert here[1] == pytest.approx(here[0], abs=0.05)
    assert imported == ["pillow_heif"]


@pytest.mark.slow
def test_mlflow_serves_it_as_readme_says(champion, swept, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = readme[readme.index("export MLFLOW_TRACKING_URI=sqlite") :].splitlines()
    served = next(at for at, line in enumerate(lines) if "models serve" in line)
    lines[served] = f"exec {lines[served].replace('--port 5001', f'--port {port}')}"
    (tmp_path / "mlruns").symlink_to(swept / "mlruns")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    server = subprocess.Popen(
        ["bash", "-c", "\n".join(lines[: served + 1])],
        env={**os.environ, "PATH": os.defpath},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, "the server ended"
                time.sleep(0.2)
        photo = swept / "album/mila/m0.jpg"
        images = [base64.b64encode(photo.read_bytes()).decode(), str(photo)]
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"inputs": {"image": images}}).encode(),
            {"Content-Type": "application/json"},
        )
        told = json.load(urllib.request.urlopen(asked, timeout=60))["predictions"]
    finally:
        os.killpg(server.pid, 15)
        server.wait()
    here = champion[0].predict(pd.DataFrame({"image": images}))
    assert [row["probability"] for row in told] == pytest.approx(
        here["probability"].tolist(), abs=1e-6
    )
    assert [row["verdict"] for row in told] == here["verdict"].tolist()
