"""Draws small photos: nothing is downloaded, nothing is shipped."""

import contextlib
import functools
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import ismila.train
from ismila.cli.border import call_hydra
from ismila.cli.main import main
from ismila.learning.closeups import subject_shares
from ismila.learning.features import Features
from ismila.learning.inputs import encoder_of, viewer_of
from ismila.photos.album import Album
from ismila.photos.images import ImageSpec
from ismila.settings import register, settings_of
from ismila.use.check.review import Review
from ismila.vision.encoders import OnnxBackbone
from ismila.vision.views import Viewer

CONF = Path(ismila.__file__).with_name("conf")


SMALL = ("model=mobilenet", "model.size_px=128")
"""Real features in a tenth of the time that the default takes."""
CACHES = ("torchinductor_", ".ses")
"""What torch and its like keep in the system's folder for the next process, whoever's."""
DEAR = ("trained", "swept", "both_trained", "ray_cluster", "wrong_and_looked_at")
"""Fixtures that take seconds."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share a dear fixture go to one process (`--dist loadgroup`), the others by file.

    Groups with slow tests begin, so that no process is left alone with one at the end.
    """
    groups = {}
    for item in items:
        dear = next((name for name in DEAR if name in item.fixturenames), "")
        groups[item] = dear or str(item.path)
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    slow = {groups[item] for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: groups[item] not in slow)


if threading.current_thread() is threading.main_thread():
    # A shell starts what it runs in the background with SIGINT ignored, and processes inherit that: tests of Ctrl-C,
    # and what they start, are to be as in a terminal.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ORANGE = (250, 140, 20)
BLUE = (20, 90, 250)


def draw_photo(path: Path, seed: int, subject: bool, size=(160, 120), colour=ORANGE) -> Path:
    """A noisy photo; the subject is a large blob, orange, or in the colour of another pet."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size), np.int16
    )
    pixels = (pixels // 2 + rng.integers(0, 40, pixels.shape)).clip(0, 255).astype(np.uint8)
    if subject:
        y, x = np.ogrid[: size[1], : size[0]]
        blob = ((x - rng.integers(50, 110)) / 45) ** 2 + ((y - rng.integers(45, 75)) / 38) ** 2 < 1
        pixels[blob] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)
    return path


def config_of(*overrides: str):
    """The config of `python -m ismila.train OVERRIDES`, as Hydra composes it."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides))


def settings(*overrides: str):
    """The settings of `python -m ismila.train OVERRIDES`."""
    return settings_of(config_of(*overrides))


def features_of(derived: Path, *overrides: str) -> Features:
    """Those of `python -m ismila.train OVERRIDES`."""
    model = settings(*overrides).model
    return Features(derived, viewer_of(model), encoder_of(model))


@pytest.fixture(autouse=True)
def own_tracking():
    """`mlflow.set_tracking_uri` also sets an environment variable, which the next test's processes would inherit.

    The store that another test connected to is forgotten, too: a test that counts on it passes or
    fails by the order.
    """
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def draw_album(root: Path) -> Path:
    """24 photos of the subject, 40 of things, 12 of other animals."""
    for i in range(24):
        draw_photo(root / f"mila/m{i}.jpg", i, True)
    for i in range(40):
        draw_photo(root / f"not_mila/t{i}.jpg", 1000 + i, False)
    for i in range(12):
        draw_photo(root / f"pets/{'dog' if i % 2 else 'cat'}/p{i}.jpg", 2000 + i, False)
    return root


def draw_sides(root, n_subject, n_things, n_pets=0):
    for i in range(n_subject):
        draw_photo(root / f"mila/m{i}.jpg", i, True)
    for i in range(n_things):
        draw_photo(root / f"not_mila/t{i}.jpg", 1000 + i, False)
    for i in range(n_pets):
        draw_photo(root / f"pets/dog/p{i}.jpg", 2000 + i, False)
    return root


@pytest.fixture(scope="session")
def enough(tmp_path_factory):
    """An album with enough photos for a test fold, read once; do not change it."""
    return look_at(draw_sides(tmp_path_factory.mktemp("enough") / "album", 36, 60, 24))


