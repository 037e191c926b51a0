"""What is shown of drift: alarms in sentences, effect sizes, histograms of now and of the reference, evidence over time, and how much silence says.

In: watches and what the watchman kept beside them. Out: one `DriftReport` of plain values, ready for a terminal, an HTTP answer or a page. Nothing of the
log is read.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from vernal.monitoring.alarms import Alarm, readable, size_of, words
from vernal.monitoring.bins import ABOVE, BELOW, BINS, CELLS, MISSING, NOT_FINITE, OTHER, TOP, UNSEEN, Bins
from vernal.monitoring.evidence import NORMAL_Z
from vernal.monitoring.schema import Kind
from vernal.monitoring.summaries import Summary
from vernal.monitoring.watch import FIRST_SHARE, Watch

Named = Callable[[int], str]
NEVER: Final = -999.0  # log evidence where none was gathered yet: JSON has no infinity


class AlarmDrift(msgspec.Struct, frozen=True):
    """One alarm."""

    stream: str
    sentence: str
    column: str
    statistic: str
    severity: str
    harm: str
    action: str
    window: str  # that raised it
    since: str
    since_latest: str  # that it began no later than
    before: float
    after: float
    after_low: float
    after_high: float
    holds: bool  # training and promotion, as long as it stands
    acknowledged: str = ""  # by whom, with their note; empty while it stands


class Move(msgspec.Struct, frozen=True):
    """One number that is watched: what is usual, what the newest windows say, and the shift with its 95 % interval."""

    statistic: str
    words: str
    usual: float
    now: float
    shift: float
    low: float
    high: float
    log_e: float  # log odds against "as usual", as the promise weighs them; at `StreamDrift.threshold` it rings


class ColumnDrift(msgspec.Struct, frozen=True):
    """One column: its histogram in the reference and in the newest windows, as shares, and its moves, strongest evidence first."""

    name: str
    kind: str
    labels: list[str]
    reference: list[float]
    now: list[float]
    log_e: float  # the strongest of its moves
    moves: list[Move]


class StripDrift(msgspec.Struct, frozen=True):
    """One window of one stream: evidence per kind of column."""

    window: str
    begin: int  # UTC us
    rows: int
    log_e: dict[str, float]


class StreamDrift(msgspec.Struct, frozen=True):
    """One stream."""

    name: str
    reference: tuple[str, str]  # its first and last window
    windows: int  # judged
    rows: int
    restarts: int
    threshold: float
    smallest: dict[str, float]  # least lasting shift, in sd, that would have been seen, per kind of column
    quiet: str
    caveat: str
    columns: list[ColumnDrift]
    strip: list[StripDrift]


class DriftReport(msgspec.Struct, frozen=True):
    """Everything there is to show."""

    at: str  # end of the newest window judged; empty before the first
    window_s: int
    promise: float  # chance that a product where all is as usual ever raises an alarm
    spent: float  # of the promise, by the watches so far
    holds: list[str]
    advances: list[str]
    alarms: list[AlarmDrift]  # those that stand first, then the gravest, then the newest
    quiet: str  # empty while an alarm stands
    caveat: str
    unknown_share: float  # of the newest window's events, on items the release in charge never saw
    streams: list[StreamDrift]


def alarm_drift(stream: str, alarm: Alarm, named: Named, acknowledged: str) -> AlarmDrift:
    size = alarm.size
    return AlarmDrift(
        stream, alarm.sentence(named), alarm.column, str(alarm.statistic), str(alarm.severity), str(alarm.harm), str(alarm.action), named(alarm.window),
        named(alarm.since.first), named(alarm.since.latest), size.before, size.after, size.after_low, size.after_high,
        alarm.blocks_training and not acknowledged, acknowledged,
    )  # fmt: skip


def stream_drift(name: str, watch: Watch, recent: Sequence[Summary], labels: dict[str, list[str]], strip: list[StripDrift], named: Named) -> StreamDrift:
    """A stream as it stands.

    Parameters
    ----------
    recent : summaries of the newest windows
    labels : names of the commonest categories, per column
    """
    reference, quiet = watch.reference, watch.quiet()
    smallest = {str(stream): shift for stream, shift in quiet.smallest.items()}
    seen = ", ".join(f"{shift:.2f} sd ({stream})" for stream, shift in smallest.items()) or "not known before a week has passed"
    told = (
        f"{name}: no change beyond usual since {named(reference.last + 1)} in {quiet.windows:,} windows with {quiet.rows:,} rows; "
        f"smallest lasting shift that would have been seen: {seen}."
    )
    columns = [column_drift(column, watch, recent, labels) for column in (-1, *range(len(reference.schema.columns)))]
    return StreamDrift(
        name, (named(int(reference.numbers[0])), named(reference.last)), quiet.windows, quiet.rows, watch.restarts, -math.log(watch.bound), smallest,
        "" if watch.alarms else told, watch.caveat(), [column for column in columns if column.moves], strip,
    )  # fmt: skip


def column_drift(column: int, watch: Watch, recent: Sequence[Summary], labels: dict[str, list[str]]) -> ColumnDrift:
    """A column as it stands; -1 is all rows together."""
    reference = watch.reference
    now = sum(recent[1:], recent[0]) if recent else Summary.empty(reference.bins)
    at = [j for j, c in enumerate(reference.coordinates) if c.column == column]
    moves = sorted(filter(None, (move_of(j, watch, now, len(recent)) for j in at)), key=lambda move: -move.log_e)
    log_e = moves[0].log_e if moves else NEVER
    if column < 0:
        return ColumnDrift("all rows", "", [], [], [], log_e, moves)
    about = reference.schema.columns[column]
    names = cells_of(reference.bins, column) if about.kind == Kind.NUMERIC else categories_of(labels.get(about.name, []))
    before, after = (shares(summary, column) for summary in (reference.total, now))
    kept = [cell for cell in range(CELLS) if before[cell] + after[cell] > 0]
    return ColumnDrift(about.name, str(about.kind), [names[c] for c in kept], [before[c] for c in kept], [after[c] for c in kept], log_e, moves)


def shares(summary: Summary, column: int) -> list[float]:
    counts = summary.counts[column]
    return [float(share) for share in counts / max(int(counts.sum()), 1)]


def move_of(j: int, watch: Watch, now: Summary, n: int) -> Move | None:
    """Where a coordinate stands, if the newest windows have enough rows to say."""
    reference, c = watch.reference, watch.reference.coordinates[j]
    value, variance = (float(part[0]) for part in reference.yardstick.read(now, [c]))
    usual, usually = float(reference.means()[j]), reference.usual
    if c.column < 0 and n:  # rows add up over windows, their usual number is that of one
        value -= math.log(n) if str(c.statistic) == "volume" else 0.0
    if not math.isfinite(value):
        return None
    lag = float(usually.lag[j])
    half = NORMAL_Z * math.sqrt(variance + float(usually.wobble[j]) * min(1.0, (1 + lag) / (1 - lag) / max(n, 1)))
    shift = value - usual
    size, scale, log_e = size_of(c.statistic, usual, (shift, shift - half, shift + half)), readable(c.statistic), weighted(watch, j)
    return Move(
        str(c.statistic), words(c.statistic, "" if c.column < 0 else reference.name(c), size), scale(usual), scale(value), shift, size.low, size.high, log_e
    )


def weighted(watch: Watch, j: int) -> float:
    found = float(watch.bank.log_e[j] + math.log(watch.bank.weight[j]))
    return found if math.isfinite(found) else NEVER


def cells_of(bins: Bins, column: int) -> list[str]:
    """Names of the cells of a numeric column."""
    edges = [f"{edge:.4g}" for edge in bins.edges[column, : BINS + 1]]
    names = [""] * CELLS
    names[BELOW], names[ABOVE], names[MISSING], names[NOT_FINITE] = f"below {edges[0]}", f"{edges[-1]} and more", "missing", "not finite"
    names[1 : BINS + 1] = [f"{low} to {high}" for low, high in pairwise(edges)]
    return names


def categories_of(labels: list[str]) -> list[str]:
    """Names of the cells of a categorical column."""
    names = [*labels, *[""] * CELLS][:TOP] + [""] * (CELLS - TOP)
    names[OTHER], names[UNSEEN], names[MISSING] = "other", "never seen before", "missing"
    return names


def spent_of(watches: Iterable[Watch]) -> float:
    """Chance of a false alarm that the watches so far were given."""
    return sum(watch.promise * (1.0 - (1.0 - FIRST_SHARE) ** (watch.restarts + 1)) for watch in watches if not watch.reference.is_short)
