"""Where an effect comes from: the segment that carries it, and what else happened on the same clock.

Counts are additive, so the effect of the whole is exactly the sum of its segments' effects, each weighted by its rows.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from vernal.monitoring.alarms import Span, readable
from vernal.monitoring.reference import Reference
from vernal.monitoring.summaries import Summary

LEAST_SHARE: Final = 0.5  # of the effect, from which a segment is said to carry it


class Change(NamedTuple):
    """A deploy, a version, an upstream event."""

    window: int
    what: str


def changes_within(changes: Sequence[Change], since: Span) -> tuple[str, ...]:
    """What happened in the windows in which a shift may have begun, or just before."""
    return tuple(c.what for c in changes if since.earliest - 1 <= c.window <= since.latest)


def carrier(reference: Reference, at: int, windows: Sequence[Mapping[str, Summary]]) -> tuple[str, float]:
    """The segment with the largest share of a coordinate's effect over some windows, and that share; empty when none carries half of it.

    A segment whose rows are few carries little, however far it moved; one that carries no more than its share of the rows is not named.
    """
    live: dict[str, Summary] = {}
    for window in windows:
        for name, summary in window.items():
            live[name] = live[name] + summary if name in live else summary
    rows = {name: summary.rows for name, summary in live.items()}
    effects = {name: rows[name] * effect(reference, at, name, summary) for name, summary in live.items()}
    total = sum(effects.values())
    if not effects or total == 0:
        return "", 0.0
    name = max(effects, key=lambda n: effects[n] / total)
    share, expected = effects[name] / total, rows[name] / max(sum(rows.values()), 1)
    return (name, min(share, 1.0)) if share >= LEAST_SHARE and share > 1.25 * expected else ("", 0.0)


def effect(reference: Reference, at: int, name: str, live: Summary) -> float:
    """A segment's shift against its own past, or against everybody's where its own was not kept; on the scale people read, where shares add up."""
    past = reference.segments.get(name, reference.total)
    scale, coordinate = readable(reference.coordinates[at].statistic), [reference.coordinates[at]]
    before, after = (float(reference.yardstick.read(s, coordinate).value[0]) for s in (past, live))
    moved = scale(after) - scale(before)
    return moved if moved == moved else 0.0  # NaN: too few rows to tell
