"""How far does an exported page differ from `ismila predict`? Real photos in a real browser.

    ismila export --format web --to SITE
    python benchmarks/browser_difference.py SITE ALBUM [--photos 100] [--large 20]

Asks `ismila predict` (the best run of the working folder) and the page in Debian's chromium about the same photos, then
about some of them enlarged to 12 megapixels, which Pillow's JPEG decoder scales down and the browser's does not.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from ismila.photos.labels import walk

ASK = """async ([name, content]) => {
  const { answer } = await import("./answers.js");
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  return (await answer(new File([bytes], name))).probability; }"""


def by_predict(photos: list[Path]) -> tuple[np.ndarray, float]:
    command = [sys.executable, "-m", "ismila.cli", "predict", "--json", *map(str, photos)]
    told = [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]
    return np.array([one["probability"] for one in told]), told[0]["threshold"]


def by_browser(site: Path, photos: list[Path]) -> tuple[np.ndarray, float]:
    server = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-m",
            "http.server",
            "0",
            "--bind",
            "127.0.0.1",
            "--directory",
            str(site),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = server.stdout.readline().split("(")[1].split(")")[0]
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.goto(address)
            found, started = [], 0.0
            for at, photo in enumerate(photos):
                if at == 1:
                    started = time.perf_counter()  # the first waits for the model
                found.append(
                    page.evaluate(ASK, [photo.name, base64.b64encode(photo.read_bytes()).decode()])
                )
            seconds = (time.perf_counter() - started) / max(len(photos) - 1, 1)
            browser.close()
    finally:
        server.kill()
        server.wait()
    return np.array(found), seconds


def compare(site: Path, photos: list[Path], what: str) -> None:
    (here, threshold), (there, seconds) = by_predict(photos), by_browser(site, photos)
    difference = np.abs(here - there)
    flips = int(((here >= threshold) != (there >= threshold)).sum())
    print(
        f"{what}: {len(photos)} photos, difference in probability mean {difference.mean():.5f}, "
        f"95 % below {np.quantile(difference, 0.95):.5f}, max {difference.max():.5f}; {flips} verdicts differ; "
        f"{seconds:.2f} s a photo in the browser",
        flush=True,
    )


def enlarged(photo: Path, to: Path) -> Path:
    with Image.open(photo) as small:
        scale = (12e6 / (small.width * small.height)) ** 0.5
        large = small.convert("RGB").resize(
            (round(small.width * scale), round(small.height * scale))
        )
    large.save(to / f"{photo.stem}.jpg", quality=90)
    return to / f"{photo.stem}.jpg"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("site", type=Path)
    parser.add_argument("album", type=Path)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--large", type=int, default=20)
    args = parser.parse_args()
    every = [args.album / name for name in sorted(walk(args.album))]
    some = [every[i] for i in np.linspace(0, len(every) - 1, args.photos).astype(int)]
    compare(args.site, some, "as they are")
    with tempfile.TemporaryDirectory() as folder:
        few = [some[i] for i in np.linspace(0, len(some) - 1, args.large).astype(int)]
        compare(args.site, [enlarged(photo, Path(folder)) for photo in few], "12 megapixels")


if __name__ == "__main__":
    main()
