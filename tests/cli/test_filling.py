"""The process that reads an album's photos while another one imports torch, Lightning and MLflow."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SMALL, call, draw_sides, settings

from ismila.cli import filling as module
from ismila.cli.filling import fill_caches, filling
from ismila.learning.inputs import is_encoded
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.index import usable

RACE = Path(__file__).with_name("environ_race.c")


@pytest.fixture
def unread(tmp_path):
    """An album whose photos no network has seen, its usable rows, and settings to train with."""
    album = Album.open(draw_sides(tmp_path / "album", 4, 4), "mila")
    return album, usable(album.update()), settings(*SMALL, "data=pets")


def test_it_fills_the_cache_that_a_run_reads(unread):
    album, rows, run = unread
    assert not is_encoded(album, rows, run) and album.shares(rows) is None
    with filling(album, rows, run):
        pass
    assert is_encoded(album, rows, run) and album.shares(rows) is not None


def test_what_a_person_can_put_right_comes_out_as_it_was_said(unread):
    album = unread[0]
    (album.derived / "features.lock").mkdir()
    with (
        pytest.raises(UserError, match=r"^\S*/album/.ismila: Is a directory; give data.cache=DIR"),
        filling(*unread),
    ):
        pass


def test_a_mistake_of_ours_shows_the_traceback_of_where_it_was_made(unread, capfd):
    album = unread[0]
    (album.derived / "features").write_text("no folder")
    with pytest.raises(RuntimeError, match="exit code 1"), filling(*unread):
        pass
    said = capfd.readouterr().err
    assert (
        said.startswith("Traceback") and "NotADirectoryError" in said and "in fill_caches" in said
    )


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    processes = []
    start = module._started

    def noted(*args):
        processes.append(start(*args))
        return processes[-1]

    monkeypatch.setattr(module, "_started", noted)
    return processes


def test_it_is_said_when_it_is_killed(unread, started):
    with pytest.raises(UserError, match=r"was killed \(SIGKILL\)"), filling(*unread):
        started[0].kill()


def test_it_ends_with_the_block_that_waits_for_it(unread, started):
    with pytest.raises(KeyboardInterrupt), filling(*unread):
        raise KeyboardInterrupt
    assert started[0].returncode is not None


def test_where_everything_is_cached_no_process_is_started(own, tmp_path, started):
    album = Album.open(own, "mila")
    fill_caches(album, usable(album.update()), settings(*SMALL, "data=pets"))
    said = call(tmp_path, "ismila.train", *SMALL, "data=pets", f"data.root={own}")
    assert said.returncode == 0, said.stderr
    assert not started


WATCHED = """
import sys, threading
def watch(event, args):
    if event in ("import", "os.putenv", "os.unsetenv") and threading.active_count() > 1:
        print(event, args[0], threading.current_thread().name, file=sys.stderr)
"""
COLD = {
    "the index": "album.update()",
    "a cache": "fill_caches(album, rows, run)",
    "a photo for a page": "asyncio.run(Decoder().run(read_image, file, ImageSpec(64)))",
    "the demo album": "draw_album(Path('drawn'), 'mila', share=0.001)",
}
"""What works in threads, by what it makes."""


@pytest.mark.parametrize("code", COLD.values(), ids=COLD)
def test_nothing_is_imported_and_no_variable_set_while_threads_work(code, unread, tmp_path):
    album, rows, run = unread
    shutil.rmtree(album.derived)
    (tmp_path / "given.pickle").write_bytes(pickle.dumps((album, rows, run)))
    lines = [
        "import asyncio, pickle",
        "from pathlib import Path",
        "from ismila.cli.filling import fill_caches",
        "from ismila.demo.drawn import draw_album",
        "from ismila.photos.images import ImageSpec, read_image",
        "from ismila.use.decoder import Decoder",
        "album, rows, run = pickle.loads(Path('given.pickle').read_bytes())",
        "file = next(album.root.rglob('*.jpg'))",
        "sys.addaudithook(watch)",
        code,
    ]
    said = subprocess.run(
        [sys.executable, "-c", WATCHED + "\n".join(lines)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")


def filling_of(process: subprocess.Popen) -> int:
    """The id of the process that a training has started to read photos, once it is there."""
    for _ in range(600):
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = line.read_bytes().split(b"\0")
            except OSError:  # one that ends meanwhile
                continue
            if b"ismila.cli.filling" in words and str(process.pid).encode() in words:
                return int(line.parent.name)
        time.sleep(0.05)
    raise AssertionError("no process reads photos")


def begin(folder: Path, *overrides: str) -> subprocess.Popen:
    """A training in a session of its own, as one in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "ismila.train", *SMALL, "data=pets", *overrides],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    # nobody may wait for one whose parent was killed
    return "(zombie)" in Path(f"/proc/{process}/status").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
