"""How far does an exported page differ from `ismila predict`? Real photos in a real browser.

    ismila export --format web --to SITE
    python benchmarks/browser_difference.py SITE ALBUM [--photos 100] [--large 20]

Asks `ismila predict` (the best run of the working folder) and the page in Debian's chromium about the same photos, then
about some of them enlarged to 12 megapixels, which Pillow's JPEG decoder scales down and the browser's does not. Boxes
are compared where both see as many animals in a photo: by the largest difference of an edge, as a share of the photo.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from ismila.photos.walking import walk

ASK = """async ([name, content]) => {
  const { answer } = await import("./answers.js");
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const photo = new File([bytes], name), started = performance.now();
  const { subjects, animals } = await answer(photo);
  const [{ probability }] = Object.values(subjects);
  return { probability, animals: animals ?? [], ms: performance.now() - started }; }"""
DETECT = """async (times) => {
  const { detector } = await (await fetch("model.json")).json();
  if (!detector) return null;
  const ort = await import("./ort.js"), size = detector.size_px;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", location.href).href };
  const session = await ort.InferenceSession.create("animals.onnx", { executionProviders: ["wasm"] });
  const images = new ort.Tensor("float32", new Float32Array(3 * size * size).fill(128), [1, 3, size, size]);
  await session.run({ images });
  const took = [];
  for (let i = 0; i < times; i++) {
    const started = performance.now();
    await session.run({ images });
    took.push(performance.now() - started);
  }
  return took.sort((a, b) => a - b); }"""
"""Milliseconds that the detector's network takes alone, the fastest run first."""
TIMES = 10


def by_predict(photos: list[Path]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "ismila.cli", "predict", "--json", *map(str, photos)]
    return [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]


@contextmanager
def page_of(site: Path) -> Iterator[Page]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--directory", str(site)],
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
            yield page
            browser.close()
    finally:
        server.kill()
        server.wait()


def by_browser(page: Page, photos: list[Path]) -> list[dict[str, Any]]:
    return [
        page.evaluate(ASK, [photo.name, base64.b64encode(photo.read_bytes()).decode()])
        for photo in photos
    ]


def say_boxes(here: list[dict[str, Any]], there: list[dict[str, Any]]) -> None:
    alike = []
    for one, other in zip(here, there, strict=True):
        boxes = [sorted(animal["box"] for animal in told["animals"]) for told in (one, other)]
        if len(boxes[0]) == len(boxes[1]):
            alike.append(np.abs(np.array(boxes[0]) - np.array(boxes[1])).max(initial=0))
    print(
        f"  {sum(len(one['animals']) for one in here)} animals; as many in {len(alike)} of {len(here)} "
        f"photos; difference of an edge in those: mean {np.mean(alike):.5f}, "
        f"95 % below {np.quantile(alike, 0.95):.5f}, max {np.max(alike):.5f}"
    )


def compare(page: Page, photos: list[Path], what: str) -> None:
    here = by_predict(photos)
    there = by_browser(page, photos)
    ours, theirs = (np.array([one["probability"] for one in told]) for told in (here, there))
    difference = np.abs(ours - theirs)
    threshold = here[0]["threshold"]
    flips = int(((ours >= threshold) != (theirs >= threshold)).sum())
    ms = np.array([one["ms"] for one in there[1:]])  # the first waits for the model
    print(
        f"{what}: {len(photos)} photos, difference in probability mean {difference.mean():.5f}, "
        f"95 % below {np.quantile(difference, 0.95):.5f}, max {difference.max():.5f}; "
        f"{flips} verdicts differ; {ms.min():.0f} ms a photo in the browser at best, {np.median(ms):.0f} (median)"
    )
    say_boxes(here, there)
    for at in np.argsort(-difference)[:3]:
        print(
            f"  {photos[at].name}: {ours[at]:.4f} here, {theirs[at]:.4f} in the browser", flush=True
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
    few = [some[i] for i in np.linspace(0, len(some) - 1, args.large).astype(int)]
    with page_of(args.site) as page, tempfile.TemporaryDirectory() as folder:
        if ms := page.evaluate(DETECT, TIMES):
            print(
                f"the detector's network: {ms[0]:.0f} ms at best, {np.median(ms):.0f} ms (median)"
            )
        compare(page, some, "as they are")
        compare(page, [enlarged(photo, Path(folder)) for photo in few], "12 megapixels")


if __name__ == "__main__":
    main()
