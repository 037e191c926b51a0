"""The drift peers, each in an environment of its own, on windows of real rows."""

import json
import os
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any, Final

import numpy as np
from load.breathing import N_NUMERIC, World

PACKAGES: Final = {"evidently": ["evidently==0.7.23", "pandas<3"], "nannyml": ["nannyml==0.13.1", "statsmodels"], "alibi": ["alibi-detect==0.13.0"]}
HOMES = Path(os.environ.get("VERNAL_BENCH_PEERS", Path(tempfile.gettempdir()) / "vernal-bench-peers"))  # environments are kept here
PEERS = Path(__file__).parents[1] / "peers"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, made when it is first asked for."""
    home = HOMES / peer
    if not (home / "ready").exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[peer]], check=True)
        (home / "ready").touch()
    return home / "bin" / "python"


def asked(peer: str, folder: Path) -> dict[str, Any]:
    """What a peer's script answers on the windows in a folder."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **threads}
    done = subprocess.run([python_of(peer), PEERS / f"drift_{peer}.py", folder], check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def share_of_windows(peer: str, kind: str, seed: int, windows: int, first: int = 35) -> float:
    """The share of a healthy world's windows in which a peer alarms on anything; `first` windows are its reference."""
    world = World(seed, kind, windows=first + windows)
    rows = [world.rows(t) for t in range(first + windows)]
    sizes = [len(r.numeric) for r in rows]
    with tempfile.TemporaryDirectory() as folder:
        numeric = np.concatenate([r.numeric[:, :N_NUMERIC] for r in rows])
        bounds = [sum(sizes[:first]), *np.cumsum(sizes)[first:]]
        np.savez(Path(folder) / "windows.npz", numeric=numeric, categorical=np.concatenate([r.categorical for r in rows]), bounds=bounds)
        return float(np.mean(np.array(asked(peer, Path(folder))["columns"]) > 0))
