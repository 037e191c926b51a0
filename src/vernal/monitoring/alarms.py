"""An alarm a person understands: what changed, how much, since when, where, is it harmful, what is done about it.

Effect sizes come first and evidence second. Only data quality and outcomes page at once; a prediction, or a feature the ranker leans on, is looked at
today; drift of any other feature waits for the digest.
"""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from vernal.monitoring.coordinates import SHARES, Statistic, share_of
from vernal.monitoring.schema import Stream

IMPORTANT: Final = 0.05  # share of the ranker's gain from which a feature's drift is looked at today


class Severity(StrEnum):
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class Harm(StrEnum):
    HARMFUL = "harmful"  # an outcome changed as well
    NONE_SEEN = "no harm seen so far"  # outcomes of the same windows have matured, and are as usual
    UNKNOWN = "not yet known whether it is harmful"


class Action(StrEnum):
    HOLD = "training and promotion are held until this is over or acknowledged"
    ADVANCE = "retraining is advanced, with follow-ups after 3 and 7 windows"
    LOOK = "nothing was changed; to be looked at today"
    DIGEST = "nothing was changed; listed in the digest"


class Size(msgspec.Struct, frozen=True):
    """How much, with the interval that holds it at 95 %; `before` and `after` are what people read, `shift` is in units of the coordinate."""

    shift: float
    low: float
    high: float
    before: float
    after: float
    after_low: float
    after_high: float


class Span(msgspec.Struct, frozen=True):
    """Window numbers: the most likely first one, and the ends of a 95 % credible set."""

    first: int
    earliest: int
    latest: int


class Alarm(msgspec.Struct, frozen=True):
    """One alarm; `sentence()` is what a person reads."""

    window: int  # the window that raised it
    column: str  # empty when it is about all rows
    statistic: Statistic
    stream: Stream
    size: Size
    since: Span
    log_e: float  # log of the evidence, odds against "as usual"
    severity: Severity
    harm: Harm
    segment: str = ""  # what carries the effect, with its share 0..1
    segment_share: float = 0.0
    changes: tuple[str, ...] = ()  # deploys and upstream events of those windows
    also: tuple[str, ...] = ()  # other statistics of the same column

    @property
    def blocks_training(self) -> bool:
        """Broken data must not be learned."""
        return self.stream == Stream.QUALITY

    @property
    def pages(self) -> bool:
        return self.severity == Severity.P1

    @property
    def action(self) -> Action:
        if self.blocks_training:
            return Action.HOLD
        if self.stream == Stream.OUTCOME:
            return Action.ADVANCE
        return Action.LOOK if self.severity == Severity.P2 else Action.DIGEST

    def sentence(self, name_window: Callable[[int], str] = "window {}".format) -> str:
        """What, how big, since when, where, what else happened, harmful or not, what is done."""
        since = f"Since {name_window(self.since.first)}"
        if self.since.earliest != self.since.latest:
            since += f" (between {name_window(self.since.earliest)} and {name_window(self.since.latest)})"
        where = f", carried by {self.segment} ({self.segment_share:.0%} of the effect)" if self.segment else ""
        then = f"; then: {', '.join(self.changes)}" if self.changes else ""
        return f"{since} {words(self.statistic, self.column, self.size)}{where}{then}; {self.harm}; {self.action}."


def severity_of(stream: Stream, importance: float) -> Severity:
    if stream in (Stream.QUALITY, Stream.OUTCOME):
        return Severity.P1
    if stream == Stream.PREDICTION or (stream == Stream.FEATURE and importance >= IMPORTANT):
        return Severity.P2
    return Severity.P3


def size_of(statistic: Statistic, before: float, shift: tuple[float, float, float]) -> Size:
    """A shift on the coordinate's scale, and what it means on the scale people read."""
    middle, low, high = shift
    scale = readable(statistic)
    return Size(middle, low, high, scale(before), scale(before + middle), scale(before + low), scale(before + high))


def readable(statistic: Statistic) -> Callable[[float], float]:
    if statistic in SHARES:
        return lambda value: float(share_of(value))
    return math.exp if statistic == Statistic.VOLUME else float


NOUNS: Final = {
    Statistic.MISSING: "the share of missing {}",
    Statistic.UNSEEN: "the share of values of {} never seen before",
    Statistic.OUT_OF_RANGE: "the share of {} far outside its known range",
    Statistic.NOT_FINITE: "the share of {} that is not a finite number",
    Statistic.TAILS: "the share of {} in its outermost sixteenth",
    Statistic.TOP: "the share of the commonest value of {}",
    Statistic.SECOND: "the share of the second commonest value of {}",
    Statistic.RATE: "the rate of positive labels",
    Statistic.AUC: "the area under the curve",
    Statistic.ENTROPY: "the normalised entropy",
    Statistic.VOLUME: "the number of {} per window",
}
SHIFTS: Final = {
    Statistic.LOCATION: "{} moved by {} sd of its usual spread",
    Statistic.SPREAD: "the spread of {} moved by {} (its second normal score)",
    Statistic.SKEW: "the skew of {} moved by {} (its third normal score)",
    Statistic.TILT: "the categories of {} moved by {} sd towards rarer ones",
    Statistic.SHAPE: "the mix of the categories of {} moved by {} (its second score)",
    Statistic.BIAS: "labels came {1} logits above what the release promised",
    Statistic.SLOPE: "the slope of labels on the promised logit moved by {1}",
    Statistic.EXCESS_LOSS: "the log loss above what the release promised moved by {1}",
    Statistic.RESIDUAL: "what {} says about the label changed by {} logits per sd",
}


def words(statistic: Statistic, column: str, size: Size) -> str:
    """What changed and how much, with its interval."""
    name = f"`{column}`" if column else "rows"
    if statistic in NOUNS:
        verb = "rose" if size.shift > 0 else "fell"
        low, high = sorted((size.after_low, size.after_high))
        show = percent if statistic in SHARES else "{:.3g}".format
        unit = " %" if statistic in SHARES else ""
        return f"{NOUNS[statistic].format(name)} {verb} from {show(size.before)}{unit} to {show(size.after)}{unit} ({show(low)}..{show(high)}{unit})"
    return SHIFTS[statistic].format(name, f"{size.shift:+.2f} ({size.low:+.2f}..{size.high:+.2f})")


def percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.001 or share == 0 else f"{100 * share:.2g}"
