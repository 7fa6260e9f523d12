"""What `ismila serve` stands: 32 clients for a minute on loopback, against plain onnxruntime calls in a loop.

    .venv/bin/python benchmarks/serve_load.py ALBUM [--clients 32] [--seconds 60]

Trains on ALBUM, then in turn: `plain`, a loop that decodes a photo and calls the backbone and the head, one photo
after the other, for half the time; the clients, each posting one photo after the other to
`/model/champion/prediction` from a process of their own; `plain` again. All take the same photos in the same order.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from threading import Thread
from typing import Any

SERVE = "import sys; from ismila.cli import start; sys.argv[0] = 'ismila'; start()"


def plain_s(folder: Path, photos: list[Path], seconds: float) -> float:
    """Photos per second of the loop."""
    from ismila.vision.classifier import Classifier

    classifier = Classifier.load(folder)
    classifier.judge([classifier.viewer.read(photos[0])])
    started = time.perf_counter()
    for count, photo in enumerate(cycle(photos), 1):
        classifier.judge([classifier.viewer.read(photo.read_bytes())])
        if time.perf_counter() - started > seconds:
            return count / (time.perf_counter() - started)
    return 0.0


def ask(port: int, photos: list[bytes], seconds: float, clients: int, found: Any) -> None:
    """Runs the clients; puts ([seconds of each answer], [status or error of each that was not 200]) into `found`."""
    took: list[float] = []
    wrong: list[str] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        at, end = number, time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            try:
                body, headers = photos[at % len(photos)], {"Content-Type": "image/jpeg"}
                connection.request("POST", "/model/champion/prediction", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status != 200 or not 0 <= told[0]["mila"] <= 1:
                    wrong.append(f"{answer.status} {told}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                wrong.append(repr(error))
                connection.close()
            took.append(time.perf_counter() - started)
            at += clients

    threads = [Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.put((took, wrong))


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("album", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    album = args.album.resolve()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        work = Path(folder)
        train = [
            sys.executable,
            "-m",
            "ismila.train",
            "data=pets",
            f"data.root={album}",
            f"data.cache={work / 'cache'}",
        ]
        subprocess.run(train, cwd=work, check=True, stdout=subprocess.DEVNULL)
        [trained] = [
            path.parent for path in work.rglob("classifier.json") if "models" not in path.parts
        ]
        paths = sorted(path for path in album.rglob("*.jpg") if ".ismila" not in path.parts)[::3]
        photos = [path.read_bytes() for path in paths]
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        before = plain_s(trained, paths, args.seconds / 2)
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", "--port", str(port)],
            cwd=work,
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None
        server.stdout.readline()
        time.sleep(1)
        fork = multiprocessing.get_context("spawn")
        found = fork.Queue()
        clients = fork.Process(target=ask, args=(port, photos, args.seconds, args.clients, found))
        clients.start()
        memory = []
        for _ in range(6):
            time.sleep(args.seconds / 6)
            memory.append(round(resident_mib(server.pid)))
        took, wrong = found.get()
        clients.join()
        server.terminate()
        server.wait(30)
        after = plain_s(trained, paths, args.seconds / 2)
    rate, plain = len(took) / args.seconds, (before + after) / 2
    ms = [1000 * value for value in sorted(took)]
    print(f"plain loop: {before:.1f} and {after:.1f} photos/s")
    print(
        f"{args.clients} clients, {args.seconds:.0f} s: {len(took)} answers, {rate:.1f}/s, {len(wrong)} errors"
    )
    print(*wrong[:3], sep="\n")
    print(
        f"p50 {statistics.median(ms):.0f} ms, p95 {ms[int(0.95 * len(ms))]:.0f} ms, slowest {ms[-1]:.0f} ms"
    )
    print(f"server's memory, MiB, six times: {memory}")
    print(f"served / plain: {rate / plain:.2f}   (aim: at least 0.8)")


if __name__ == "__main__":
    main()
