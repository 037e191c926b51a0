"""What a claim's file uses: contestants in processes of their own, and one result written where the docs are made from.

A claim is one file `bench/<claim>.py` that ends in `report(...)`. It runs alone (`python bench/<claim>.py`) or by `make bench CLAIM=<claim>`.
"""

import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
Measured = float | str | Mapping[str, Any]


class Run(NamedTuple):
    """What one contestant answered and used."""

    value: Any
    wall_s: float
    cpu_s: float  # user + system, children included
    peak_bytes: int


def contestant(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Run:
    """Runs a function in a fresh process, so that no contestant pays for another's memory or warmth.

    The function must be importable (top level of its file); its value travels back by pipe, so keep it small.

    Raises
    ------
    RuntimeError
        The contestant died; its own traceback is on stderr.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=measured, args=(theirs, function, args, kwargs))
    process.start()
    theirs.close()
    try:
        return Run(*ours.recv())
    except EOFError:
        raise RuntimeError(f"{function.__name__} died") from None
    finally:
        process.join()


def measured(pipe: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """The contestant's side: calls and counts from the call on, imports of its module not included."""
    began, cpu = time.perf_counter(), cpu_s()
    value = function(*args, **kwargs)
    pipe.send((value, time.perf_counter() - began, cpu_s() - cpu, peak_bytes()))


def cpu_s() -> float:
    """CPU seconds of this process and of its ended children."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def peak_bytes() -> int:
    """The most memory this process ever held (resident)."""
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def report(
    claim: str, *, bar: str, measured: Measured, unit: str, holds: bool, baselines: Mapping[str, Any] | None = None, seeds: Sequence[int] = (), notes: str = ""
) -> None:
    """Writes `results/<claim>.json` and prints it.

    Parameters
    ----------
    bar : the public promise, in words and figures
    measured : the figure the bar is held against; several by name when the bar has several
    holds : whether it was met in this run
    baselines : what the named peers and baselines reached in this run
    notes : conditions without which the figure says little
    """
    result = {
        "claim": claim,
        "bar": bar,
        "measured": rounded(measured),
        "unit": unit,
        "holds": bool(holds),
        "baselines": rounded(baselines or {}),
        "seeds": list(seeds),
        "command": f"make bench CLAIM={claim}",
        "notes": notes,
        "machine": machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / f"{claim}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def rounded(value: Any) -> Any:
    """Plain JSON values, floats with four digits that mean something."""
    if isinstance(value, Mapping):
        return {str(name): rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, str | bool | int | None):
        return value
    return float(f"{float(value):.4g}")


def machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "memory_gib": memory_gib(), "python": platform.python_version(), "system": platform.system()}


def memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
