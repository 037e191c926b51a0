"""The slate: which candidates are placed, in which order, with which probability.

In: candidates with a utility (log-odds), what the rules say of each, and a seed. Out: positions in the candidate list with the exact
probability of each placement given those before it. Laws, each property-tested: no item twice; every rule holds at every position; the
probabilities are those of the sampler; the same input gives the same bytes.

At each position the `head` is the best `explore_head` candidates still allowed. With temperature 0 the best of the head is placed; above it,
the head is sampled by a softmax (Plackett-Luce). With probability `explore_share` the slot goes instead to a fresh item by Thompson sampling: each of
those still allowed, of the best `explore_head` at the beginning, with the probability that its rate of clicks is the highest of theirs. Those
probabilities are summed up on a grid and drawn from as they are, so propensities are exact. Both ways to the same item add up in its propensity.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]

RANKED, FRESH, PINNED = 0, 1, 2  # what put an item at its position
# Rates of clicks that are told apart: log-odds from 1 in 8,000 to 0.95, in steps finer than what 100 showings can tell.
RATES = 1 / (1 + np.exp(-np.linspace(-9.0, 3.0, 64)))
LOG_TAKEN, LOG_LEFT = np.log(RATES), np.log(1 - RATES)
LEAST_BELOW = 1e-6
UNCOUNTED = np.empty((0, 0))


class Offer(NamedTuple):
    """n candidates as the slate sees them."""

    item: Ints  # (n,) item numbers
    utility: Floats  # (n,) log-odds with the boosts added; -inf is never placed
    allowed: Flags  # (n,) 0 = a rule forbids it
    fresh: Flags  # (n,) 1 = may take an exploration slot
    evidence: Floats  # (n, 2) clicks and other showings, as many as what was believed before is worth and those since; read where fresh
    codes: Ints  # (n, n_attributes, SLOTS) attribute codes, 0 = none
    caps: Ints  # (n_attributes,) at most so many items with one value; 0 = no cap
    pinned: Ints  # (m,) candidate indices placed first, in this order, as far as the rules allow


class Policy(NamedTuple):
    """How to choose; see config.Scenario."""

    k: int  # slots
    temperature: float
    head: int
    fresh_share: float
    diversity: float
    seed: int  # 64 bits


class Slate(NamedTuple):
    """Up to k placements."""

    chosen: Ints  # (m,) positions in the candidate list
    propensity: NDArray[np.float32]  # (m,) P(this item here | the positions before)
    why: Flags  # (m,) RANKED, FRESH or PINNED


def compose(offer: Offer, policy: Policy) -> Slate:
    """The slate of an offer. Shorter than k when the rules leave fewer.

    Cost: 8 us at 300 candidates and k = 20; with diversity and exploration 30 us.

    Source
    ------
    Plackett, "The analysis of permutations" (1975); Carbonell and Goldstein, "The use of MMR" (1998); Thompson, "On the likelihood that one unknown
    probability exceeds another" (1933).
    """
    keys = np.empty(len(offer.item), np.uint64)
    sort_keys(offer.utility, keys)
    keys.sort()  # 2 us where argsort takes 15 and lexsort 18
    slate = Slate(np.empty(policy.k, np.int32), np.empty(policy.k, np.float32), np.empty(policy.k, np.uint8))
    placed = fill(keys, *offer, *policy[:-1], np.uint64(policy.seed & 0xFFFFFFFFFFFFFFFF), *slate, UNCOUNTED)
    return slate if placed == policy.k else Slate(slate.chosen[:placed], slate.propensity[:placed], slate.why[:placed])


def chances(offer: Offer, policy: Policy, draws: int) -> Floats:
    """(k, n) chance of each candidate at each position, whatever stands before it: the mean over so many slates of what their positions gave to each.

    Exact where only one slate is possible, and at the first position. Cost: that of `compose`, for each draw.
    """
    keys, k = np.empty(len(offer.item), np.uint64), policy.k
    sort_keys(offer.utility, keys)
    keys.sort()
    spread, slate = np.zeros((k, len(offer.item))), Slate(np.empty(k, np.int32), np.empty(k, np.float32), np.empty(k, np.uint8))
    certain = policy.temperature == 0 and policy.fresh_share == 0
    draws = 1 if certain or k == 1 else draws
    for draw in range(draws):
        fill(keys, *offer, *policy[:-1], np.uint64((policy.seed + draw * 0xD1342543DE82EF95) & 0xFFFFFFFFFFFFFFFF), *slate, spread)
    return spread / draws


@njit(nogil=True, cache=True)
def sort_keys(utility: Floats, keys: NDArray[np.uint64]) -> None:
    """Fills `keys` with numbers that ascend as the utilities, rounded to float32, descend; the position is in the low half."""
    bits = utility.astype(np.float32).view(np.uint32)
    for i in range(len(utility)):
        high = bits[i] if bits[i] >> 31 else np.uint32(~bits[i] & 0x7FFFFFFF)
        keys[i] = (np.uint64(high) << np.uint64(32)) | np.uint64(i)


@njit(nogil=True, cache=True)
def settled(keys: NDArray[np.uint64], utility: Floats, item: Ints) -> Ints:
    """Positions by descending utility, equal ones by item number; one pass over keys that are nearly in order."""
    order = np.empty(len(keys), np.int32)
    for at in range(len(keys)):
        i = int(keys[at] & np.uint64(0xFFFFFFFF))
        moved = at
        while moved > 0 and better(i, order[moved - 1], utility, item):
            order[moved] = order[moved - 1]
            moved -= 1
        order[moved] = i
    return order


@njit(nogil=True, cache=True)
def better(i: int, j: int, utility: Floats, item: Ints) -> bool:
    return utility[i] > utility[j] or (utility[i] == utility[j] and item[i] < item[j])


@njit(nogil=True, cache=True)
def fill(
    keys: NDArray[np.uint64], item: Ints, utility: Floats, allowed: Flags, fresh: Flags, evidence: Floats, codes: Ints, caps: Ints, pinned: Ints,
    k: int, temperature: float, head: int, fresh_share: float, diversity: float, seed: np.uint64,
    index: Ints, propensity: NDArray[np.float32], why: Flags, spread: Floats,
) -> int:  # fmt: skip
    """Slots one after another, from sorted keys into index, propensity and why (k,); returns the number placed.

    Adds to `spread`, (k, n) or empty, the chance that each candidate had at each position.
    """
    order = settled(keys, utility, item)
    open_, closeness, compared = opened(utility, allowed), np.zeros(len(item)), np.zeros(len(item), np.int32)
    pool, value, chance = np.empty(head, np.int32), np.empty(head), np.empty(head)
    placed = 0
    for pin in pinned:
        if placed < k and open_[pin]:
            index[placed], propensity[placed], why[placed] = pin, 1.0, PINNED
            if len(spread):
                spread[placed, pin] += 1.0
            placed += 1
            close(open_, pin, item, codes, caps, index[:placed])
    new = np.empty(head if fresh_share > 0 else 0, np.int32)
    new = new[: gather(order, open_ & fresh, len(new), new)] if len(new) else new
    mass, below, best = np.empty((len(new), len(RATES))), np.empty((len(new), len(RATES))), np.empty(len(new))
    for f in range(len(new)):
        believe(evidence[new[f]], mass[f], below[f])
    while placed < k:
        n_head = gather(order, open_, head, pool)
        if n_head == 0:
            break
        head_values(pool[:n_head], value, utility, diversity, codes, closeness, compared, index[:placed])
        soften(value[:n_head], temperature, chance)
        share = fresh_share if highest(new, open_, mass, below, best) else 0.0
        exploring = uniform(seed, 2 * placed) < share
        draw = uniform(seed, 2 * placed + 1)
        chosen = new[sampled(best, draw)] if exploring else pool[sampled(chance[:n_head], draw)]
        index[placed], why[placed] = chosen, FRESH if exploring else RANKED
        propensity[placed] = (1 - share) * held(chosen, pool[:n_head], chance) + share * held(chosen, new, best)
        if len(spread):
            for h in range(n_head):
                spread[placed, pool[h]] += (1 - share) * chance[h]
            for f in range(len(new) if share > 0 else 0):
                spread[placed, new[f]] += share * best[f]
        placed += 1
        close(open_, chosen, item, codes, caps, index[:placed])
    return placed


@njit(nogil=True, cache=True)
def opened(utility: Floats, allowed: Flags) -> Flags:
    """1 for every candidate that may be placed at all; NaN and -inf may not."""
    open_ = np.zeros(len(utility), np.uint8)
    for i in range(len(utility)):
        open_[i] = allowed[i] != 0 and utility[i] > -np.inf
    return open_


@njit(nogil=True, cache=True)
def close(open_: Flags, chosen: int, item: Ints, codes: Ints, caps: Ints, placed: Ints) -> None:
    """Closes what may not follow: the same item, and every item with a value that has reached its cap."""
    for i in range(len(item)):
        if item[i] == item[chosen]:
            open_[i] = 0
    for a in range(len(caps)):
        for slot in range(codes.shape[2]):
            code = codes[chosen, a, slot]
            if caps[a] > 0 and code != 0 and holders(codes, a, code, placed) >= caps[a]:
                for i in range(len(item)):
                    if has_code(codes, i, a, code):
                        open_[i] = 0


@njit(nogil=True, cache=True)
def has_code(codes: Ints, i: int, a: int, code: int) -> bool:
    found = False
    for slot in range(codes.shape[2]):
        found |= codes[i, a, slot] == code
    return found


@njit(nogil=True, cache=True)
def holders(codes: Ints, a: int, code: int, placed: Ints) -> int:
    """How many placed items have the value."""
    n = 0
    for i in placed:
        n += has_code(codes, i, a, code)
    return n


@njit(nogil=True, cache=True)
def gather(order: Ints, open_: Flags, limit: int, pool: Ints) -> int:
    """The best `limit` open candidates into `pool`, best first; returns how many."""
    n = 0
    for i in order:
        if open_[i]:
            pool[n] = i
            n += 1
            if n == limit:
                break
    return n


@njit(nogil=True, cache=True)
def head_values(pool: Ints, value: Floats, utility: Floats, diversity: float, codes: Ints, closeness: Floats, compared: Ints, placed: Ints) -> None:
    """Utilities of the head, less what they repeat of the items placed; in units of log-odds."""
    spread = utility[pool[0]] - utility[pool[-1]]
    for h in range(len(pool)):
        i = pool[h]
        value[h] = utility[i]
        if diversity > 0:
            while compared[i] < len(placed):
                closeness[i] = max(closeness[i], likeness(codes, i, placed[compared[i]]))
                compared[i] += 1
            value[h] = (1 - diversity) * utility[i] - diversity * max(spread, 1.0) * closeness[i]


@njit(nogil=True, cache=True)
def likeness(codes: Ints, i: int, j: int) -> float:
    """Share of the attributes in which two items have a value in common, 0..1."""
    common = 0
    for a in range(codes.shape[1]):
        for slot in range(codes.shape[2]):
            if codes[i, a, slot] != 0 and has_code(codes, j, a, codes[i, a, slot]):
                common += 1
                break
    return common / max(codes.shape[1], 1)


@njit(nogil=True, cache=True)
def soften(value: Floats, temperature: float, chance: Floats) -> None:
    """Softmax of value / temperature into `chance`; all mass on the first best value at temperature 0."""
    best = np.argmax(value)
    total = 0.0
    for h in range(len(value)):
        if temperature > 0:
            chance[h] = np.exp((value[h] - value[best]) / temperature)
        else:
            chance[h] = 1.0 if h == best else 0.0
        total += chance[h]
    for h in range(len(value)):
        chance[h] /= total


@njit(nogil=True, cache=True)
def sampled(chance: Floats, draw: float) -> int:
    """Where `draw` in [0, 1) falls in the cumulated chances; never a place of chance 0."""
    total, last = 0.0, 0
    for h in range(len(chance)):
        if chance[h] > 0:
            total, last = total + chance[h], h
            if draw < total:
                break
    return last


@njit(nogil=True, cache=True)
def believe(evidence: Floats, mass: Floats, below: Floats) -> None:
    """What is believed of a rate after this evidence, a beta distribution, into `mass`, the share at each of RATES, and `below`, the share below it."""
    most, total = -np.inf, 0.0
    for g in range(len(RATES)):
        mass[g] = evidence[0] * LOG_TAKEN[g] + evidence[1] * LOG_LEFT[g]  # the density over log-odds
        most = max(most, mass[g])
    for g in range(len(RATES)):
        mass[g] = np.exp(mass[g] - most)
        total += mass[g]
    under = 0.0
    for g in range(len(RATES)):
        mass[g] /= total
        below[g] = max(under + mass[g] / 2, LEAST_BELOW)
        under += mass[g]


@njit(nogil=True, cache=True)
def highest(new: Ints, open_: Flags, mass: Floats, below: Floats, best: Floats) -> bool:
    """The chance of each open fresh item that its rate is the highest of theirs, into `best`; false when none is open."""
    total = 0.0
    together = np.ones(len(RATES))
    for f in range(len(new)):
        if open_[new[f]]:
            together *= below[f]
    for f in range(len(new)):
        best[f] = 0.0
        if open_[new[f]]:
            for g in range(len(RATES)):
                best[f] += mass[f, g] * (together[g] / below[f, g])
            total += best[f]
    best /= max(total, 1e-300)
    return total > 0


@njit(nogil=True, cache=True)
def held(chosen: int, pool: Ints, chance: Floats) -> float:
    """The chance that a pool gives to an item; 0 when it is not in it."""
    for h in range(len(pool)):
        if pool[h] == chosen:
            return chance[h]
    return 0.0


@njit(nogil=True, cache=True)
def uniform(seed: np.uint64, n: int) -> float:
    """The n-th number in [0, 1) of a seed: splitmix64, 53 bits, the same on every machine.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    z = seed + np.uint64(n + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
