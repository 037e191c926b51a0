"""What is true in a simulated world: who likes what, when, and whether they look.

In: numbers of people and items, or a log to fit them on. Out: `Nature`, flat arrays that the kernels read. The log-odds of a click, once an item is looked at:

    habit of the user + quality of the item + taste(time) . item + the hour's favour for its category + what is new - fatigue + what goes wrong just then

A taste turns slowly from one vector to another and back, so it is known at every moment without being kept. Whether an item is looked at is the click model:
`position` looks at each place by itself, `cascade` goes down the slate and gives up or has enough, `affinity` is `position` on tastes fitted on a log, with
people who click more and less than others.
"""

import math
from typing import Final, Literal, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from msgspec import Struct
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import Catalogue, History
from vernal.terms import DAY_S, HOUR_S

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Family = Literal["cascade", "position", "affinity"]
CASCADE: Final = "cascade"
RING = 256  # showings and choices remembered per person
CHOSEN_WEIGHT = 4.0  # what was chosen tires as much as so many showings


class Habits(Struct, frozen=True, kw_only=True):
    """How people and items are; log-odds unless a unit is given. Chosen so that a random item is clicked by about 1 % of those who look at it."""

    family: Family = "position"
    base: float = -4.8
    quality: float = 0.7  # standard deviation over items
    affinity: float = 1.2  # standard deviation of taste . item over pairs
    turn_days: float = 90.0  # a taste has gone from one vector to the other; 0 = it stays
    season: float = 0.5  # the hour's favour for a category, at its best hour
    novelty: float = 0.8  # what a new item has at first
    novelty_days: float = 3.0  # half-life of that
    fatigue: float = 0.35  # for each showing
    fatigue_days: float = 1.0  # half-life of that
    bias: float = 0.7  # places are looked at with (1 + place) ** -bias
    patience: float = 0.92  # cascade: goes on after an item that was not clicked
    after_click: float = 0.6  # cascade: goes on after a click
    habit: float = 0.0  # standard deviation over people
    dim: int = 8  # of tastes


class Nature(NamedTuple):
    """Everything true, as arrays. u people, i items, c categories, d dimensions."""

    taste: F32  # (u, 2, d) between which a taste turns
    turn: F32  # (u, 2) radians a day, radians at day 0
    habit: F32  # (u,)
    vector: F32  # (i, d)
    quality: F32  # (i,)
    born: I64  # (i,) UTC s
    category: I32  # (i,)
    peak: F32  # (c,) UTC hour
    numbers: F64  # those of NUMBERS
    # What goes wrong, and when: m lifts of items, s shifts of tastes.
    lifted: I64  # (m, 2) [begin, end) UTC s
    lift: F32  # (m, i)
    shifted: I64  # (s, 2)
    other: I32  # (s, u) whose taste each person has then


NUMBERS = ("base", "season", "novelty", "novelty_days", "fatigue", "fatigue_days", "bias", "patience", "after_click")
BASE, SEASON, NOVELTY, NOVELTY_DAYS, FATIGUE, FATIGUE_DAYS, BIAS, PATIENCE, AFTER_CLICK = range(len(NUMBERS))


