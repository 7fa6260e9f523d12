"""Does a library of 100,000 files, 2 % of them trouble, go through `scan`, `watch` and `add` with none forgotten?

    .venv/bin/python benchmarks/crooked_library.py ALBUM [--files 100000] [--kills 3] [--model mobilenet]

Small drawn JPEGs of as many contents, and of each kind of trouble the same number. A scan of a tenth of them comes
first: the most memory of both says whether it grows. The scan of all is killed (SIGKILL) after random times and given
again until it is through; then `watch` starts on what was scanned, gets one more photo and ends by Ctrl-C, and `add`
brings the library into an album. It ends with an error where a file is neither judged nor named.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scan_speed import IN_FOLDER, peak_mib, scan

TROUBLE = 0.02
WAITED_S = 600
SIZE = (160, 120)
GOOD, BAD = "judged", "named"


def jpeg(number: int, **options: object) -> bytes:
    """A picture of its own for each number, of a few kB."""
    rng = np.random.default_rng(number)
    few = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    held = io.BytesIO()
    few.resize(SIZE, Image.Resampling.BICUBIC).save(held, "JPEG", quality=80, **options)
    return held.getvalue()


def bomb() -> bytes:
    """A PNG of 900 million pixels in a megabyte."""
    held = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(held, "PNG")
    return held.getvalue()


def picture(mode: str, form: str) -> bytes:
    held = io.BytesIO()
    Image.new(mode, SIZE).save(held, form)
    return held.getvalue()


def troubles() -> dict[str, tuple[str, str]]:
    """Kind of trouble -> name with {} for a number, and what must become of it."""
    return {
        "truncated": ("cut_{}.jpg", BAD),
        "empty": ("empty_{}.jpg", BAD),
        "text": ("text_{}.jpeg", BAD),
        "bomb": ("bomb_{}.png", BAD),
        "dead link": ("gone_{}.jpg", BAD),
        "header only": ("header_{}.jpg", BAD),
        "not UTF-8": ("caf\udce9_{}.jpg", GOOD),
        "a line break": ("a\nb_{}.jpg", GOOD),
        "quotes and commas": ('it\'s, "{}" =[#~].jpg', GOOD),
        "PNG called JPEG": ("png_{}.jpg", GOOD),
        "JPEG called HEIC": ("jpeg_{}.HEIC", GOOD),
        "CMYK": ("cmyk_{}.jpg", GOOD),
        "turned": ("turned_{}.jpg", GOOD),
        "grey with alpha": ("la_{}.png", GOOD),
    }


def make_trouble(kind: str, path: Path, number: int, the_bomb: Path) -> None:
    if kind == "dead link":
        path.symlink_to(path.with_name("nowhere.jpg"))
    elif kind == "bomb":
        os.link(the_bomb, path)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        content = {
            "truncated": lambda: jpeg(number)[:-200],
            "empty": lambda: b"",
            "text": lambda: f"no picture {number}".encode(),
            "header only": lambda: jpeg(number)[:100],
            "PNG called JPEG": lambda: picture("RGB", "PNG"),
            "CMYK": lambda: picture("CMYK", "JPEG"),
            "turned": lambda: jpeg(number, exif=exif),
            "grey with alpha": lambda: picture("LA", "PNG"),
        }.get(kind, lambda: jpeg(number))()
        path.write_bytes(content)


def make_library(root: Path, files: int, the_bomb: Path) -> dict[str, str]:
    """Of each path, as text: what must become of it."""
    kinds = troubles()
    every = round(1 / TROUBLE)
    expected = {}
    for number in range(files):
        folder = root / f"{number // IN_FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        if number % every:
            path = folder / f"IMG_{number:06}.jpg"
            path.write_bytes(jpeg(number))
            expected[shown(path.relative_to(root))] = GOOD
        else:
            kind = list(kinds)[number // every % len(kinds)]
            name, what = kinds[kind]
            path = folder / name.format(number)
            make_trouble(kind, path, number, the_bomb)
            expected[shown(path.relative_to(root))] = what
    for passed_over in ("@eaDir/IMG_1.jpg/THUMB.jpg", ".thumbnails/a.jpg", "#recycle/b.jpg"):
        path = root / passed_over
        path.parent.mkdir(parents=True)
        path.write_bytes(jpeg(0))
    return expected


def shown(path: Path) -> str:
    """As `scan` writes it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def ismila(*words: str) -> list[str]:
    return [sys.executable, "-m", "ismila.cli", *words]


