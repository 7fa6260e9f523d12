"""Of photos whose label was changed at random, how many stand among the first 5 % that `ismila check` lists?

    .venv/bin/python benchmarks/label_errors.py ALBUM [--share 0.05]

Changes labels through labels.csv in a scratch copy; the album itself is not touched. A changed photo gets one of the
other labels (subject, not, or a kind of animal that the album has), each as likely.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ismila.photos.labels import read_album


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("album", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "album")
        shutil.copytree(args.album, root, ignore=shutil.ignore_patterns("labels.csv"))
        rows = read_album(root, "mila")
        labels = {"mila", "not_mila"} | {row.kind for row in rows if row.label == "pets"}
        for seed in range(5):
            draw = random.Random(seed)
            n = round(args.share * len(rows))
            changed = draw.sample(rows, n)
            with (root / "labels.csv").open("w", newline="") as file:
                out = csv.writer(file)
                out.writerow(["path", "label", "closeup", "note"])
                for row in changed:
                    now = "not_mila" if row.label == "things" else row.kind
                    out.writerow([row.path, draw.choice(sorted(labels - {now})), "", ""])
            command = [sys.executable, "-m", "ismila.cli", "check", "--root", str(root), "--json"]
            said = subprocess.run(
                command, check=True, capture_output=True, text=True
            ).stdout.splitlines()
            first = {json.loads(line)["path"] for line in said[:n]}
            found.append(len(first & {row.path for row in changed}) / n)
            print(f"seed {seed}: {found[-1]:.2f} of {n}", flush=True)
    print(f"mean {statistics.mean(found):.3f}   (aim: 0.7)")


if __name__ == "__main__":
    main()
