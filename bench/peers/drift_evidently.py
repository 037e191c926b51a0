"""Evidently's drift preset at its defaults. Runs in Evidently's own environment; argument: the folder with windows.npz.

Answers, per window, how many columns it calls drifted, and the CPU seconds a run takes.
"""

import itertools
import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ["DO_NOT_TRACK"] = "1"
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from evidently import DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402


def frame(numeric: np.ndarray, categorical: np.ndarray) -> pd.DataFrame:
    columns = {f"n{c:02d}": numeric[:, c] for c in range(numeric.shape[1])}
    return pd.DataFrame(columns | {f"c{c:02d}": categorical[:, c].astype(str) for c in range(categorical.shape[1])})


def drifted(result: dict) -> tuple[int, bool]:
    """Columns called drifted, and whether the whole data set is."""
    counts = [m["value"] for m in result["metrics"] if m["metric_name"].startswith("DriftedColumnsCount")]
    return int(counts[0]["count"]), bool(counts[0]["share"] >= 0.5)


def main(folder: Path) -> None:
    given = np.load(folder / "windows.npz")
    n_numeric = given["numeric"].shape[1]
    definition = DataDefinition(
        numerical_columns=[f"n{c:02d}" for c in range(n_numeric)], categorical_columns=[f"c{c:02d}" for c in range(given["categorical"].shape[1])]
    )
    whole = frame(given["numeric"], given["categorical"])
    bounds = given["bounds"]  # row numbers: reference, then one window after another
    reference = Dataset.from_pandas(whole.iloc[: bounds[0]].reset_index(drop=True), data_definition=definition)
    found, cpu = [], []
    for first, last in itertools.pairwise(bounds):
        began = time.process_time()
        current = Dataset.from_pandas(whole.iloc[first:last].reset_index(drop=True), data_definition=definition)
        found.append(drifted(Report([DataDriftPreset()]).run(current, reference).dict()))
        cpu.append(time.process_time() - began)
    print(json.dumps({"columns": [n for n, _ in found], "data set": [whole for _, whole in found], "cpu_s": cpu}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