@pytest.fixture
def own(enough, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(enough, tmp_path / "album")


@pytest.fixture(scope="session")
def looked_at(tmp_path_factory):
    """An album that was read once; do not change it."""
    return look_at(draw_album(tmp_path_factory.mktemp("album") / "album"))


def look_at(root: Path) -> Path:
    """Keep beside an album what every run reads of it: no test has to look at the same photos again."""
    album = Album.open(root, "mila")
    index = album.update()
    subject_shares(album, index)
    spec = ImageSpec(128)
    Features(album.derived, Viewer(spec), OnnxBackbone(spec)).fill(album.photos(index))
    return root


@pytest.fixture(scope="session")
def wrong_and_looked_at(looked_at, tmp_path_factory):
    """An album with two labels that are wrong, and what is suspected in it; do not change it."""
    from wrong_album import make_wrong

    root = tmp_path_factory.mktemp("wrong") / "album"
    make_wrong(shutil.copytree(looked_at, root))
    return Review.of(Album.open(root, "mila"))


@pytest.fixture(scope="module")
def suspected(wrong_and_looked_at, tmp_path_factory):
    """A copy of it for the tests of a file, which put back what they change."""
    root = tmp_path_factory.mktemp("suspected") / "album"
    shutil.copytree(wrong_and_looked_at.album.root, root)
    return Review.of(Album.open(root, "mila"))


@pytest.fixture
def album(tmp_path):
    """An album of its own for a test, which nobody has read."""
    return draw_album(tmp_path / "album")


class Said(NamedTuple):
    """What a command printed, and its exit code; as `subprocess.run` gives it."""

    returncode: int
    stdout: str
    stderr: str


@functools.cache
def empty_store() -> bytes:
    """A tracking store without a run, made once a process: MLflow takes 1.5 s for its tables."""
    from ismila.runs.store import make_whole  # which silences MLflow, too

    with tempfile.TemporaryDirectory() as folder:
        make_whole(Path(folder) / "mlflow.db")
        return (Path(folder) / "mlflow.db").read_bytes()


def processes_with(setting: str, *names: bytes) -> list[int]:
    """Processes whose environment has the setting (`NAME=value`), by the names of their programs if any are given."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that ends meanwhile
            program = (process / "cmdline").read_bytes().split(b"\0")[0]
            known = (process / "environ").read_bytes().split(b"\0")
            if setting.encode() in known and program.endswith(names or b""):
                found.append(int(process.name))
    return found


def call(folder: Path, module: str, *args: object) -> Said:
    """`python -m module args` in a folder, by the module's own entry but in this process.

    torch, Lightning and MLflow take ten seconds to import: a process of its own is for tests of
    processes. MLflow keeps a store for each address, so that the address says which folder is meant.
    No command may leave a file in the system's folder for temporary files.
    """
    out = io.StringIO()
    err = io.StringIO()
    file = folder / "mlruns/mlflow.db"
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_bytes(empty_store())
    changed = {"MLFLOW_TRACKING_URI": f"sqlite:///{file}", "COLUMNS": "120"}
    words = [str(arg) for arg in args]
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        tempfile.TemporaryDirectory() as temporary,
    ):
        patch.setattr(tempfile, "tempdir", temporary)
        patch.chdir(folder)
        for name, value in changed.items():
            patch.setenv(name, value)
        code = _train(patch, words) if module == "ismila.train" else _ismila(words)
        left = [path.name for path in Path(temporary).iterdir()]
    left = [name for name in left if not name.startswith(CACHES)]
    assert not left, f"{words} left {left}"
    return Said(code, out.getvalue(), err.getvalue())


def _train(patch: pytest.MonkeyPatch, words: list[str]) -> int:
    GlobalHydra.instance().clear()
    patch.setattr(sys, "argv", ["ismila.train", *words])
    return call_hydra(ismila.train.run, CONF)


def _ismila(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as error:
        return int(error.code or 0)


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """A folder with an album (some names odd) and a sweep of four runs: two variants and seeds."""
    folder = tmp_path_factory.mktemp("swept")
    album = draw_album(folder / "album")
    for i in range(12):
        draw_photo(album / f"mila/more{i}.jpg", 400 + i, True)
        odd = f"not_mila/<img src=x onerror=alert(1)>{i}.jpg"
        draw_photo(album / odd, 600 + i, i % 2 == 0)
    overrides = [*SMALL, "data=base,pets", "seed=0,1", "data.root=album"]
    said = call(folder, "ismila.train", "-m", *overrides)
    assert said.returncode == 0, said.stderr
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with an album and a run; what a test changes in it, it changes back."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    folder = tmp_path_factory.mktemp("served")
    draw_album(folder / "album")
    said = call(folder, "ismila.train", *SMALL, "data=pets", "data.root=album")
    assert said.returncode == 0, said.stderr
    return folder


@pytest.fixture(scope="session")
def both_trained(tmp_path_factory):
    """A folder with an album of two pets, mila and rex, and a run of each from one sweep; do not change it."""
    folder = tmp_path_factory.mktemp("pets")
    draw_album(folder / "album")
    for i in range(24):
        draw_photo(folder / f"album/rex/r{i}.jpg", 3000 + i, True, colour=BLUE)
    encoded = count_encoded(folder, "subject=mila,rex")
    (folder / "encoded.txt").write_text(str(encoded))
    return folder


def count_encoded(folder: Path, subjects: str) -> int:
    """Train for subjects in a sweep; how many images went through the backbone."""
    encoded = []
    encode = OnnxBackbone.__call__

    def counted(self, images):
        encoded.append(len(images))
        return encode(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxBackbone, "__call__", counted)
        overrides = [*SMALL, "data=pets", "data.root=album", subjects]
        said = call(folder, "ismila.train", "-m", *overrides)
    assert said.returncode == 0, said.stderr
    return sum(encoded)


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """A folder with the run as an ONNX file, and what `ismila export` said."""
    to = tmp_path_factory.mktemp("exported")
    said = call(trained, "ismila.cli", "export", "--format", "onnx", "--to", to)
    assert said.returncode == 0, said.stderr
    return to, said.stdout


@pytest.fixture(scope="session")
def ledger(tmp_path_factory):
    """A tracking store without a training; a test takes a subject of its own in it."""
    from recorded import Ledger

    return Ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="session")
def s3():
    """The address of an S3 server on this machine; `make_bucket` gives a test a bucket of its own."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(
        logging.ERROR
    )  # it would be taken for what a command says
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    os.environ |= {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    yield address
    server.stop()


@pytest.fixture(scope="session")
def ray_cluster(s3):
    """The address of a Ray cluster of two workers on this machine, which know the S3 server."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ |= {"RAY_worker_niceness": "0"}  # else its workers wait for all other tests
    os.environ["RAY_AUTH_MODE"] = "disabled"  # whoever runs the tests may have a token at home
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 128 * 1024**2}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()
