"""Claim off_policy: whether what logged answers say of another policy holds the truth, and whether nothing is said where they cannot know.

Logs are made by the slate that serves: 5 of 20 candidates by softmax, with the chances it states; the other policy ranks with less noise, so it is better by
a known figure. Near-greedy logs show the best three by turns. On the Open Bandit sample, items shown at random are asked what Thompson sampling would have
earned, which its own log says.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import polars as pl
from claims import report
from numpy.typing import NDArray

from vernal.evaluation.offpolicy import Opinion, Shown, opinion
from vernal.ranking.slate import Offer, Policy, chances, compose

LOGS, FIRST_SEED = 100, 70_000  # bounds and widths were chosen on seeds below 1,000
SHOWN, SLOTS, CANDIDATES, ITEMS = 50_000, 5, 20, 100
SEGMENTS, USERS, DRAWS = 50, 5_000, 1_000
NOISE = (0.9, 0.2)  # of the scores, in log-odds: of the policy that answered, of the other
NONE = np.empty(0, np.int32)
OBD = Path(__file__).resolve().parents[2] / "shared" / "data" / "obd"
POSITIONS = 3


class Log(NamedTuple):
    shown: Shown
    truth: float


def logged(seed: int, temperature: float, head: int) -> Log:
    """A log of users of several tastes, who come back and click at rates of their own, and the uplift of the other policy."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, 0.5, ITEMS) + rng.normal(0, 0.7, (SEGMENTS, ITEMS)) - 4.0
    found = np.argsort(quality + rng.normal(0, 0.8, quality.shape), axis=1)[:, -CANDIDATES:]  # (SEGMENTS, CANDIDATES) by a retriever
    quality = np.take_along_axis(quality, found, axis=1)
    scores = [quality + rng.normal(0, noise, quality.shape) for noise in NOISE]
    policies = [Policy(SLOTS, temperature, head, 0.0, 0.0, seed), Policy(SLOTS, 1.0, CANDIDATES, 0.0, 0.0, seed)]
    ours, theirs = (np.array([chances(offer(row), policy, DRAWS) for row in of]) for of, policy in zip(scores, policies, strict=True))
    look = 1 / np.log2(2 + np.arange(SLOTS))
    rate = look[:, None] / (1 + np.exp(-quality))[:, None, :]  # (SEGMENTS, SLOTS, CANDIDATES)
    kind, heat = rng.integers(0, SEGMENTS, USERS), rng.gamma(4, 0.25, USERS)
    weight = np.bincount(kind, heat, SEGMENTS)
    truth = float(weight @ (theirs * rate).sum(axis=(1, 2)) / (weight @ (ours * rate).sum(axis=(1, 2)))) - 1
    user = rng.integers(0, USERS, SHOWN // SLOTS)
    segment, seeds = kind[user], rng.integers(0, 2**63, len(user)).tolist()
    chosen = np.array([compose(offer(scores[0][of]), policies[0]._replace(seed=each)).chosen for of, each in zip(segment, seeds, strict=True)])
    at = (segment[:, None], np.arange(SLOTS)[None], chosen)
    reward = rng.random(chosen.shape) < np.minimum(rate[at] * heat[user][:, None], 1)
    features = described(scores, look)
    shift = np.einsum("skn,sknf->skf", theirs - ours, features)[segment]
    outside = (theirs * (ours <= 0)).sum(axis=2)[segment]
    flat = [column.reshape(-1).astype(np.float64) for column in (reward, ours[at], theirs[at], outside)]
    return Log(Shown(np.repeat(user, SLOTS), *flat, features[at].reshape(reward.size, -1), shift.reshape(reward.size, -1)), truth)


def offer(score: NDArray[np.float64]) -> Offer:
    """All candidates, none of them fresh, no rule."""
    n = len(score)
    return Offer(np.arange(n, dtype=np.int32), score, np.ones(n, np.uint8), np.zeros(n, np.uint8), np.zeros((n, 2)), np.zeros((n, 0, 4), np.int32), NONE, NONE)


def described(scores: list[NDArray[np.float64]], look: NDArray[np.float64]) -> NDArray[np.float64]:
    """(SEGMENTS, SLOTS, CANDIDATES, 5) what the model of rewards reads: place, and what both policies promise there."""
    promised = [1 / (1 + np.exp(-score))[:, None, :] for score in scores]
    place = np.broadcast_to(look[:, None], (SEGMENTS, SLOTS, CANDIDATES))
    return np.stack([place, *(np.broadcast_to(each, place.shape) for each in promised), *(place * each for each in promised)], axis=-1)


def bandit(campaign: str) -> tuple[Opinion, float]:
    """What rows shown at random say of Thompson sampling, and what its own rows say; it looks at nothing but item and position."""
    rows = pl.read_parquet(OBD / f"{campaign}_impressions.parquet")
    random, thompson = (rows.filter(pl.col("policy") == name) for name in ("random", "bts"))
    n_items = int(rows["item_id"].max()) + 1
    policy = np.zeros((POSITIONS, n_items))
    stated = thompson.group_by("position", "item_id").agg(pl.col("propensity").mean())
    policy[stated["position"].to_numpy() - 1, stated["item_id"].to_numpy()] = stated["propensity"].to_numpy()
    policy /= policy.sum(axis=1, keepdims=True)
    position, item, logging = random["position"].to_numpy() - 1, random["item_id"].to_numpy(), random["propensity"].to_numpy()
    features = np.concatenate([np.eye(n_items)[item], np.eye(POSITIONS)[position]], axis=1)
    shift = np.concatenate([policy - 1 / n_items, np.zeros((POSITIONS, POSITIONS))], axis=1)[position]
    reward, n = random["click"].to_numpy().astype(np.float64), len(random)
    shown = Shown(np.arange(n), reward, logging.astype(np.float64), policy[position, item], np.zeros(n), features, shift)
    return opinion(shown), float(thompson["click"].mean() / random["click"].mean()) - 1


def run() -> dict[str, Any]:
    found = [(opinion(log.shown), log.truth) for log in (logged(FIRST_SEED + seed, 1.0, CANDIDATES) for seed in range(LOGS))]
    told = [(each, truth) for each, truth in found if each.uplift]
    held = {name: sum(each.uplift[name].low <= truth <= each.uplift[name].high for each, truth in told) for name in told[0][0].uplift}
    greedy = sum(opinion(logged(FIRST_SEED + seed, 0.2, 3).shown).says == "cannot say" for seed in range(LOGS))
    bandits = {campaign: bandit(campaign) for campaign in ("all", "men")}
    inside = [name for name, (each, truth) in bandits.items() if each.uplift and each.uplift["doubly robust"].low <= truth <= each.uplift["doubly robust"].high]
    undecided = [name for name, (each, _) in bandits.items() if each.says in ("undecided", "cannot say")]
    widths = [each.uplift["doubly robust"].high - each.uplift["doubly robust"].low for each, _ in told]
    report(
        "off_policy",
        bar="the true uplift is inside the 95 % interval of at least 90 of 100 logs of 50,000 items shown by top-20 softmax; near-greedy logs: cannot say; "
        "the Open Bandit sample: the truth inside, and 10,000 rows do not decide",
        measured={
            "truth inside, of 100 logs": held["doubly robust"],
            "cannot say, of 100 near-greedy logs": greedy,
            "Open Bandit campaigns of 2 with the truth inside": len(inside),
            "Open Bandit campaigns of 2 it does not decide": len(undecided),
        },
        unit="",
        holds=held["doubly robust"] >= 0.9 * LOGS and greedy == LOGS and len(inside) == len(undecided) == len(bandits),
        baselines={
            "truth inside, inverse propensity": held["inverse propensity"],
            "truth inside, self-normalised": held["self-normalised"],
            "logs of 100 with a better policy found better": sum(each.says == "better" for each, _ in told),
            "true uplift, median": float(np.median([truth for _, truth in told])),
            "width of the interval, median": float(np.median(widths)),
            **{f"Open Bandit, {name}": f"{each.sentence}; its own log: {100 * truth:+.0f} %" for name, (each, truth) in bandits.items()},
        },
        seeds=[FIRST_SEED, FIRST_SEED + LOGS - 1],
        notes="seeds from the first to the last named. 5,000 users of 50 tastes, 5 of 20 candidates in each slate, CTR 4 %; chances of an item at a position "
        f"are as the mean over {DRAWS:,} slates. Both policies choose among the same candidates; near-greedy: the best three at temperature .2. "
        "Of the Open Bandit sample the truth is itself an estimate, from 10,000 rows.",
    )
    return {"told": told, "bandits": bandits}


if __name__ == "__main__":
    run()
