"""What became of slates, by arm: a fold of the log, batch by batch, in whatever pieces it is read.

In: batches of slates, events and erasures, in log order. Out: for every arm what decisions are made from, and a count of everything that was left out and why.
A reward is a positive event that names a slate by its rec_id and one of the items it showed, received within `monitoring.mature_after` of it; each item of a
slate rewards once. All ages are between moments at which the log received, one clock that never goes back, so workers and callers whose clocks are apart
change no figure.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings, duration_s
from vernal.evaluation.sequences import Moments
from vernal.events.ports import EventReader
from vernal.events.reading import batches
from vernal.events.schema import Batch, Event, Kind, Slate
from vernal.ranking.ladder import Rung
from vernal.rollout.canary import ArmEvidence
from vernal.terms import US_PER_S

KINDS: Final = frozenset({Kind.SLATES, Kind.EVENTS, Kind.ERASURES})
EARLY_US: Final = 60 * US_PER_S  # a reward may come this long before its slate, which waits in the worker that made it
APART_US: Final = 60 * US_PER_S  # a worker's clock that differs from the log's by more is apart
RANKED: Final = frozenset({str(Rung.FULL), str(Rung.FAST)})
NEW: Final = "new users"
SCENARIOS: Final = ("home", "similar", "search")
CLICKS, SHOWN, SLATES, FAILED, LATE, FALLEN, EMPTY, DISTINCT, PROMISED, PLACES, SECOND_CLICKS, SECOND_SHOWN = range(12)  # sums of a user; second: team
FIRST_SCENARIO: Final = 12  # then clicks and items shown in each scenario
RATES: Final = {  # guard of `canary.GUARDS` -> what is counted, over what
    "failed": (FAILED, SLATES), "late": (LATE, SLATES), "fallen": (FALLEN, SLATES), "empty": (EMPTY, SLATES), "diversity": (DISTINCT, PLACES),
    "scores high": (CLICKS, PROMISED), "scores low": (CLICKS, PROMISED)
}  # fmt: skip


class LeftOut(msgspec.Struct):
    """What the figures leave out, and what they found odd."""

    unknown: int = 0  # rewards of a rec_id that is no slate counted here
    expired: int = 0  # received too long after their slate
    not_shown: int = 0  # of an item that their slate did not show
    repeated: int = 0  # of an item that had rewarded
    crossed: int = 0  # slates of users who had been in another arm
    odd: int = 0  # slates with a propensity that is missing, 0 or above 1; counted all the same
    apart: int = 0  # slates of a worker whose clock is apart; counted all the same
    elsewhere: int = 0  # slates of no arm that is compared

    def sentence(self) -> str:
        """What there is to say, in words; empty when nothing is."""
        words = {
            "unknown": "rewards of slates that are unknown or of no arm compared",
            "expired": "late rewards",
            "not_shown": "rewards of items not shown",
            "repeated": "repeated rewards",
        }
        words |= {"crossed": "slates of users in two arms", "odd": "slates with impossible propensities", "apart": "slates of workers whose clocks are apart"}
        return ", ".join(f"{getattr(self, name):,} {text}" for name, text in words.items() if getattr(self, name))


class Given(msgspec.Struct, gc=False):
    """What is remembered of a slate until its rewards have come."""

    row: int  # of its user
    scenario: int
    at: int  # UTC us, when the log received it
    items: bytes  # 4 bytes of each
    rewarded: int = 0  # bit by place
    teams: bytes = b""  # of an interleaved slate


class Counting:
    """Arms side by side since an offset.

    Parameters
    ----------
    names : of the arms
    arm : place of a slate's arm in `names`; -1 = it is none of them
    since : newest log offset before what is counted
    codes : first attribute of each item, by number; without it diversity is not counted

    Cost: bench/counting; about 10 us a slate and 3 us an event, and 250 bytes for each slate younger than `monitoring.mature_after`.
    """

    def __init__(self, names: Sequence[str], arm: Callable[[Slate], int], settings: Settings, since: int, codes: NDArray[np.int32] | None = None) -> None:
        self.names, self.arm, self.offset, self.codes = list(names), arm, since, codes
        self.weights = {name: kind.min_value for name, kind in settings.events.types.items() if kind.weight > 0}
        self.attribute = settings.items.attributes[0] if settings.items.attributes else ""
        self.scenarios = {name: place for place, name in enumerate(dict.fromkeys([*SCENARIOS, *settings.scenarios]))}
        self.deadline_us = 1_000 * settings.serving.deadline_ms
        self.mature_us = duration_s(settings.monitoring.mature_after) * US_PER_S
        self.left_out = LeftOut()
        self.users: dict[int, int] = {}  # user, keyed -> row
        self.erased = 0  # users of whom nothing is left
        self.n = 0
        self.sums = np.zeros((1_024, FIRST_SCENARIO + 2 * len(self.scenarios)))
        self.arms = np.full(1_024, -1, np.int16)  # -1 = erased
        self.segments: dict[str, int] = {}
        self.segment = np.zeros(1_024, np.int32)
        self.seen = np.zeros(1_024, np.int64)  # offset of each user's newest slate
        self.newest = np.zeros(len(self.names), np.int64)  # and of each arm's
        self.given: dict[int, Given] = {}
        self.early: dict[int, tuple[int, list[bytes]]] = {}  # rewards whose slate has not come

    @property
    def rules(self) -> str:
        """What is counted and how, but for which slates are whose: countings that differ in it do not go on from each other."""
        return f"{self.names} {self.weights} {self.attribute} {list(self.scenarios)} {self.deadline_us} {self.mature_us} {self.codes is not None}"

    def read(self, log: EventReader, until: int | None = None) -> None:
        """Takes in what came since."""
        until = log.end() if until is None else until
        for batch in batches(log, KINDS, self.offset, until):
            self.fold(batch)
        self.offset = max(self.offset, until)

    def fold(self, batch: Batch) -> None:
        if batch.kind is Kind.SLATES:
            self.slates(batch)
        elif batch.kind is Kind.EVENTS:
            for event in batch.records:
                if event.rec_id and self.positive(event):
                    self.reward(keyed(event.rec_id), short(event.item), batch.received_at)
        else:
            for record in batch.records:
                self.erase(record.user)
        self.forget(batch.received_at)
        self.offset = batch.last

    # hot: once a slate
    def slates(self, batch: Batch) -> None:
        taken: list[tuple[Slate, int]] = []
        for offset, slate in enumerate(batch.records, batch.first):
            arm = self.arm(slate)
            if arm < 0:
                self.left_out.elsewhere += 1
                continue
            row = self.row(slate, arm)
            if self.arms[row] != arm:
                self.left_out.crossed += 1
                continue
            self.seen[row] = self.newest[arm] = offset
            self.left_out.apart += abs(slate.time - batch.received_at) > APART_US
            key, given = (
                keyed(slate.rec_id),
                Given(row, self.scenarios.get(slate.scenario, 0), batch.received_at, b"".join(map(short, slate.items)), 0, slate.teams),
            )
            self.given[key] = given
            taken.append((slate, row))
            if key in self.early:
                for item in self.early.pop(key)[1]:
                    self.reward(key, item, batch.received_at)
        if taken:
            self.add(taken)

    def add(self, taken: Sequence[tuple[Slate, int]]) -> None:
        """Everything that slates say of themselves, in columns."""
        slates, rows = [slate for slate, _ in taken], np.array([row for _, row in taken])
        n, shown = len(slates), np.array([len(slate.items) for slate in slates])
        place = np.repeat(np.arange(n), shown)
        columns = np.zeros((n, self.sums.shape[1]))
        columns[:, SHOWN], columns[:, SLATES], columns[:, EMPTY] = shown, 1, shown == 0
        columns[:, SECOND_SHOWN] = [sum(slate.teams) for slate in slates]
        columns[:, FAILED] = [slate.failed > 0 for slate in slates]
        columns[:, LATE] = [slate.took_us > self.deadline_us for slate in slates]
        ranked = np.array([slate.rung in RANKED for slate in slates])
        columns[:, FALLEN] = ~ranked
        scores = joined(slates, "scores", np.float32, shown)
        columns[:, PROMISED] = np.where(ranked, np.bincount(place, 1 / (1 + np.exp(-np.clip(scores, -50, 50))), n), 0)
        chances = joined(slates, "propensities", np.float32, shown)
        self.left_out.odd += int(np.count_nonzero(np.bincount(place, ~((chances > 0) & (chances <= 1 + 1e-6)), n)))
        if self.codes is not None and len(self.codes):
            numbers = joined(slates, "item_numbers", np.uint32, shown).astype(np.int64)
            codes = np.where(numbers < len(self.codes), self.codes[np.minimum(numbers, len(self.codes) - 1)], 0)
            columns[:, DISTINCT] = np.bincount(np.unique(place * (int(self.codes.max()) + 1) + codes) // (int(self.codes.max()) + 1), minlength=n)
            columns[:, PLACES] = shown
        scenario = FIRST_SCENARIO + 2 * np.array([self.scenarios.get(slate.scenario, 0) for slate in slates])
        columns[np.arange(n), scenario + 1] = shown
        np.add.at(self.sums, rows, columns)

    def row(self, slate: Slate, arm: int) -> int:
        """The row of a slate's user, who stays in the arm and the segment of their first one; somebody unknown is a user of one request."""
        user = keyed(slate.user) if slate.user else 0
        row = self.users.get(user) if user else None
        if row is None:
            row = self.n
            self.n += 1
            if user:
                self.users[user] = row
            if row == len(self.arms):
                self.grow()
            self.arms[row] = arm
            segment = f"{self.attribute} = {slate.segment}" if slate.segment else NEW
            self.segment[row] = self.segments.setdefault(segment, len(self.segments))
        return row

    def grow(self) -> None:
        for name in ("sums", "arms", "segment", "seen"):
            held = getattr(self, name)
            setattr(self, name, np.concatenate([held, np.zeros_like(held)]))

    def positive(self, event: Event) -> bool:
        if event.type not in self.weights:
            return False
        least = self.weights[event.type]
        return least is None or (event.value or 0.0) >= least

    def reward(self, key: int, item: bytes, received_at: int) -> None:
        given = self.given.get(key)
        if given is None:
            self.early.setdefault(key, (received_at, []))[1].append(item)
            return
        if received_at - given.at > self.mature_us:
            self.left_out.expired += 1
            return
        place = given.items.find(item)
        while place % 4 and place >= 0:
            place = given.items.find(item, place + 1)
        if place < 0:
            self.left_out.not_shown += 1
        elif given.rewarded >> (place // 4) & 1:
            self.left_out.repeated += 1
        elif self.arms[given.row] >= 0:
            given.rewarded |= 1 << (place // 4)
            self.sums[given.row, CLICKS] += 1
            self.sums[given.row, SECOND_CLICKS] += bool(given.teams) and given.teams[place // 4]
            self.sums[given.row, FIRST_SCENARIO + 2 * given.scenario] += 1

    def erase(self, user: str) -> None:
        """Leaves nothing of a user in any sum."""
        row = self.users.pop(keyed(user), None)
        if row is not None:
            self.arms[row], self.sums[row], self.seen[row] = -1, 0, 0
            self.given = {key: given for key, given in self.given.items() if given.row != row}
            self.erased += 1

    def forget(self, now: int) -> None:
        """Lets go of slates whose rewards would come too late, and of rewards whose slates did not come."""
        while self.given and (first := next(iter(self.given.items())))[1].at < now - 2 * self.mature_us:
            del self.given[first[0]]
        while self.early and (oldest := next(iter(self.early.items())))[1][0] < now - EARLY_US:
            self.left_out.unknown += len(oldest[1][1])
            del self.early[oldest[0]]

    # Read-outs.

    def evidence(self, name: str) -> ArmEvidence:
        """What one arm did and got. Cost: 1 ms for 10,000 users."""
        mine = np.flatnonzero(self.arms[: self.n] == self.names.index(name))
        sums, segment = self.sums[mine], self.segment[mine]
        guards = {guard: moments(sums, *columns) for guard, columns in RATES.items() if self.codes is not None or guard != "diversity"}
        named = {name: moments(sums[segment == code], CLICKS, SHOWN) for name, code in self.segments.items()}
        for scenario, place in self.scenarios.items():
            first = FIRST_SCENARIO + 2 * place
            named[f"scenario {scenario}"] = moments(sums[sums[:, first + 1] > 0], first, first + 1)
        whole = moments(sums, CLICKS, SHOWN)
        segments = {name: found for name, found in named.items() if 0 < found.impressions < whole.impressions}
        return ArmEvidence(slates=int(sums[:, SLATES].sum()), users=len(mine), reward=whole, guards=guards, segments=segments)

    def reward_of(self, name: str) -> Moments:
        """Clicks and items shown of one arm."""
        return moments(self.sums[np.flatnonzero(self.arms[: self.n] == self.names.index(name))], CLICKS, SHOWN)

    def teams(self) -> list[Moments]:
        """Clicks and items shown of the two teams of interleaved slates."""
        sums = self.sums[np.flatnonzero(self.arms[: self.n] == 0)]
        second = moments(sums, SECOND_CLICKS, SECOND_SHOWN)
        return [Moments.of(sums[:, CLICKS] - sums[:, SECOND_CLICKS], sums[:, SHOWN] - sums[:, SECOND_SHOWN]), second]

    def silent(self, name: str, other: str) -> int:
        """Users of the other arm who were answered since this arm's newest slate."""
        theirs = self.arms[: self.n] == self.names.index(other)
        return int(np.count_nonzero(theirs & (self.seen[: self.n] > self.newest[self.names.index(name)])))


def moments(sums: NDArray[np.float64], counted: int, over: int) -> Moments:
    return Moments.of(sums[:, counted], sums[:, over])


def joined(slates: Sequence[Slate], name: str, kind: Any, shown: NDArray[np.int64]) -> NDArray[Any]:
    """One column of all slates' items; what is missing in one is NaN or 0."""
    width = np.dtype(kind).itemsize
    pieces = [getattr(slate, name) for slate in slates]
    whole = [
        piece if len(piece) == width * k else np.full(k, np.nan if kind is np.float32 else 0, kind).tobytes() for piece, k in zip(pieces, shown, strict=True)
    ]
    return np.frombuffer(b"".join(whole), kind)


def keyed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def short(item: str) -> bytes:
    """4 bytes of an item's id: of the few items of one slate no two have the same, but once in 10^8 slates."""
    return crc32(item.encode()).to_bytes(4, "big")


def offset_at(log: EventReader, at: int) -> tuple[int, int]:
    """The last offset received before a moment, and when the first after it was received (0 = there is none). Cost: about 20 reads."""
    low, high, found = 0, log.end(), 0
    while low < high:
        middle = (low + high) // 2
        batch = next(iter(log.read(middle, 1)), None)
        if batch is None or batch.received_at >= at:
            high, found = middle, batch.received_at if batch else found
        else:
            low = max(middle + 1, batch.last)
    return high, found


def recent(log: EventReader, now: int, span_us: int, most: int) -> int:
    """How many slates the log received in the time before now, counted up to `most`."""
    n = 0
    for batch in batches(log, frozenset({Kind.SLATES}), offset_at(log, now - span_us)[0]):
        n += len(batch.records)
        if n >= most:
            break
    return n
