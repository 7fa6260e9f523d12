"""How long does `ismila fetch` take against plain `xargs curl -P8` for the same photos? Prints one ratio.

    .venv/bin/python benchmarks/fetch_speed.py [--photos 5000]

Both fetch from a server on loopback (the one of the tests), 40 kB a photo; the API is called once a second at most, as
for Flickr. Also prints the largest memory of the fetching process.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "photos"))

SERVE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from flickr_server import FlickrServer, some_photos
with FlickrServer(some_photos(int(sys.argv[2])), body=open(sys.argv[3], "rb").read()) as server:
    print(server.address, flush=True)
    time.sleep(10000)
"""


def photo_of(n_bytes: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 47, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((400, 340))
    for quality in range(99, 20, -1):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        if out.tell() <= n_bytes:
            break
    return out.getvalue() + b"\0" * (n_bytes - out.tell())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=5000)
    n = parser.parse_args().photos
    from flickr_server import NSID

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "photo.jpg").write_bytes(photo_of(40_000))
        tests = str(Path(__file__).parents[1] / "tests" / "photos")
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, tests, str(n), str(folder / "photo.jpg")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout
        address = server.stdout.readline().strip()
        lines = [f"{address}/{1000 + i}_w.jpg -o {folder}/curl/{i}.jpg" for i in range(n)]
        (folder / "list").write_text("\n".join(lines))
        (folder / "curl").mkdir()
        started = time.perf_counter()
        subprocess.run(f"xargs -P8 -L1 curl -s < {folder}/list", shell=True, check=True)
        curl_s = time.perf_counter() - started
        env = {**os.environ, "FLICKR_API_KEY": "goodkey", "FLICKR_API_URL": address}
        command = [
            sys.executable,
            "-m",
            "ismila.cli",
            "fetch",
            "--user",
            NSID,
            "--root",
            str(folder / "album"),
        ]
        started = time.perf_counter()
        said = subprocess.run(
            ["/usr/bin/time", "-v", *command], env=env, check=True, capture_output=True, text=True
        )
        fetch_s = time.perf_counter() - started
        server.kill()
        print(said.stdout.strip())
    memory_kb = re.search(r"Maximum resident set size.*: (\d+)", said.stderr)
    print(
        f"xargs curl -P8: {curl_s:.1f} s, ismila fetch: {fetch_s:.1f} s, ratio {fetch_s / curl_s:.2f} (aim: 1.3)"
    )
    print(f"memory: {int(memory_kb[1]) / 1024:.0f} MiB" if memory_kb else "memory: unknown")


if __name__ == "__main__":
    main()
