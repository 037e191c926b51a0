"""The reference: everything that live windows are compared with, made once and carried in the release.

In: the bins, and one summary per past window with its weekday. Out: frozen bins and yardstick, the readout of every past window, and what "as usual"
means for each coordinate. A reference is immutable; comparing never reads the past rows again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.errors import MonitoringError
from vernal.monitoring.bins import BINS, Bins
from vernal.monitoring.coordinates import QUALITY, SHARES, Coordinate, Readout, Statistic, Yardstick, share_of
from vernal.monitoring.evidence import Bank
from vernal.monitoring.schema import BUDGET, Schema, Stream
from vernal.monitoring.summaries import N, Summary
from vernal.monitoring.usual import WEEK, Floats, Ints, Usual, seen_mean

ENOUGH: Final = 21  # windows; with fewer, weekdays and wobble cannot be told apart
GUESSED_SD: Final = (0.10, 0.05)  # of a wobble nothing is known of: other coordinates, data quality
RARE: Final = 20.0  # expected rows per window below which a share can only be bet on upwards
PLAIN: Final = frozenset({Statistic.LOCATION, Statistic.TILT, Statistic.RATE, Statistic.BIAS, Statistic.SLOPE})  # most shifts show here first
LEADERS: Final = frozenset({Statistic.LOCATION, Statistic.TILT})
LED: Final = frozenset({Statistic.SPREAD, Statistic.SKEW, Statistic.TAILS, Statistic.SHAPE, Statistic.TOP, Statistic.SECOND})
PLAINLY: Final = 8.0
NAME: Final = "monitoring"


class Window(NamedTuple):
    """One window of the past."""

    number: int  # consecutive: days since any day
    summary: Summary
    known_day: bool = False  # a holiday or campaign: not as usual, and known to be

    @property
    def weekday(self) -> int:
        return self.number % WEEK


class Past(NamedTuple):
    """What is kept of the past windows."""

    total: Summary  # of all of them
    numbers: Ints  # (n_windows,)
    readouts: Readout  # (n_windows, n_coordinates) each
    segments: Mapping[str, Summary]  # totals of segments, to tell who carries an effect


class Drafted(Protocol):
    """Where a reference is put; `release.Draft` is one."""

    def put_array(self, name: str, array: NDArray[Any]) -> None: ...
    def put_json(self, name: str, value: Any) -> None: ...


class Opened(Protocol):
    """Where a reference is read; `release.Release` is one."""

    def array(self, name: str) -> NDArray[Any]: ...
    def json(self, name: str) -> Any: ...


class Reference:
    """The past as monitoring needs it."""

    def __init__(self, schema: Schema, bins: Bins, past: Past, usual: Usual | None = None) -> None:
        """Use `Reference.of` or `Reference.opened`."""
        self.schema, self.bins = schema, bins
        self.total, self.numbers, self.readouts, self.segments = past
        total, numbers = self.total, self.numbers
        self.yardstick = Yardstick.of(schema, total, len(numbers))
        self.coordinates = self.yardstick.coordinates(schema, labelled=total.moments[N] > 0)
        self.usual = usual or self.fitted()

    @classmethod
    def of(cls, schema: Schema, bins: Bins, windows: Sequence[Window], segments: Mapping[str, Summary] | None = None) -> Self:
        """The reference of past windows, oldest first; `segments` are totals over the same windows.

        Raises
        ------
        MonitoringError
            No window, windows out of order, or summaries of other bins.
        """
        if not windows:
            raise MonitoringError.invalid("reference", "no windows", "at least one past window")
        numbers = np.array([w.number for w in windows], np.int64)
        if np.any(np.diff(numbers) <= 0):
            raise MonitoringError.invalid("reference", numbers.tolist(), "window numbers that ascend")
        total = Summary.empty(bins)
        for window in windows:
            total = total + window.summary
        yardstick = Yardstick.of(schema, total, len(windows))
        coordinates = yardstick.coordinates(schema, labelled=total.moments[N] > 0)
        read = [yardstick.read(w.summary, coordinates) for w in windows]
        value = np.array([r.value for r in read])
        value[[w.known_day for w in windows]] = np.nan
        return cls(schema, bins, Past(total, numbers, Readout(value, np.array([r.variance for r in read])), segments or {}))

    @property
    def is_short(self) -> bool:
        """Fewer than three weeks: only quality and large effects are judged, with a guessed null."""
        return len(self.numbers) < ENOUGH

    @property
    def last(self) -> int:
        """Number of the newest window in it."""
        return int(self.numbers[-1])

    def weekday(self, number: int) -> int:
        return 0 if self.is_short else number % WEEK

    def fitted(self) -> Usual:
        if self.is_short:
            return Usual.guessed(np.array([GUESSED_SD[c.statistic in QUALITY] for c in self.coordinates]))
        return Usual.fitted(*self.readouts, self.numbers % WEEK, [c.family for c in self.coordinates])

    def bank(self) -> Bank:
        """A bank that has learned this reference and judged nothing."""
        noise = seen_mean(self.readouts.variance, self.readouts.value)
        unit = np.sqrt(self.usual.wobble * (1.0 - self.usual.lag**2) + noise)
        bank = Bank(self.usual, self.weights(), unit, self.sides(), self.leaders())
        for number, value, variance in zip(self.numbers, *self.readouts, strict=True):
            bank.learn(value, variance, self.weekday(int(number)))
        return bank

    def weights(self) -> Floats:
        """(n,) each coordinate's share of the promise: the budget of its stream, a coordinate of PLAIN counting as much as `PLAINLY` others."""
        streams = np.array([c.stream for c in self.coordinates])
        raw = np.array([PLAINLY if c.statistic in PLAIN else 1.0 for c in self.coordinates])
        present = sum(BUDGET[Stream(s)] for s in set(streams))  # an absent stream leaves its budget to the others
        return np.array([BUDGET[Stream(s)] / present * r / raw[streams == s].sum() for s, r in zip(streams, raw, strict=True)])

    def sides(self) -> NDArray[np.int8]:
        """(n,) +1 for shares too rare to fall noticeably, whose counts are far from normal below their mean."""
        share, noise = share_of(self.means()), seen_mean(self.readouts.variance, self.readouts.value)
        of_shares = np.array([c.statistic in SHARES for c in self.coordinates])
        return (of_shares & (share < RARE * noise)).astype(np.int8) - (of_shares & (1.0 - share < RARE * noise)).astype(np.int8)

    def leaders(self) -> Ints:
        """(n,) the location or tilt of the same column, for the other statistics of its distribution; -1 for the rest."""
        first = {c.column: k for k, c in enumerate(self.coordinates) if c.statistic in LEADERS}
        return np.array([first.get(c.column, -1) if c.statistic in LED else -1 for c in self.coordinates], np.int64)

    def means(self) -> Floats:
        """(n,) mean of each coordinate over the reference."""
        return seen_mean(self.readouts.value, self.readouts.value, unseen=0.0)

    def name(self, coordinate: Coordinate) -> str:
        """The column's name, or the statistic's own for all rows."""
        return self.schema.names[coordinate.column] if coordinate.column >= 0 else str(coordinate.statistic)

    def at(self, statistic: Statistic, column: str = "") -> int:
        """Place of a coordinate."""
        place = self.schema.names.index(column) if column else -1
        return next(k for k, c in enumerate(self.coordinates) if (c.statistic, c.column) == (statistic, place))

    def stream_of(self, coordinate: Coordinate) -> Stream:
        return self.schema.columns[coordinate.column].stream if coordinate.column >= 0 else coordinate.stream

    def put(self, draft: Drafted) -> None:
        """Writes it into a release being made."""
        draft.put_json(NAME, {"schema": msgspec.to_builtins(self.schema), "segments": list(self.segments)})
        for name, array in self.arrays().items():
            draft.put_array(f"{NAME}_{name}", array)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "edges": self.bins.edges[:, : BINS + 1],
            "known": self.bins.known,
            "start": self.bins.start,
            "totals": np.stack([self.total.flat, *(s.flat for s in self.segments.values())]),
            "numbers": self.numbers,
            "readouts": np.stack(self.readouts),
            "usual": np.stack(self.usual[:-1]),
            "tails": self.usual.table,
        }

    @classmethod
    def opened(cls, release: Opened) -> Self:
        """The reference that travels in a release."""
        about = release.json(NAME)
        part = {name: np.array(release.array(f"{NAME}_{name}")) for name in ("edges", "known", "start", "totals", "numbers", "readouts", "usual", "tails")}
        known = [part["known"][a:b] for a, b in zip(part["start"][:-1], part["start"][1:], strict=True)]
        bins = Bins.of(part["edges"], known)
        lag, wobble, prior, share, degrees = part["usual"]
        usual = Usual(lag, wobble, prior, share, degrees, part["tails"])
        total, *rest = (Summary(bins.fingerprint, bins.n_columns, flat) for flat in part["totals"])
        past = Past(total, part["numbers"], Readout(*part["readouts"]), dict(zip(about["segments"], rest, strict=True)))
        return cls(msgspec.convert(about["schema"], Schema), bins, past, usual)
