"""A world that drifts all the time, in which settings for such a world are chosen: what decides wanders, in calm and in stormy weeks, and jumps at times.

944 days of 48 rows. The chance of a row's outcome is logistic in 8 values whose weights take steps each day; the size of the steps has a memory of twenty
days, and a day in 120 all weights jump. A release is a logistic regression on 120 days, in which a day counts half as much as one twenty days later: it
ages somewhat faster than boosted trees do on Elec2.
"""

import numpy as np
from load.ageing import LAG, Floats, Stream

DAYS, ROWS, WIDTH = 944, 48, 8
FIRST, WINDOW, OLDEST, HALF_LIFE = 60, 120, 120, 20  # days: the first release; learned from; for which a release is asked; until it counts half
BEGIN, DELTA = 90, 0.05
STEPS = (0.06, 0.08)  # sizes of a day's step: two such worlds
REVERTING, STORMY, JUMPING, JUMP, GAIN, ROUNDS = 0.99, 0.95, 1 / 120, 0.5, 1.2, 4


def stream(seed: int, step: float) -> Stream:
    """The world of a seed, every release trained. Cost: 1 s."""
    draw = np.random.default_rng(seed)
    x, up = world(draw, step)
    loss, weights = np.full((DAYS, DAYS), np.nan), np.zeros(WIDTH + 1)
    for day in range(FIRST, DAYS):
        seen, asked = np.arange(max(day - LAG - WINDOW, 0), day - LAG), slice(day, day + OLDEST)
        counts = np.repeat(0.5 ** ((seen[-1] - seen) / HALF_LIFE), ROWS)
        weights = fitted(x[seen].reshape(-1, WIDTH + 1), up[seen].ravel(), counts, weights)
        chance = np.clip(logistic(x[asked] @ weights), 1e-6, 1 - 1e-6)
        loss[day, asked] = -np.where(up[asked] == 1, np.log(chance), np.log(1 - chance)).mean(axis=1)
    return Stream(loss, BEGIN, DELTA)


def world(draw: np.random.Generator, step: float) -> tuple[Floats, Floats]:
    """(DAYS, ROWS, WIDTH + 1) values, the last of them 1, and (DAYS, ROWS) outcomes."""
    weights, centre, storm = np.empty((DAYS, WIDTH)), np.zeros((DAYS, WIDTH)), 0.0
    weights[0] = draw.normal(0, 0.8, WIDTH)
    for day in range(1, DAYS):
        storm = STORMY * storm + draw.normal(0, np.sqrt(1 - STORMY**2))
        weights[day] = REVERTING * weights[day - 1] + draw.normal(0, step * np.exp(storm - 0.5), WIDTH)
        if draw.random() < JUMPING:
            weights[day] += draw.normal(0, JUMP, WIDTH)
    for day in range(1, DAYS):
        centre[day] = 0.98 * centre[day - 1] + draw.normal(0, 0.1, WIDTH)
    x = draw.normal(0, 1, (DAYS, ROWS, WIDTH)) + centre[:, None]
    up = draw.random((DAYS, ROWS)) < logistic(GAIN * np.einsum("dkj,dj->dk", x, weights))
    return np.concatenate([x, np.ones((DAYS, ROWS, 1))], axis=2), up.astype(np.float64)


def fitted(x: Floats, up: Floats, counts: Floats, weights: Floats) -> Floats:
    """A few Newton steps from the weights of the day before."""
    for _ in range(ROUNDS):
        chance = logistic(x @ weights)
        slope = x.T @ (counts * (chance - up)) + weights
        bend = (x * (counts * chance * (1 - chance))[:, None]).T @ x + np.eye(len(weights))
        weights = weights - np.linalg.solve(bend, slope)
    return weights


def logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))