class Watched:
    """A command, its output, and the most memory it held."""

    def __init__(self, command: list[str], work: Path) -> None:
        self.most_mib = 0.0
        self.log = (work / "log").open("w+b")
        self.process = subprocess.Popen(
            command, cwd=work, stdout=self.log, stderr=subprocess.STDOUT
        )
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while self.process.poll() is None:
            self.most_mib = max(self.most_mib, peak_mib(self.process.pid))
            time.sleep(0.5)

    def text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")


def through(command: list[str], work: Path, kills: int = 0) -> tuple[float, float, str]:
    """Run it, killed so many times: seconds, MiB and output of the call that got through."""
    for kill in range(kills):
        run = Watched(command, work)
        try:
            run.process.wait(random.uniform(15, 60) + 30 * kill)
            print("  it was through before it was killed")
        except subprocess.TimeoutExpired:
            run.process.kill()
            run.process.wait()
    started = time.perf_counter()
    run = Watched(command, work)
    code = run.process.wait()
    output = run.text()
    if "Traceback" in output or code not in (0, 1):
        sys.exit(f"{' '.join(command)}: rc {code}\n{output[-2000:]}")
    return time.perf_counter() - started, run.most_mib, output


def accounted(table: Path, expected: dict[str, str]) -> None:
    rows = pd.read_csv(table, keep_default_na=False)
    said = {row.path: BAD if row.error else GOOD for row in rows.itertuples(index=False)}
    wrong = [path for path, what in expected.items() if said.get(path) != what]
    more = said.keys() - expected.keys()
    print(
        f"  {len(rows)} rows: {dict(Counter(said.values()))}; not as expected: {len(wrong) + len(more)}"
    )
    if wrong or more:
        sys.exit("\n".join(f"{path!r}: {said.get(path)}" for path in [*wrong, *more][:20]))


def watch(library: Path, state: str, csv: str, work: Path) -> None:
    """Start on what was scanned, let one photo arrive, end by Ctrl-C."""
    started = time.perf_counter()
    run = Watched(ismila("watch", str(library), "--state", state, "--csv", csv), work)
    new = library / "000" / "arrived.jpg"
    while "judged now" not in run.text() and time.perf_counter() - started < WAITED_S:
        time.sleep(1)
    ready = time.perf_counter() - started
    new.write_bytes(jpeg(10_000_000))
    arrived = time.perf_counter()
    while (
        "arrived.jpg" not in (work / csv).read_text() and time.perf_counter() - arrived < WAITED_S
    ):
        time.sleep(1)
    taken = time.perf_counter() - arrived
    run.process.send_signal(signal.SIGINT)
    code = run.process.wait(60)
    print(
        f"watch: ready after {ready:.0f} s, one more photo in the table after {taken:.0f} s, "
        f"{run.most_mib:.0f} MiB, rc {code}"
    )
    new.unlink()
    if "Traceback" in run.text():
        sys.exit(run.text()[-2000:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("album", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--model", default="mobilenet")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        train = [sys.executable, "-m", "ismila.train", f"data.root={args.album.resolve()}"]
        options = [f"data.cache={work}/cache", f"model={args.model}", "data=pets"]
        subprocess.run([*train, *options], cwd=work, check=True, stdout=subprocess.DEVNULL)
        the_bomb = work / "bomb.png"
        the_bomb.write_bytes(bomb())
        for files, kills in ((args.files // 10, 0), (args.files, args.kills)):
            library = work / f"library{files}"
            expected = make_library(library, files, the_bomb)
            command = scan(work, library, f"state{files}", "--csv", f"{files}.csv")
            seconds, mib, output = through(command, work, kills)
            print(
                f"scan, {files} files, killed {kills} times: last call {seconds:.0f} s, {mib:.0f} MiB"
            )
            print("  " + "\n  ".join(output.strip().splitlines()[-3:]))
            accounted(work / f"{files}.csv", expected)
        seconds, mib, output = through(command, work)
        print(f"scan again: {seconds:.0f} s, {mib:.0f} MiB")
        watch(library, f"state{files}", f"{files}.csv", work)
        into = work / "album"
        for name in ("mila", "not_mila"):
            (into / name).mkdir(parents=True)
        command = ismila("add", str(library), "--as", "not_mila", "--root", str(into))
        seconds, mib, output = through(command, work, min(args.kills, 1))
        print(f"add: {seconds:.0f} s, {mib:.0f} MiB")
        print("  " + "\n  ".join(output.strip().splitlines()[-3:]))
        print(f"  {sum(1 for _ in (into / 'not_mila').rglob('*.*'))} files in the album")


if __name__ == "__main__":
    main()
