"""A library judged on a real Ray cluster, and from a real bucket, says what the plain scan says."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from conftest import call, draw_photo, processes_with
from recorded import Ledger
from use.export.untrained import bundled_classifier

from ismila.extras.cluster.ray_scan import RayScan, fetch
from ismila.extras.cluster.shards import Shards
from ismila.photos import UserError
from ismila.photos.buckets import file_system
from ismila.photos.images import PhotoError
from ismila.photos.names import counted
from ismila.use.ask.listing import LibraryPhoto


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """A folder with a run that nobody trained, and a library with what a library has."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "mlruns").mkdir()
    Ledger(folder / "mlruns").run("rex", classifier=bundled_classifier())
    for i in range(24):
        draw_photo(folder / f"library/20{i % 3}0/ü {i}.jpg", i, i % 4 == 0)
    library = folder / "library"
    (library / "broken.jpg").write_text("no photo")
    for passed_over in ("@eaDir/a.jpg", ".hidden/a.jpg", "2000/screens/a.jpg"):
        draw_photo(library / passed_over, 99, True)
    (library / "2000/.ismilaignore").write_text("screens/\n")
    return folder


@pytest.fixture(scope="session")
def plain(asked):
    """What the plain scan says of it."""
    scan(asked, "library", "--csv", "plain.csv")
    return rows_of(asked / "plain.csv")


def rows_of(file):
    """The rows of a table; which photos share a batch moves a probability's seventh digit."""
    table = pd.read_csv(file, keep_default_na=False)
    numbers = pd.to_numeric(table["probability"])
    return table.assign(probability=numbers.round(5).where(table["error"] == "", -1.0))


def assert_alike(one, two):
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1.1e-5)


def scan(folder, *args):
    return call(folder, "ismila.cli", "scan", "--subject", "rex", *args)


def shards_in(folder):
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*/*.parquet")}


@pytest.mark.slow
def test_a_scan_on_a_cluster_gives_the_plain_scans_table(asked, plain, ray_cluster, tmp_path):
    options = ("--ray", ray_cluster, "library", "--shard", 6, "--state", tmp_path / "state")
    said = scan(asked, *options, "--csv", tmp_path / "ray.csv")
    assert said.returncode == 1, "one photo could not be read"
    assert said.stdout.startswith("library: 25 photos judged now, 0 before\n"), said.stderr
    assert said.stderr.splitlines()[-2:] == [
        "1 photo could not be read; --csv names each with the reason",
        "passed over: 1 folder by .ismilaignore, 1 folder by @eaDir, 1 folder by hidden",
    ]
    assert_alike(rows_of(tmp_path / "ray.csv"), plain)
    [folder] = (tmp_path / "state").iterdir()
    table = pd.read_parquet(folder).sort_values("path", ignore_index=True)
    assert_alike(table.assign(probability=table["probability"].fillna(-1.0)), plain)

    before = shards_in(tmp_path / "state")
    lost = min(before)
    (folder / lost).unlink()
    again = scan(asked, *options, "--csv", tmp_path / "again.csv")
    photos = len(pd.read_parquet(folder / lost))
    assert f"library: {counted(photos, 'photo')} judged now, {25 - photos} before" in again.stdout
    assert_alike(rows_of(tmp_path / "again.csv"), plain)
    after = shards_in(tmp_path / "state")
    assert {name for name in before if before[name] != after[name]} == {lost}


@pytest.mark.slow
def test_killed_it_goes_on(asked, plain, ray_cluster, tmp_path):
    options = ["--ray", ray_cluster, "library", "--shard", "3", "--state", str(tmp_path / "state")]
    process = subprocess.Popen(
        [sys.executable, "-m", "ismila.cli", "scan", "--subject", "rex", *options],
        cwd=asked,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{asked}/mlruns/mlflow.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not shards_in(tmp_path / "state") and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = shards_in(tmp_path / "state")
    assert kept
    said = scan(asked, *options, "--csv", tmp_path / "ray.csv")
    assert "Traceback" not in said.stderr
    assert_alike(rows_of(tmp_path / "ray.csv"), plain)


@pytest.mark.slow
def test_a_bucket_is_scanned_by_a_ray_of_ones_own(asked, plain, s3, tmp_path):
    fs, path = file_system("s3://library/of mine")
    fs.mkdir("library")
    fs.put(f"{asked}/library/", f"{path}/", recursive=True)
    options = ("--csv", tmp_path / "bucket.csv", "--state", tmp_path / "state")
    words = ("scan", "--subject", "rex", *map(str, options), "--ray", "s3://library/of mine")
    # in a process and with a home of its own, so that a token that Ray keeps would be seen
    env = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    env |= {"HOME": str(tmp_path), "MLFLOW_TRACKING_URI": f"sqlite:///{asked}/mlruns/mlflow.db"}
    said = subprocess.run(
        [sys.executable, "-m", "ismila.cli", *words],
        cwd=asked,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.startswith("s3://library/of mine: 25 photos judged now"), said.stderr
    assert "passed over: 1 folder by .ismilaignore, 1 folder by @eaDir, 1 folder" in said.stderr
    assert_alike(rows_of(tmp_path / "bucket.csv"), plain)
    assert not (tmp_path / ".ray").exists()
    assert not processes_with(f"HOME={tmp_path}")


@pytest.mark.slow
def test_what_no_photo_can_help_stops_the_scan_with_the_workers_words(ray_cluster, tmp_path):
    with Shards.opened(tmp_path / "state") as shards:
        scan = RayScan("qq://nowhere", shards, bundled_classifier(), "run", 10)
        with pytest.raises(UserError, match=r"qq://nowhere: no bucket"):
            scan.judge([LibraryPhoto("a.jpg", "1")], ray_cluster)
        assert not shards.kept


def test_a_photo_that_has_gone_is_a_row_and_a_bucket_that_does_not_answer_is_none(s3, monkeypatch):
    with pytest.raises(PhotoError, match="file not found"):
        fetch("s3://nobody-has-it/a.jpg")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="Could not connect"):
        fetch("s3://nobody-has-it/a.jpg")


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (("--ray", "127.0.0.1:9", "library"), "--ray 127.0.0.1:9: no Ray cluster answers", 1),
        (("--ray", "auto", "nowhere"), "nowhere: no such folder", 1),
        (("--ray", "auto", "library", "--xmp"), "--ray: writes a table, no links", 1),
        (("s3://bucket/photos",), "s3://bucket/photos: an address is scanned with --ray", 1),
        ((), "DIR: missing; give the folder", 2),
    ],
)
def test_what_cannot_be_followed_is_said_in_a_line(asked, tmp_path, options, words, code):
    said = scan(asked, *options, "--state", tmp_path / "state")
    [line] = said.stderr.splitlines()
    assert line.startswith(f"error: {words}")
    assert said.returncode == code
