"""Make a release of what is committed: dist/*.tar.gz, dist/*.whl and an annotated tag. Nothing is uploaded.

    .venv/bin/python tools/release.py --may-i    # only says whether a release could be made
    .venv/bin/python tools/release.py            # `make release` runs the tests between the two

The version is pyproject's. Both files are built from an export of the commit, so that what lies about in the working
tree (an old build/, an edited config) cannot get into them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
HOMES = re.compile(rb"(?<![\w.])/(?:home|root|Users)/\w")
"""How an absolute path of somebody's machine begins."""


def main() -> None:
    version = version_of(ROOT)
    refuse_unready(ROOT, version)
    if "--may-i" in sys.argv:
        print(f"{version} can be released")
        return
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder), version)
        DIST.mkdir(exist_ok=True)
        for file in built:
            shutil.copy(file, DIST)
            print(f"dist/{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    git("tag", "--annotate", f"v{version}", "--message", f"ismila {version}")
    print(f"tagged v{version}; nothing was uploaded or pushed")


def version_of(root: Path) -> str:
    """The one place in which the version stands."""
    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def refuse_unready(root: Path, version: str) -> None:
    """End with one line when the tree, the tags or the changelog are not ready for this version."""
    changed = git("status", "--porcelain")
    if changed:
        sys.exit(
            f"not committed: {changed.splitlines()[0][3:]}; a release is made from a clean tree"
        )
    if git("tag", "--list", f"v{version}"):
        sys.exit(f"v{version} is tagged already; raise the version in pyproject.toml")
    heading = rf"^## \[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.M):
        sys.exit(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'; write what changed")


def build(folder: Path, version: str) -> list[Path]:
    """The checked source archive and wheel, the wheel made from the unpacked archive."""
    source = folder / "source"
    source.mkdir()
    archive = folder / "commit.tar"
    git("archive", "--output", str(archive), "HEAD")
    with tarfile.open(archive) as files:
        # Python 3.11.4 brought filters
        files.extraction_filter = getattr(tarfile, "data_filter", None)
        files.extractall(source)
    # The commit's time in the wheel: built twice, the same bytes.
    env = {**os.environ, "SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct")}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist")]
    done = subprocess.run(
        [*command, str(source)], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    [wheel] = (folder / "dist").glob("*.whl")
    [sdist] = (folder / "dist").glob("*.tar.gz")
    check_wheel(wheel, source, version)
    check_sdist(sdist, source)
    return [sdist, wheel]


def check_wheel(wheel: Path, source: Path, version: str) -> None:
    """End with one line unless the wheel holds the whole package, only that, and valid metadata."""
    with zipfile.ZipFile(wheel) as files:
        held = {name: files.read(name) for name in files.namelist()}
    package = source / "src"
    wanted = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and ".egg-info/" not in path.as_posix() and path.suffix != ".pyc"
    }
    information = {name for name in held if name.startswith(f"ismila-{version}.dist-info/")}
    missing = sorted(wanted - set(held))
    surplus = sorted(set(held) - wanted - information)
    if missing:
        sys.exit(f"{wheel.name} lacks {missing[0]}; name it in pyproject's package-data")
    if surplus:
        sys.exit(f"{wheel.name} holds {surplus[0]}, which is not of the package")
    for name, content in held.items():
        if Path(name).suffix in (".py", ".yaml", ".js", ".html", ".json") and HOMES.search(content):
            sys.exit(f"{wheel.name}: {name} names an absolute path of somebody's machine")
    metadata = held[f"ismila-{version}.dist-info/METADATA"]
    said = Metadata.from_email(metadata, validate=True)  # raises what an index would refuse
    if said.description_content_type != "text/markdown" or not said.description:
        sys.exit(f"{wheel.name}: its metadata lacks the README")


def check_sdist(sdist: Path, source: Path) -> None:
    """End with one line unless the archive holds the package with its configs, once, and the tests."""
    with tarfile.open(sdist) as files:
        held = {name.partition("/")[2] for name in files.getnames()}
    tests = {path.relative_to(source).as_posix() for path in source.glob("tests/**/*.py")}
    missing = sorted(
        ({"src/ismila/conf/train.yaml", "Makefile", "requirements.lock"} | tests) - held
    )
    if missing:
        sys.exit(f"{sdist.name} lacks {missing[0]}; name it in MANIFEST.in")
    if "conf/train.yaml" in held:
        sys.exit(f"{sdist.name} holds the configs twice; conf is a link to src/ismila/conf")


def git(*args: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"git {args[0]}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


if __name__ == "__main__":
    main()