def test_ctrl_c_ends_both_with_one_line(after_s, unread, tmp_path):
    training = begin(tmp_path, f"data.root={unread[0].root}")
    child = filling_of(training)
    time.sleep(after_s)
    os.killpg(training.pid, signal.SIGINT)  # as a terminal sends it, to both
    _, said = training.communicate(timeout=60)
    assert training.returncode == 130
    _, stopped = [line for line in said.splitlines() if not line.startswith(("Fewer", "  "))]
    assert stopped == "stopped; the same command goes on from the cached rows"
    assert is_gone(child)


@pytest.mark.slow
def test_it_does_not_outlive_a_training_that_was_killed(tmp_path):
    root = draw_sides(tmp_path / "album", 100, 500)
    training = begin(tmp_path, f"data.root={root}", "model.size_px=224")
    child = filling_of(training)
    training.kill()
    training.communicate()
    started = time.monotonic()
    while not is_gone(child):
        assert time.monotonic() - started < 60
        time.sleep(0.1)
    album = Album.open(root, "mila")
    assert not is_encoded(album, usable(album.read()), settings(*SMALL, "model.size_px=224"))


@pytest.fixture(scope="session")
def race(tmp_path_factory):
    """A library that makes it certain that threads meet in the environment, and says so; see its source."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler: what threads do to the environment cannot be watched")
    library = tmp_path_factory.mktemp("race") / "environ_race.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, RACE, "-ldl"]
    subprocess.run(command, check=True)
    return library


def met(
    race: Path, folder: Path, *command: object
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run Python, and say what met whom in its processes' environments."""
    log = folder / "race.log"
    log.unlink(missing_ok=True)
    watched = {"LD_PRELOAD": str(race), "ENVIRON_RACE_LOG": str(log)}
    said = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=os.environ | watched,
        capture_output=True,
        text=True,
        check=False,
    )
    return said, log.read_text().splitlines() if log.exists() else []


BESIDE = """
import os, sys, threading, time
from ismila.photos.images import open_photo
from pathlib import Path
open_photo(Path(sys.argv[1]), 64)
done = threading.Event()
def decode():
    while not done.is_set():
        open_photo(Path(sys.argv[1]), 64)
thread = threading.Thread(target=decode)
thread.start()
for number in range(50):
    os.environ[f"NEW_{number}"] = "1"
    time.sleep(0.01)
done.set()
thread.join()
"""
"""As training did it until 0.3: photos are decoded in a thread, while another one sets variables."""


def test_decoding_beside_a_thread_that_sets_variables_is_seen(race, unread, tmp_path):
    """It may also crash, which is the point; with what the library writes down until then."""
    photo = next(unread[0].root.rglob("*.jpg"))
    _, pairs = met(race, tmp_path, "-c", BESIDE, photo)
    assert any("setenv NEW_" in pair and "libjpeg" in pair for pair in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [["model=reid"], ["model=cnn", "model.epochs=2"]])
def test_nothing_is_read_in_a_thread_while_a_training_sets_variables(overrides, race, tmp_path):
    """Before, the thread that imported torch and its like set variables while others decoded: every run showed it here,
    and half of them crashed."""
    draw_sides(tmp_path / "album", 40, 40, 12)
    said, pairs = met(race, tmp_path, "-m", "ismila.train", "data.root=album", *overrides)
    assert said.returncode == 0, said.stderr
    assert pairs == []
