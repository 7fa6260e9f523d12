"""Do what the Dockerfile says, without Docker: into a clean environment in a temporary folder, then serve and ask.

    .venv/bin/python tools/test_image.py [MODEL_FOLDER PHOTO]     # without them: a run on the demo album, exported

Reads COPY, RUN, HEALTHCHECK and CMD from the Dockerfile itself. Paths in the image become paths in the folder, and the
port a free one; the base image and USER are Docker's.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")


def instructions() -> list[tuple[str, str]]:
    lines = [
        line
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return [(word, rest) for word, rest in (line.split(" ", 1) for line in lines)]


def built(app: Path, env: dict[str, str]) -> None:
    for word, rest in instructions():
        if word == "COPY":
            *sources, to = rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                    shutil.copytree(ROOT / source, app / to, ignore=ignored)
                else:
                    shutil.copy(ROOT / source, app / to)
        elif word == "RUN":
            subprocess.run(rest, shell=True, cwd=app, env=env, check=True)


def command(word: str, port: str, model: Path) -> list[str]:
    [rest] = [rest for found, rest in instructions() if found == word]
    parts = json.loads(rest[rest.index("[") :])
    return [
        part.replace("8000", port).replace("/model", str(model)) if part != "--model" else part
        for part in parts
    ]


def exported_demo(folder: Path) -> tuple[Path, Path]:
    """A model and a photo to ask about."""
    ismila = [sys.executable, "-m", "ismila.cli"]
    for command in (
        [*ismila, "demo", "album"],
        [sys.executable, "-m", "ismila.train", "data=pets", "data.root=album"],
        [*ismila, "export", "--format", "onnx", "--to", "exported"],
    ):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "exported", sorted((folder / "album/mila").glob("mila_*.jpg"))[0]


def main(model: Path, photo: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app"
        app.mkdir()
        venv.create(Path(folder) / "venv", with_pip=True)
        env = {name: value for name, value in os.environ.items() if name not in OURS}
        env["PATH"] = f"{folder}/venv/bin:{env['PATH']}"
        built(app, env)
        size = sum(
            file.stat().st_size for file in (Path(folder) / "venv").rglob("*") if file.is_file()
        )
        print(f"environment: {size / 1e6:.0f} MB", flush=True)
        started = time.perf_counter()
        server = subprocess.Popen(command("CMD", port, model), cwd=app, env=env)
        try:
            check = command("HEALTHCHECK", port, model)
            while subprocess.run(
                check, cwd=app, env=env, capture_output=True, check=False
            ).returncode:
                if server.poll() is not None or time.perf_counter() - started > 60:
                    sys.exit("the server does not get healthy")
            print(f"healthy after {time.perf_counter() - started:.1f} s", flush=True)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/predict?heat=1",
                photo.read_bytes(),
                {"Content-Type": "application/octet-stream"},
            )
            [told] = json.load(urllib.request.urlopen(request, timeout=20))["photos"]
            print(f"{photo.name}: {told['verdict']}, {told['probability']:.3f}", flush=True)
        finally:
            server.terminate()
        if server.wait(15) not in (0, -15):
            sys.exit(f"the server ended with {server.returncode}")
        unhealthy = subprocess.run(
            check, cwd=app, env=env, capture_output=True, check=False
        ).returncode
        if not unhealthy:
            sys.exit("the health check says healthy although nothing runs")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        given = [Path(arg).resolve() for arg in sys.argv[1:3]]
        main(*(given or exported_demo(Path(scratch))))
