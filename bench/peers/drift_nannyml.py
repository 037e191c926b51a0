"""NannyML's univariate drift at its defaults. Runs in NannyML's own environment; argument: the folder with windows.npz. Answers alerts per window."""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.filterwarnings("ignore")

import nannyml as nml  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402


def frame(numeric: np.ndarray, categorical: np.ndarray) -> pd.DataFrame:
    columns = {f"n{c:02d}": numeric[:, c] for c in range(numeric.shape[1])}
    return pd.DataFrame(columns | {f"c{c:02d}": categorical[:, c].astype(str) for c in range(categorical.shape[1])})


def main(folder: Path) -> None:
    given = np.load(folder / "windows.npz")
    whole, bounds = frame(given["numeric"], given["categorical"]), given["bounds"]
    calculator = nml.UnivariateDriftCalculator(column_names=list(whole.columns), chunk_size=int(bounds[1] - bounds[0]))
    calculator.fit(whole.iloc[: bounds[0]])
    result = calculator.calculate(whole.iloc[bounds[0] :].reset_index(drop=True)).filter(period="analysis").to_df()
    alerts = result.loc[:, [column for column in result.columns if column[-1] == "alert"]].to_numpy().astype(bool)
    print(json.dumps({"columns": alerts.sum(axis=1).tolist()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
