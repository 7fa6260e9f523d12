"""Do torch, an exported file and the HTTP API say the same of every photo of an album?

    ismila export --format onnx --to FOLDER
    python benchmarks/parity.py FOLDER ALBUM

Asks the best run of the working folder in torch alone, the file, `ismila serve` with the run and with the file.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import requests

from ismila.photos.walking import walk
from ismila.runs.find import find_run, load_classifier
from ismila.use.ask.pets import PetClassifier
from ismila.use.export.exported import ExportedClassifier
from ismila.vision.views import Views


def by_http(photos: list[Path], *args: str) -> np.ndarray:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "ismila.cli", "serve", "--port", port, *args]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        time.sleep(1)
        found = []
        with requests.Session() as session:
            for photo in photos:
                answer = session.post(
                    f"http://127.0.0.1:{port}/api/predict", data=photo.read_bytes(), timeout=60
                )
                found.append(answer.json()["photos"][0]["probability"])
    finally:
        server.terminate()
        server.wait()
    return np.array(found)


def asked(classifier: PetClassifier, views: list[Views]) -> np.ndarray:
    return np.array([classifier.judge([seen])[0].probability for seen in views])


def main(folder: Path, album: Path) -> None:
    photos = [album / name for name in sorted(walk(album))]
    classifier = load_classifier(find_run("best", "mila"))
    by_torch = replace(classifier, backbone=classifier.backbone.with_own_weights())
    views = [classifier.viewer.read(photo) for photo in photos]
    torch = asked(by_torch, views)
    exported = ExportedClassifier.load(folder)
    again = [exported.viewer.read(photo) for photo in photos]
    boxes = [[animal.box for animal in seen.animals] for seen in views]
    print(f"boxes are the same: {boxes == [[one.box for one in seen.animals] for seen in again]}")
    answers = {
        "the run (onnxruntime)": asked(classifier, views),
        "the exported file": asked(exported, again),
        "serve --run": by_http(photos),
        "serve --model": by_http(photos, "--model", str(folder)),
    }
    for name, found in answers.items():
        print(
            f"{name}: {len(photos)} photos, at most {np.abs(found - torch).max():.1e} from torch",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
