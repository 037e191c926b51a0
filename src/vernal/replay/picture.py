"""A story as one SVG: quality over time, what it lacks of a fresh release, and what each policy did; readable on light and dark pages.

In: a `Story`. Out: text; the same story gives the same bytes. Everything that has a reason shows it on hover.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.replay.loop import FRESH, Happening, Outcome, Story, day
from vernal.rollout.staleness import trailing_mean
from vernal.terms import DAY_S, US_PER_S

WIDTH, LEFT, RIGHT = 1000, 76, 190
PANEL, GAP, LANE, HEAD, FOOT = 220, 58, 30, 100, 66
LABEL = 15  # least distance of two labels
STYLE = """
svg { --ink: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #ffffff; --bad: #cf222e;
  --frozen: #d55e00; --monthly: #b07d00; --weekly: #0072b2; --vernal: #00845f; --fresh: #6e7781;
  font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --soft: #9198a1; --line: #30363d; --page: #0d1117; --bad: #ff7b72;
  --frozen: #ff8f4d; --monthly: #e6b035; --weekly: #58b1f0; --vernal: #2fc999; --fresh: #9aa4ae; } }
.page { fill: var(--page); }
text { fill: var(--ink); } .soft { fill: var(--soft); font-size: 12px; } .title { font-size: 18px; font-weight: 600; } .head { font-weight: 600; }
.grid { stroke: var(--line); } .axis { stroke: var(--soft); } .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.fresh { stroke-dasharray: 5 4; } .limit { stroke: var(--bad); stroke-dasharray: 2 3; } .incident { fill: var(--bad); opacity: .28; }
.refused { fill: var(--page); stroke-width: 2; } .alarm { fill: var(--bad); }
"""


class Curve(NamedTuple):
    name: str
    values: NDArray[np.float64]  # (n_units,)


class Frame(NamedTuple):
    """Where values land on the page."""

    first: int  # UTC us at the left edge
    last: int
    top: float
    low: float  # value at the bottom
    high: float

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return self.top + PANEL * (1 - (value - self.low) / (self.high - self.low))


def picture(story: Story) -> str:
    """The SVG of a story."""
    window = max(1, round(story.regret_window_s / story.every_s))
    quality = [Curve(name, trailing_mean(story.series(name), window)) for name in (*story.policies, FRESH)]
    regret = [Curve(name, trailing_mean(story.regret(name), window)) for name in story.policies]
    second = HEAD + PANEL + GAP
    lanes = second + PANEL + GAP
    height = lanes + LANE * len(story.policies) + FOOT
    low, high = bounds([*regret, Curve("", np.array([0.0, 1.5 * story.delta]))])
    upper = Frame(story.begin, story.end, HEAD, *bounds(quality))
    lower = Frame(story.begin, story.end, second, low, high)
    mean = f"mean of {story.regret_window_s / DAY_S:g} days"
    body = [
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text x="{LEFT}" y="28" class="title">What each policy would have done</text>',
        f'<text x="{LEFT}" y="47" class="soft">{escape(subtitle(story))}</text>',
        *panel(story, upper, f"{story.metric}, {mean}", quality, percent=False),
        *panel(story, lower, f"less than an always fresh release, {mean}", regret, percent=True),
        *limit(story, lower),
        *doings(story, lanes),
        *dates(upper, lanes + LANE * len(story.policies)),
        *key(height - 16),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    return "\n".join([head, "<title>Replay of the loop over the past</title>", f"<style>{STYLE}</style>", *body, "</svg>\n"])


def subtitle(story: Story) -> str:
    cases = sum(unit.cases for unit in story.units)
    return f"{day(story.begin)} to {day(story.end)}, a look every {story.every_s / DAY_S:g} days, {cases:,} past requests asked of every release in charge"


def bounds(curves: Sequence[Curve]) -> tuple[float, float]:
    """The range of all values with some air; never empty."""
    values = np.concatenate([curve.values for curve in curves])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    air = 0.06 * max(high - low, 1e-3)
    return low - air, high + air


def panel(story: Story, frame: Frame, title: str, curves: Sequence[Curve], *, percent: bool) -> Iterator[str]:
    """A grid with its scale, the curves and their names at the right end."""
    yield f'<text x="{LEFT}" y="{frame.top - 10:.1f}" class="head">{escape(title)}</text>'
    for value in scale(frame.low, frame.high):
        y = frame.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="soft" x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{f"{100 * value:g} %" if percent else f"{value:g}"}</text>'
    middles = [(unit.begin + unit.end) / 2 for unit in story.units]
    ends = []
    for curve in curves:
        points = [(frame.x(at), frame.y(value)) for at, value in zip(middles, curve.values.tolist(), strict=True) if np.isfinite(value)]
        if points:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline class="curve {curve.name if curve.name == FRESH else ""}" style="stroke: var(--{curve.name})" points="{path}"/>'
            ends.append((points[-1][1], curve.name))
    yield from names_at_end(ends)


def names_at_end(ends: list[tuple[float, str]]) -> Iterator[str]:
    """Names beside the ends of their curves, pushed apart."""
    y = -np.inf
    for wanted, name in sorted(ends):
        y = max(y + LABEL, wanted)
        yield f'<text x="{WIDTH - RIGHT + 10}" y="{y + 4:.1f}" style="fill: var(--{name})">{"always fresh" if name == FRESH else name}</text>'


def scale(low: float, high: float, most: int = 7) -> list[float]:
    """Round values inside a range.

    >>> scale(0.0, 0.97)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    raw = (high - low) / most
    unit = 10.0 ** np.floor(np.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [round(float(k * step), 10) + 0.0 for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def limit(story: Story, frame: Frame) -> Iterator[str]:
    y, rule = frame.y(story.delta), f"above {100 * story.delta:g} % for more than {story.tolerance_s / DAY_S:g} days: an incident"
    yield f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield f'<text class="soft" x="{LEFT + 6}" y="{y - 5:.1f}">{escape(rule)}</text>'


def doings(story: Story, top: float) -> Iterator[str]:
    """One lane per policy: its incidents, trainings and alarms."""
    frame = Frame(story.begin, story.end, top, 0, 1)
    yield f'<text x="{LEFT}" y="{top - 12:.1f}" class="head">what was done</text>'
    for place, found in enumerate(story.outcomes):
        y = top + LANE * (place + 0.5)
        yield f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end" style="fill: var(--{found.policy})">{found.policy}</text>'
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        for begin, end in found.incidents:
            x, width = frame.x(begin), frame.x(end) - frame.x(begin)
            why = f"incident: {day(begin)} to {day(end)}"
            yield f'<rect class="incident" x="{x:.1f}" width="{width:.1f}" y="{y - 11:.1f}" height="22"><title>{why}</title></rect>'
        yield from marks(story, found.policy, frame, y)
        yield f'<text class="soft" x="{WIDTH - RIGHT + 10}" y="{y + 4:.1f}">{escape(counted(found))}</text>'


def counted(found: Outcome) -> str:
    incidents = len(found.incidents)
    trainings = f"{found.trainings} training{'s' * (found.trainings != 1)}"
    return f"{trainings}, {incidents} incident{'s' * (incidents != 1)}" if incidents else f"{trainings}, none stale"


def marks(story: Story, policy: str, frame: Frame, y: float) -> Iterator[str]:
    """A dot per training, hollow where the gate refused what came of it; a triangle per alarm."""
    mine = [each for each in story.happenings if each.policy == policy]
    refused = {each.release for each in mine if each.what == "refusal"}
    for each in mine:
        x, why = frame.x(each.at), f"<title>{escape(sentence(each))}</title>"
        if each.what == "training":
            kind, paint = ("refused", "stroke") if each.release in refused else ("", "fill")
            yield f'<circle class="{kind}" style="{paint}: var(--{policy})" cx="{x:.1f}" cy="{y:.1f}" r="4">{why}</circle>'
        elif each.what in ("alarm", "hold"):
            yield f'<path class="alarm" d="M{x - 5:.1f} {y - 8:.1f} h10 l-5 9 z">{why}</path>'


def sentence(each: Happening) -> str:
    return f"{day(each.at)} {each.what} {each.release}: {each.reason}".strip(": ")


def dates(frame: Frame, y: float) -> Iterator[str]:
    """The time axis below the lanes, with a line through everything at each date."""
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    for at, text in ticks(frame.first, frame.last):
        x = frame.x(at)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y + 5:.1f}"/>'
        yield f'<text class="soft" x="{x:.1f}" y="{y + 19:.1f}" text-anchor="middle">{text}</text>'


def ticks(first: int, last: int, most: int = 10) -> Iterator[tuple[int, str]]:
    """Firsts of months, or days at even distances where the stretch is short."""
    begin, end = (datetime.fromtimestamp(us / US_PER_S, UTC) for us in (first, last))
    days = (end - begin).days
    if days > 62:
        months = [datetime(begin.year + (begin.month + k) // 12, (begin.month + k) % 12 + 1, 1, tzinfo=UTC) for k in range(days // 28 + 1)]
        months = [month for month in months if month <= end]
        chosen = [(month, month.strftime("%b %Y" if month.month == 1 or place == 0 else "%b")) for place, month in enumerate(months)]
        chosen = chosen[:: len(chosen) // most + 1]
    else:
        midnight = datetime(begin.year, begin.month, begin.day, tzinfo=UTC) + timedelta(days=1)
        step = days // most + 1
        chosen = [(at, at.strftime("%d %b")) for at in (midnight + timedelta(days=k) for k in range(0, days + 1, step)) if at <= end]
    yield from ((int(at.timestamp()) * US_PER_S, text) for at, text in chosen)


def key(y: float) -> Iterator[str]:
    """What the marks mean."""
    parts = [
        ('<circle style="fill: var(--soft)" cx="0" cy="-4" r="4"/>', "trained and put in charge"),
        ('<circle class="refused" style="stroke: var(--soft)" cx="0" cy="-4" r="4"/>', "trained, refused by the gate"),
        ('<path class="alarm" d="M-5 -9 h10 l-5 9 z"/>', "alarm"),
        ('<rect class="incident" x="-8" y="-12" width="16" height="16"/>', "incident"),
    ]
    x = float(LEFT + 8)
    for mark, text in parts:
        yield f'<g transform="translate({x:.0f} {y:.0f})">{mark}<text class="soft" x="14" y="0">{text}</text></g>'
        x += 44 + 6.6 * len(text)
