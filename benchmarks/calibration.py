"""How far are the probabilities of recorded runs from the truth, under the prior that they are calibrated for?

    python benchmarks/calibration.py --subject mila      # in the folder that holds mlruns/

A line a network and variant: the calibration error of each seed's reported photos on average, what chance alone would
show on so few, and the same of all seeds' photos together (docs/head.md). Older runs are judged by the same prior.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from ismila.evidence.metrics import calibration_error, error_by_chance, reported
from ismila.runs.find import finished_runs, load_predictions


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subject", default="mila")
    subject = parser.parse_args().subject
    rows = pd.DataFrame(
        [
            {
                "model": run.tags["model"],
                "data": run.tags["data"],
                "album": run.album,
                "table": reported(load_predictions(run.run_id)),
            }
            for run in finished_runs(subject)
        ]
    )
    rows["error"] = rows["table"].map(calibration_error)
    rows["by_chance"] = rows["table"].map(error_by_chance)
    print(
        f"{'model':20} {'data':15} {'seeds':>5} {'error':>6} {'chance':>6} {'all':>6} {'chance':>6}"
    )
    for (_, model, data), of_kind in rows.groupby(["album", "model", "data"]):
        together = pd.concat(list(of_kind["table"]))
        figures = (
            *of_kind[["error", "by_chance"]].mean(),
            calibration_error(together),
            error_by_chance(together),
        )
        numbers = " ".join(f"{np.round(value, 3):6.3f}" for value in figures)
        print(f"{model:20} {data:15} {len(of_kind):5} {numbers}")


if __name__ == "__main__":
    main()
