"""A release is made from the commit, and what it holds trains in an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest
from conftest import draw_photo

ROOT = Path(__file__).parents[1]
OURS = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME", "MLFLOW_TRACKING_URI")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository, not an archive"),
]


def git(folder, *args):
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
    who += ("-c", "safe.directory=*")  # a checkout may belong to another user than the tests
    command = ["git", "-C", str(folder), *who, *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def release(repository, *args):
    """What `make release` runs beside the tests, in a copy of the repository."""
    return subprocess.run(
        [sys.executable, "tools/release.py", *args],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "GIT_COMMITTER_NAME": "somebody",
            "GIT_COMMITTER_EMAIL": "somebody@localhost",
        },
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The working tree as it is, committed in a repository of its own."""
    folder = tmp_path_factory.mktemp("repository")
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() or source.is_file():  # not what was deleted and not yet committed
            shutil.copy(source, target, follow_symlinks=False)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "as it is")
    return folder


@pytest.fixture(scope="module")
def released(repository):
    """(the repository with dist/ and a tag, what was said)."""
    said = release(repository)
    assert said.returncode == 0, said.stdout + said.stderr
    return repository, said.stdout


@pytest.fixture(scope="module")
def installed(released, tmp_path_factory):
    """The `bin` of an environment with the wheel in it, and the dependencies that are here already."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin/python"
    [wheel] = (released[0] / "dist").glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, env=clean())
    # A folder named in a .pth file joins the path, its own .pth files are not read: so the editable install in it
    # stays out of sight, and it comes after the new environment's own packages.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def clean():
    return {name: value for name, value in os.environ.items() if name not in OURS}


def call(folder, *command):
    said = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=clean(),
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def test_a_release_is_built_checked_and_tagged(released):
    folder, said = released
    [wheel] = (folder / "dist").glob("*.whl")
    [archive] = (folder / "dist").glob("*.tar.gz")
    version = wheel.name.split("-")[1]
    assert f"tagged v{version}" in said
    assert git(folder, "cat-file", "-t", f"v{version}").strip() == "tag"  # annotated
    assert git(folder, "status", "--porcelain") == ""
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"src/ismila/conf/train.yaml", "tests/conftest.py", "Makefile"} <= names


def test_the_same_version_is_not_released_again(released):
    said = release(released[0], "--may-i")
    assert said.returncode == 1
    assert "is tagged already" in said.stderr


def test_nothing_is_released_from_changed_files_or_without_a_changelog(repository, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy, symlinks=True, ignore=shutil.ignore_patterns("dist"))
    for tag in git(copy, "tag", "--list").split():
        git(copy, "tag", "--delete", tag)
    assert release(copy, "--may-i").returncode == 0
    (copy / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    changed = release(copy, "--may-i")
    git(copy, "commit", "--all", "--quiet", "--message", "no changelog")
    without = release(copy, "--may-i")
    assert (changed.returncode, without.returncode) == (1, 1)
    assert changed.stderr.startswith("not committed: CHANGELOG.md")
    assert "has no heading" in without.stderr
    assert not git(copy, "tag", "--list")


def test_the_wheel_lists_its_verbs_and_is_what_was_installed(installed, tmp_path):
    where = call(tmp_path, installed / "python", "-c", "import ismila; print(ismila.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)
    told = call(tmp_path, installed / "ismila", "--help")
    for verb in ("fetch", "add", "index", "check", "demo", "predict", "scan", "report", "compare",
                 "explain", "export", "serve", "ui"):  # fmt: skip
        assert f"\n    {verb} " in told


def test_the_wheel_trains_in_an_empty_folder_and_writes_only_below_data_and_mlruns(
    installed, tmp_path
):
    """A sweep, since it writes more than a run does; without data.root, so that the default album is used."""
    for i in range(8):
        draw_photo(tmp_path / f"data/photos/mila/{i}.jpg", i, True)
        draw_photo(tmp_path / f"data/photos/not_mila/{i}.jpg", 100 + i, False)
    call(
        tmp_path,
        installed / "python",
        "-m",
        "ismila.train",
        "-m",
        "model=cnn",
        "seed=0",
        "trainer=smoke",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mlruns"]
