"""alibi-detect's TabularDrift at its defaults (p .05, Bonferroni over columns). Runs in its own environment; argument: the folder with windows.npz."""

import itertools
import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from alibi_detect.cd import TabularDrift  # noqa: E402


def main(folder: Path) -> None:
    given = np.load(folder / "windows.npz")
    numeric, categorical, bounds = given["numeric"], given["categorical"], given["bounds"]
    filled = np.where(np.isnan(numeric), np.nanmean(numeric, axis=0), numeric)  # it knows no missing values
    whole = np.concatenate([filled, categorical.astype(np.float64)], axis=1)
    categories = {numeric.shape[1] + c: None for c in range(categorical.shape[1])}
    detector = TabularDrift(whole[: bounds[0]], p_val=0.05, categories_per_feature=categories)
    found = [int(detector.predict(whole[a:b])["data"]["is_drift"]) for a, b in itertools.pairwise(bounds)]
    print(json.dumps({"columns": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
