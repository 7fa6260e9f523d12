"""How fast is the detector at its sizes and batches, and against the plain conversion of the same network?

    .venv/bin/python benchmarks/detector_speed.py [--plain original.onnx] [--rounds 5] [--threads 2 1]

Every case is timed once in each round, one after another, so that what else the machine does falls on all of them; the
figures are each case's best time and the ratio of its speed to that of the first. `tools/convert_nanodet.py` says how
the plain conversion is made; it takes one image of 416 px at a time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ismila.vision.animals import Detector
from ismila.vision.graphs import graph_session

SIZES_PX = (416, 352, 320)
BATCHES = (1, 4, 16)


def cases(threads: int, plain: Path | None) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name -> how many images a call takes, and the call."""
    rng = np.random.default_rng(0)
    named: dict[str, tuple[int, Callable[[], object]]] = {}
    if plain is not None:
        session = graph_session(plain, threads)
        inputs = {session.get_inputs()[0].name: rng.normal(size=(1, 3, 416, 416)).astype("f4")}
        named["plain conversion, 416 px"] = (1, lambda: session.run(None, inputs))
    for size_px in SIZES_PX:
        detector = Detector(size_px, threads)
        for batch in BATCHES:
            images = rng.integers(0, 256, (batch, size_px, size_px, 3), dtype=np.uint8)
            call = lambda detector=detector, images=images: detector(images)  # noqa: E731
            named[f"{size_px} px, batch {batch}"] = (batch, call)
    return named


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plain", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    args = parser.parse_args()
    for threads in args.threads:
        named = cases(threads, args.plain)
        best = dict.fromkeys(named, np.inf)
        for _ in range(args.rounds):
            for name, (images, call) in named.items():
                started = time.perf_counter()
                call()
                best[name] = min(best[name], (time.perf_counter() - started) / images)
        first = next(iter(best.values()))
        for name, seconds in best.items():
            print(
                f"{threads} threads, {name}: {1 / seconds:.1f} photos/s, ratio {first / seconds:.2f}"
            )


if __name__ == "__main__":
    main()
