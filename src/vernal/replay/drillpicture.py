"""Drills as one SVG: day by day the clicks of everybody and of the holdout, as a share of what the best slates would have had, and when it was noticed."""

from collections.abc import Iterator, Sequence
from html import escape

from vernal.replay.drills import Day, Drilled
from vernal.terms import DAY_S

WIDTH, LEFT, PANEL, GAP, HEAD = 760, 60, 120, 60, 56
KEY = "clicks as a share of those of the best slates, by day; dashed: the holdout; shaded: while it is bad or new; line: noticed; dotted: the yardstick"
STYLE = """
svg { --ink: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #ffffff; --bad: #cf222e; --ours: #00845f; --holdout: #0072b2;
  font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --soft: #9198a1; --line: #30363d; --page: #0d1117; --bad: #ff7b72;
  --ours: #2fc999; --holdout: #58b1f0; } }
.page { fill: var(--page); } text { fill: var(--ink); } .soft { fill: var(--soft); font-size: 12px; } .title { font-size: 18px; font-weight: 600; }
.head { font-weight: 600; } .grid { stroke: var(--line); } .trouble { fill: var(--bad); opacity: .12; } .noticed { stroke: var(--bad); stroke-width: 2; }
.ours { fill: none; stroke: var(--ours); stroke-width: 2; } .holdout { fill: none; stroke: var(--holdout); stroke-width: 2; stroke-dasharray: 5 4; }
.yardstick { stroke: var(--soft); stroke-dasharray: 1 3; }
"""


def picture(found: Sequence[Drilled]) -> str:
    """The SVG; the same drills give the same bytes."""
    height = HEAD + (PANEL + GAP) * len(found)
    body = [line for number, each in enumerate(found) for line in panel(each, HEAD + number * (PANEL + GAP) + 18)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
            f"<title>Drills</title>\n<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            f'<text x="{LEFT}" y="28" class="title">What went wrong, and what became of it</text>',
            f'<text x="{LEFT}" y="46" class="soft">{KEY}</text>',
            *body,
            "</svg>\n",
        ]
    )


def panel(found: Drilled, top: float) -> Iterator[str]:
    """One drill."""
    n, calm, last = len(found.days), found.course.calm, found.course.calm + found.course.trouble

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * day / n

    def y(share: float) -> float:
        return top + PANEL * (1 - min(share, 1.0))

    yield f'<text x="{LEFT}" y="{top - 6:.0f}" class="head">{escape(found.name)}</text>'
    yield f'<rect class="trouble" x="{x(calm):.1f}" y="{top}" width="{x(last) - x(calm):.1f}" height="{PANEL}"/>'
    for share in (0.0, 0.5, 1.0):
        yield f'<line class="grid" x1="{LEFT}" x2="{x(n):.1f}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>'
        yield f'<text class="soft" x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
    if found.noticed_after_s is not None:
        at = x(calm + found.noticed_after_s / DAY_S)
        yield f'<line class="noticed" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + PANEL}"><title>{escape(found.noticed)}</title></line>'
    at = y(found.yardstick)
    yield f'<line class="yardstick" x1="{x(last):.1f}" x2="{x(n):.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
    yield curve("holdout", [(x(day.day + 0.5), y(share_of(day.holdout, day))) for day in found.days if day.holdout])
    yield curve("ours", [(x(day.day + 0.5), y(share_of(day.ctr, day))) for day in found.days])


def share_of(ctr: float, day: Day) -> float:
    return ctr / day.best if day.best else 0.0


def curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
