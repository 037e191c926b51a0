from collections import defaultdict

import numpy as np
from grove import NOW_US, SETTINGS

from vernal.retrieval.covisitation import AGE_HALF_LIFE_S, DAMPING, REACH, SHRINK, SPAN_S, fit_covisitation
from vernal.retrieval.positives import Positives

AS_OF_S = NOW_US // 1_000_000


def oracle(positives: Positives) -> dict[tuple[int, int], float]:
    """Every pair, one by one."""
    rows = sorted(zip(positives.user.tolist(), positives.time.tolist(), positives.item.tolist(), positives.weight.tolist(), strict=True))
    decayed = [weight * 2 ** (-(AS_OF_S - time) / AGE_HALF_LIFE_S) for _, time, _, weight in rows]
    mass, total = defaultdict(float), defaultdict(float)
    for (_, _, item, _), w in zip(rows, decayed, strict=True):
        mass[item] += w
    for a, (user, time, item, _) in enumerate(rows):
        for other_user, other_time, other, _ in rows[max(0, a - REACH) : a + REACH + 1]:
            gap = abs(other_time - time)
            if user == other_user and item != other and gap <= SPAN_S:
                total[item, other] += decayed[a] * 2 ** (-(gap // 3_600) / 24)
    return {(i, j): w / ((mass[i] + SHRINK) * (mass[j] + SHRINK) ** DAMPING) for (i, j), w in total.items()}


def test_entries_are_those_of_counting_every_pair(history) -> None:
    positives = Positives.of(history, SETTINGS.events)
    found, expected = fit_covisitation(positives, 1, 119, AS_OF_S), oracle(positives)
    row = np.repeat(np.arange(found.n_rows), found.lengths)
    got = {(int(i), int(j)): float(v) for i, j, v in zip(row, found.column, found.value, strict=True)}
    assert got.keys() == expected.keys()
    np.testing.assert_allclose([got[key] for key in expected], list(expected.values()), rtol=1e-3)


def test_only_the_strongest_companions_stay(history) -> None:
    positives = Positives.of(history, SETTINGS.events)
    all_, few = fit_covisitation(positives, 1, 119, AS_OF_S), fit_covisitation(positives, 1, 10, AS_OF_S)
    row = slice(all_.start[4], all_.start[5])
    best = all_.column[row][np.argsort(-all_.value[row], kind="stable")[:10]]
    assert set(few.column[few.start[4] : few.start[5]].tolist()) == set(best.tolist())


def test_rare_items_have_no_companions_and_are_none(history) -> None:
    positives = Positives.of(history, SETTINGS.events)
    rare = np.flatnonzero(np.bincount(positives.item, minlength=120) < 12)
    found = fit_covisitation(positives, 12, 10, AS_OF_S)
    assert not found.lengths[rare].any()
    assert not np.isin(found.column, rare).any()