class Memory(NamedTuple):
    """What people were shown and chose lately, newest over oldest."""

    item: I32  # (u, RING) -1 = none
    day: F32  # (u, RING) days since the world began
    weight: F32  # (u, RING)
    next: I32  # (u,)

    @classmethod
    def of(cls, people: int) -> "Memory":
        shape = (people, RING)
        return cls(np.full(shape, -1, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(people, np.int32))


def invented(habits: Habits, people: int, category: I32, born: I64, draw: np.random.Generator) -> Nature:
    """A nature out of nothing: categories with a direction each, items about theirs, people drawn to a few."""
    n_categories, d = int(category.max()) + 1, habits.dim
    centre = draw.normal(size=(n_categories, d))
    vector = 0.75 * centre[category] + 0.66 * draw.normal(size=(len(category), d))
    liked = draw.dirichlet(np.full(n_categories, 0.15), (people, 2))  # few categories each
    taste = liked @ centre + 0.5 * draw.normal(size=(people, 2, d))
    scale = habits.affinity / float((taste[:, 0] @ vector[: min(len(vector), 2_000)].T).std())
    turning = np.zeros((people, 2))
    if habits.turn_days:
        turning[:, 0] = draw.choice([-1, 1], people) * math.pi / 2 / habits.turn_days
        turning[:, 1] = draw.random(people) * 2 * math.pi
    return natural(habits, scale * taste, turning, vector, draw.normal(0, habits.quality, len(category)), born, category, draw)


def fitted(habits: Habits, history: History, catalogue: Catalogue, draw: np.random.Generator) -> Nature:
    """A nature that a log shows: tastes by truncated SVD of who chose what, all of it, and quality by how often.

    No part of the platform is of this kind. The people and items are those of the history; the category of an item is its first attribute's value.

    Source: Cremonesi, Koren and Turrin, "Performance of recommender algorithms on top-n recommendation tasks" (2010), PureSVD.
    """
    shape = (len(history.users), history.n_items)
    chosen = scipy.sparse.csr_matrix((np.ones(len(history), np.float64), (history.user, history.item)), shape)
    chosen.data[:] = 1.0
    often = np.asarray(chosen.sum(axis=0)).ravel() + 1.0
    evened = chosen @ scipy.sparse.diags(often**-0.25)  # so that tastes are more than popularity
    _, _, right = scipy.sparse.linalg.svds(evened, habits.dim + 1, v0=np.ones(min(shape)) / math.sqrt(min(shape)))
    vector, taste = right[:-1].T, evened @ right[:-1].T  # the strongest is popularity again: quality has it
    vector /= np.linalg.norm(vector, axis=1, keepdims=True) + 1e-3
    taste /= np.linalg.norm(taste, axis=1, keepdims=True) + 1e-9
    scale = habits.affinity / float((taste[:2_000] @ vector[:2_000].T).std())
    quality = habits.quality * (np.log(often) - np.log(often).mean()) / np.log(often).std()
    category = np.maximum(catalogue.attributes[: shape[1], 0, 0], 0).astype(np.int32)
    return natural(habits, scale * np.stack([taste, taste], axis=1), np.zeros((shape[0], 2)), vector, quality, np.zeros(shape[1], np.int64), category, draw)


def natural(habits: Habits, taste: F64, turn: F64, vector: F64, quality: F64, born: I64, category: I32, draw: np.random.Generator) -> Nature:
    """The arrays with what every nature has, and nothing wrong yet."""
    people, items = len(taste), len(vector)
    return Nature(
        taste=taste.astype(np.float32),
        turn=turn.astype(np.float32),
        habit=draw.normal(0, habits.habit, people).astype(np.float32),
        vector=np.ascontiguousarray(vector, np.float32),
        quality=quality.astype(np.float32),
        born=born,
        category=category,
        peak=draw.integers(0, 24, int(category.max()) + 1).astype(np.float32),
        numbers=np.array([getattr(habits, name) for name in NUMBERS]),
        lifted=np.empty((0, 2), np.int64),
        lift=np.empty((0, items), np.float32),
        shifted=np.empty((0, 2), np.int64),
        other=np.empty((0, people), np.int32),
    )


@njit(cache=True, nogil=True)
def taste_of(nature: Nature, user: int, at_s: int, out: F32) -> None:
    """A person's taste at a moment into `out` (d,)."""
    who = user
    for s in range(len(nature.shifted)):
        if nature.shifted[s, 0] <= at_s < nature.shifted[s, 1]:
            who = nature.other[s, user]
    angle = nature.turn[who, 1] + nature.turn[who, 0] * (at_s / DAY_S)
    a, b = (np.cos(angle), np.sin(angle)) if nature.turn[who, 0] != 0 else (1.0, 0.0)
    for k in range(len(out)):
        out[k] = a * nature.taste[who, 0, k] + b * nature.taste[who, 1, k]


@njit(cache=True, nogil=True)
def liking(nature: Nature, user: int, at_s: int, taste: F32, item: int) -> float:
    """Log-odds of a click on an item that is looked at, by somebody who was not shown it lately."""
    p = nature.numbers
    hour = at_s % DAY_S / HOUR_S
    z = p[BASE] + nature.habit[user] + nature.quality[item] + p[SEASON] * np.cos(2 * np.pi * (hour - nature.peak[nature.category[item]]) / 24)
    for k in range(len(taste)):
        z += taste[k] * nature.vector[item, k]
    if nature.born[item] > 0:
        z += p[NOVELTY] * 2.0 ** (-max(0.0, (at_s - nature.born[item]) / DAY_S) / p[NOVELTY_DAYS])
    for m in range(len(nature.lifted)):
        if nature.lifted[m, 0] <= at_s < nature.lifted[m, 1]:
            z += nature.lift[m, item]
    return z


@njit(cache=True, nogil=True)
def tired(nature: Nature, memory: Memory, user: int, day: float, r: int) -> float:
    """What the r-th thing a person remembers takes from the log-odds of its item."""
    return nature.numbers[FATIGUE] * memory.weight[user, r] * 2.0 ** (-max(0.0, day - memory.day[user, r]) / nature.numbers[FATIGUE_DAYS])


@njit(cache=True, nogil=True)
def log_odds(nature: Nature, memory: Memory, user: int, at_s: int, day: float, taste: F32, item: int) -> float:
    """Of a click on an item that is looked at."""
    z = liking(nature, user, at_s, taste, item)
    for r in range(memory.item.shape[1]):
        if memory.item[user, r] == item:
            z -= tired(nature, memory, user, day, r)
    return z


@njit(cache=True, nogil=True)
def chance_of(z: float) -> float:
    return 1 / (1 + np.exp(-z))


@njit(cache=True, nogil=True)
def remember(memory: Memory, user: int, item: int, day: float, weight: float) -> None:
    at = memory.next[user]
    memory.item[user, at], memory.day[user, at], memory.weight[user, at] = item, day, weight
    memory.next[user] = (at + 1) % memory.item.shape[1]


@njit(cache=True, nogil=True)
def expected_clicks(nature: Nature, memory: Memory, cascade: bool, user: I32, at_s: I64, day: F64, slates: I32) -> F64:
    """(n,) true expected clicks of each slate (n, k), -1 padded, shown to this person at this moment, as things stand now."""
    out, taste = np.zeros(len(user)), np.empty(nature.vector.shape[1], np.float32)
    for r in range(len(user)):
        taste_of(nature, user[r], at_s[r], taste)
        reach = 1.0
        for place in range(slates.shape[1]):
            item = slates[r, place]
            if item < 0:
                break
            a = chance_of(log_odds(nature, memory, user[r], at_s[r], day[r], taste, item))
            if cascade:
                out[r] += reach * a
                reach *= a * nature.numbers[AFTER_CLICK] + (1 - a) * nature.numbers[PATIENCE]
            else:
                out[r] += a * (1.0 + place) ** -nature.numbers[BIAS]
    return out


@njit(cache=True, nogil=True)
def look(nature: Nature, memory: Memory, cascade: bool, user: I32, at_s: I64, day: F64, slates: I32, draws: F32, clicked: NDArray[np.uint8]) -> None:
    """What each slate's person clicks, one slate after another, into `clicked` (n, k); they remember what they were shown.

    draws : (n, k, 2) uniform: whether the place is looked at or left, whether the item is clicked
    """
    taste = np.empty(nature.vector.shape[1], np.float32)
    for r in range(len(user)):
        taste_of(nature, user[r], at_s[r], taste)
        looking = True
        for place in range(slates.shape[1]):
            item = slates[r, place]
            if item < 0:
                break
            a = chance_of(log_odds(nature, memory, user[r], at_s[r], day[r], taste, item))
            looks = looking if cascade else draws[r, place, 0] < (1.0 + place) ** -nature.numbers[BIAS]
            clicked[r, place] = looks and draws[r, place, 1] < a
            if cascade and looking:
                looking = draws[r, place, 0] < (nature.numbers[AFTER_CLICK] if clicked[r, place] else nature.numbers[PATIENCE])
        for place in range(slates.shape[1]):
            if slates[r, place] >= 0:
                remember(memory, user[r], slates[r, place], day[r], CHOSEN_WEIGHT if clicked[r, place] else 1.0)


@njit(cache=True, nogil=True)
def odds_of_all(nature: Nature, memory: Memory, user: int, at_s: int, day: float, out: F64) -> None:
    """Log-odds of every item for a person at a moment, -inf for what is not there yet, into `out` (i,)."""
    taste = np.empty(nature.vector.shape[1], np.float32)
    taste_of(nature, user, at_s, taste)
    for item in range(len(out)):
        out[item] = liking(nature, user, at_s, taste, item) if nature.born[item] <= at_s else -np.inf
    for r in range(memory.item.shape[1]):
        if memory.item[user, r] >= 0:
            out[memory.item[user, r]] -= tired(nature, memory, user, day, r)


@njit(cache=True, nogil=True)
def come_for(nature: Nature, memory: Memory, user: I32, at_s: I64, day: F64, draws: F32, chosen: I32) -> None:
    """What each person comes for by themselves, in proportion to the odds, into `chosen` (n,); they remember it. draws : (n,) uniform."""
    odds = np.empty(len(nature.quality))
    for r in range(len(user)):
        odds_of_all(nature, memory, user[r], at_s[r], day[r], odds)
        most, total = odds.max(), 0.0
        for i in range(len(odds)):
            odds[i] = np.exp(odds[i] - most)
            total += odds[i]
        left = draws[r] * total
        chosen[r] = len(odds) - 1
        for i in range(len(odds)):
            left -= odds[i]
            if left < 0:
                chosen[r] = i
                break
        remember(memory, user[r], chosen[r], day[r], CHOSEN_WEIGHT)
