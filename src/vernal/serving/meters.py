"""Counters and histograms of all processes of a server, in Prometheus' text form.

Every process counts in a memory-mapped file of its own (`<folder>/<role>-<index>.meters`), laid out by the one table below, so
`/metrics` answered by any worker is the sum over all of them, and a restarted worker goes on counting where it stopped.
Cost: 0.1 us per count, 0.4 us per observation.
"""

import hashlib
import itertools
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Topic = Literal["serving", "freshness", "staleness", "drift", "training", "trial"]
BUCKETS_S = (0.0005, 0.001, 0.002, 0.0035, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 1.0)


class Meter(NamedTuple):
    """One metric that we count; every label has a fixed list of values, so every series has a fixed place."""

    name: str
    effect: str
    labels: Mapping[str, tuple[str, ...]] = {}
    histogram: bool = False
    topic: Topic = "serving"

    @property
    def kind(self) -> str:
        return "histogram" if self.histogram else "counter"


class Gauge(NamedTuple):
    """One metric that is read at scrape time; `counter` says that it only grows."""

    name: str
    effect: str
    topic: Topic
    labels: tuple[str, ...] = ()
    counter: bool = False

    @property
    def kind(self) -> str:
        return "counter" if self.counter else "gauge"


class Value(NamedTuple):
    """What one series of a gauge says now."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


class Layout:
    """Where each series of a table of meters lies in the file."""

    def __init__(self, meters: Iterable[Meter]) -> None:
        self.meters = list(meters)
        self.place: dict[tuple[str, ...], int] = {}
        size = 0
        for meter in self.meters:
            for values in itertools.product(*meter.labels.values()):
                self.place[(meter.name, *values)] = size
                size += len(BUCKETS_S) + 2 if meter.histogram else 1
        self.size = size
        names = repr([(m.name, sorted(m.labels.items()), m.histogram) for m in self.meters])
        self.stamp = float(int.from_bytes(hashlib.blake2b(names.encode(), digest_size=6).digest(), "big"))


class Meters:
    """The counters of one process.

    Example
    -------
    >>> import tempfile
    >>> layout = Layout([Meter("asked_total", "calls", {"rung": ("full", "static")})])
    >>> meters = Meters(Path(tempfile.mkdtemp()), "api-0", layout)
    >>> meters.count("asked_total", "full")
    >>> print(meters.text(), end="")
    # HELP asked_total calls
    # TYPE asked_total counter
    asked_total{rung="full"} 1
    asked_total{rung="static"} 0
    """

    def __init__(self, folder: Path, process: str, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        folder.mkdir(parents=True, exist_ok=True)
        self.memory = opened(folder / f"{process}.meters", layout)
        self.cells = memoryview(self.memory).cast("d")[1:]

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        self.cells[self.layout.place[(name, *labels)]] += by

    def observe(self, name: str, *labels: str, seconds: float) -> None:
        start = self.layout.place[(name, *labels)]
        self.cells[start + bisect_left(BUCKETS_S, seconds)] += 1.0
        self.cells[start + len(BUCKETS_S) + 1] += seconds

    def total(self, name: str, *labels: str) -> float:
        """One series summed over all processes."""
        return self.totals()[self.layout.place[(name, *labels)]]

    def totals(self) -> list[float]:
        totals = [0.0] * self.layout.size
        for file in sorted(self.folder.glob("*.meters")):
            cells = memoryview(file.read_bytes()).cast("d")
            if len(cells) == self.layout.size + 1 and cells[0] == self.layout.stamp:
                totals = [a + b for a, b in zip(totals, cells[1:], strict=True)]
        return totals

    def text(self, gauges: Sequence[Gauge] = (), values: Iterable[Value] = ()) -> str:
        """Every series in Prometheus' text format: what was counted, then the gauges that have a value."""
        totals = self.totals()
        lines = [line for meter in self.layout.meters for line in self.lines(meter, totals)]
        return "\n".join([*lines, *gauge_lines(gauges, values)]) + "\n"

    def lines(self, meter: Meter, totals: list[float]) -> Iterator[str]:
        yield from head(meter)
        for values in itertools.product(*meter.labels.values()):
            start = self.layout.place[(meter.name, *values)]
            labels = dict(zip(meter.labels, values, strict=True))
            if meter.histogram:
                yield from histogram_lines(meter.name, labels, totals[start : start + len(BUCKETS_S) + 2])
            else:
                yield f"{meter.name}{shown(labels)} {totals[start]:.17g}"


def opened(path: Path, layout: Layout) -> mmap.mmap:
    """The file as shared memory; a file of another layout is begun anew."""
    length = 8 * (layout.size + 1)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(descriptor).st_size != length:
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, length)
        memory = mmap.mmap(descriptor, length)
    finally:
        os.close(descriptor)
    cells = memoryview(memory).cast("d")
    if cells[0] != layout.stamp:
        cells[:] = memoryview(bytes(length)).cast("d")
        cells[0] = layout.stamp
    return memory


def histogram_lines(name: str, labels: Mapping[str, str], cells: list[float]) -> Iterator[str]:
    running = list(itertools.accumulate(cells[:-1]))
    for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], running, strict=True):
        yield f"{name}_bucket{shown({**labels, 'le': bound})} {count:.17g}"
    yield f"{name}_sum{shown(labels)} {cells[-1]:.9g}"
    yield f"{name}_count{shown(labels)} {running[-1]:.17g}"


def gauge_lines(gauges: Sequence[Gauge], values: Iterable[Value]) -> Iterator[str]:
    """The gauges in their order.

    Raises
    ------
    KeyError
        A value of a gauge that is not in the table.
    """
    by_name: dict[str, list[str]] = {gauge.name: [] for gauge in gauges}
    for value in values:
        by_name[value.name].append(f"{value.name}{shown(value.labels)} {value.value:.17g}")
    for gauge in gauges:
        if by_name[gauge.name]:
            yield from (*head(gauge), *by_name[gauge.name])


def head(metric: Meter | Gauge) -> tuple[str, str]:
    return f"# HELP {metric.name} {metric.effect}", f"# TYPE {metric.name} {metric.kind}"


def shown(labels: Mapping[str, str]) -> str:
    """Labels in braces, escaped; empty for none."""
    quoted = (f'{name}="{escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(quoted) + "}" if labels else ""


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
