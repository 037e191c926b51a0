"""Laws of the slate: no duplicates, every rule obeyed, exact propensities, the same seed gives the same bytes."""

import math
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.ranking.slate import FRESH, LEAST_BELOW, PINNED, RATES, Offer, Policy, Slate, chances, compose

NONE = np.empty(0, np.int32)


@st.composite
def offers(draw: st.DrawFn, largest: int = 40) -> Offer:
    n, n_attributes = draw(st.integers(0, largest)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    utility = rng.choice([-2.0, -1.0, 0.0, 0.5, 3.0, -np.inf, np.nan], size=n, p=[0.2, 0.2, 0.2, 0.15, 0.15, 0.05, 0.05])
    codes = rng.integers(0, 4, (n, n_attributes, 4)).astype(np.int32)
    caps = rng.integers(0, 4, n_attributes).astype(np.int32)
    pinned = rng.permutation(n)[: draw(st.integers(0, min(n, 3)))].astype(np.int32)
    mark = (rng.random((2, n)) < [[0.8], [0.3]]).astype(np.uint8)
    evidence = rng.gamma(0.5, 20.0, (n, 2)) + 0.1
    return Offer(rng.permutation(10 * n + 1)[:n].astype(np.int32), utility, mark[0], mark[1], evidence, codes, caps, pinned)


policies = st.builds(
    Policy,
    k=st.integers(1, 12),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    head=st.integers(1, 20),
    fresh_share=st.sampled_from([0.0, 0.2, 0.5]),
    diversity=st.sampled_from([0.0, 0.4, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


def as_bytes(slate: Slate) -> bytes:
    return b"|".join(part.tobytes() for part in slate)


def keeps_caps(offer: Offer, index: np.ndarray) -> bool:
    counts = Counter((a, int(code)) for i in index for a in range(len(offer.caps)) for code in set(offer.codes[i, a]) - {0})
    return all(offer.caps[a] == 0 or count <= offer.caps[a] for (a, _), count in counts.items())


@settings(max_examples=300, deadline=None)
@given(offers(), policies)
def test_a_slate_has_no_duplicates_and_obeys_every_rule(offer: Offer, policy: Policy) -> None:
    slate = compose(offer, policy)
    items = offer.item[slate.chosen]
    assert len(set(items.tolist())) == len(items) <= policy.k
    assert offer.allowed[slate.chosen].all()
    assert np.isfinite(offer.utility[slate.chosen]).all()
    assert keeps_caps(offer, slate.chosen)
    assert ((slate.propensity > 0) & (slate.propensity <= 1)).all()


@settings(max_examples=200, deadline=None)
@given(offers(), policies)
def test_a_slate_is_short_only_when_nothing_more_is_allowed(offer: Offer, policy: Policy) -> None:
    slate = compose(offer, policy)
    rest = [i for i in range(len(offer.item)) if i not in slate.chosen and offer.allowed[i] and np.isfinite(offer.utility[i])]
    assert len(slate.chosen) == policy.k or not any(keeps_caps(offer, np.append(slate.chosen, i)) for i in rest)


@settings(max_examples=100, deadline=None)
@given(offers(), policies)
def test_the_same_seed_gives_the_same_bytes(offer: Offer, policy: Policy) -> None:
    assert as_bytes(compose(offer, policy)) == as_bytes(compose(offer, policy))


@settings(max_examples=100, deadline=None)
@given(offers(), policies, st.integers(0, 99))
def test_the_order_of_the_candidates_changes_nothing(offer: Offer, policy: Policy, shuffle: int) -> None:
    order = np.random.default_rng(shuffle).permutation(len(offer.item))
    back = np.argsort(order).astype(np.int32)
    shuffled = Offer(*(part[order] for part in offer[:6]), offer.caps, back[offer.pinned])
    first, second = compose(offer, policy), compose(shuffled, policy)
    assert offer.item[first.chosen].tobytes() == shuffled.item[second.chosen].tobytes()
    assert first.propensity.tobytes() == second.propensity.tobytes()


@settings(max_examples=100, deadline=None)
@given(offers(), policies)
def test_pinned_items_come_first_with_propensity_one_unless_a_rule_forbids_them(offer: Offer, policy: Policy) -> None:
    slate = compose(offer, policy)
    pins = slate.chosen[slate.why == PINNED]
    assert slate.chosen[: len(pins)].tolist() == pins.tolist()
    assert (slate.propensity[: len(pins)] == 1).all()
    assert [p for p in offer.pinned if p in pins] == pins.tolist()


def believed(evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mass, share below) of a beta distribution on the grid of rates."""
    density = evidence[0] * np.log(RATES) + evidence[1] * np.log(1 - RATES)
    mass = np.exp(density - density.max()) / np.exp(density - density.max()).sum()
    return mass, np.maximum(np.cumsum(mass) - mass / 2, LEAST_BELOW)


def thompson(evidence: list[np.ndarray]) -> np.ndarray:
    """The chance of each that its rate is the highest."""
    beliefs = [believed(each) for each in evidence]
    others = [np.prod([below for j, (_, below) in enumerate(beliefs) if j != i], axis=0) for i in range(len(beliefs))]
    best = np.array([(mass * other).sum() for (mass, _), other in zip(beliefs, others, strict=True)])
    return best / best.sum()


def conditional(offer: Offer, policy: Policy, placed: list[int]) -> dict[int, float]:
    """P(next | placed) straight from the definition in the module's docstring."""

    def likeness(i: int, j: int) -> float:
        n = offer.codes.shape[1]
        return sum(bool(set(offer.codes[i, a]) & set(offer.codes[j, a]) - {0}) for a in range(n)) / max(n, 1)

    usable = [i for i in range(len(offer.item)) if offer.allowed[i] and np.isfinite(offer.utility[i])]
    ranked = sorted(usable, key=lambda i: (-offer.utility[i], offer.item[i]))
    fit = [i for i in ranked if i not in placed and keeps_caps(offer, np.array([*placed, i]))]
    head, fresh = fit[: policy.head], [i for i in [i for i in ranked if offer.fresh[i]][: policy.head] if i in fit]
    if not head:
        return {}
    spread = max(offer.utility[head[0]] - offer.utility[head[-1]], 1.0)
    d = policy.diversity
    value = [(1 - d) * offer.utility[i] - d * spread * max((likeness(i, j) for j in placed), default=0.0) for i in head]
    weights = [math.exp((v - max(value)) / policy.temperature) if policy.temperature else float(h == int(np.argmax(value))) for h, v in enumerate(value)]
    share = policy.fresh_share if fresh else 0.0
    chance = Counter({i: (1 - share) * w / sum(weights) for i, w in zip(head, weights, strict=True)})
    chance.update({i: share * p for i, p in zip(fresh, thompson([offer.evidence[i] for i in fresh]), strict=True)})
    return dict(chance)


@settings(max_examples=200, deadline=None)
@given(offers(largest=8), policies)
def test_each_propensity_is_the_conditional_probability_by_enumeration(offer: Offer, policy: Policy) -> None:
    offer = offer._replace(pinned=NONE)
    slate = compose(offer, policy)
    for position, (chosen, propensity) in enumerate(zip(slate.chosen, slate.propensity, strict=True)):
        chance = conditional(offer, policy, slate.chosen[:position].tolist())
        assert math.isclose(sum(chance.values()), 1, abs_tol=1e-9)
        assert math.isclose(propensity, chance[int(chosen)], rel_tol=1e-5)


def test_slates_appear_as_often_as_their_propensities_say() -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, (5, 1, 4)).astype(np.int32)
    ones, fresh = np.ones(5, np.uint8), np.array([0, 0, 0, 1, 1], np.uint8)
    evidence = np.array([[2.0, 30.0]] * 4 + [[3.0, 20.0]])
    offer = Offer(np.arange(5, dtype=np.int32), rng.normal(size=5), ones, fresh, evidence, codes, np.array([3], np.int32), NONE)
    policy = Policy(k=2, temperature=1.0, head=4, fresh_share=0.2, diversity=0.3, seed=0)
    runs = 20_000
    seen = Counter(tuple(compose(offer, policy._replace(seed=seed)).chosen.tolist()) for seed in range(runs))
    expected = {(a, b): p * q for a, p in conditional(offer, policy, []).items() for b, q in conditional(offer, policy, [a]).items()}
    assert math.isclose(sum(expected.values()), 1, abs_tol=1e-9)
    assert set(seen) <= set(expected)
    assert all(abs(seen[pair] - runs * p) <= 5 * math.sqrt(runs * p * (1 - p)) + 1 for pair, p in expected.items())


def test_a_fresh_item_takes_about_its_share_of_the_slots() -> None:
    n = 50
    fresh = (np.arange(n) >= 40).astype(np.uint8)
    utility = np.linspace(5, -5, n)
    offer = Offer(np.arange(n, dtype=np.int32), utility, np.ones(n, np.uint8), fresh, np.ones((n, 2)), np.zeros((n, 0, 4), np.int32), NONE, NONE)
    slates = [compose(offer, Policy(10, 0.0, 20, 0.1, 0.0, seed)) for seed in range(2_000)]
    share = np.mean(np.concatenate([slate.why for slate in slates]) == FRESH)
    assert abs(share - 0.1) < 0.01


def test_diversity_moves_a_repeated_category_down() -> None:
    codes = np.array([[[1, 0, 0, 0]], [[1, 0, 0, 0]], [[2, 0, 0, 0]]], np.int32)
    utility, mark = np.array([3.0, 2.9, 2.5]), np.array([[1, 1, 1], [0, 0, 0]], np.uint8)
    offer = Offer(np.arange(3, dtype=np.int32), utility, mark[0], mark[1], np.ones((3, 2)), codes, np.zeros(1, np.int32), NONE)
    assert compose(offer, Policy(3, 0.0, 10, 0.0, 0.0, 0)).chosen.tolist() == [0, 1, 2]
    assert compose(offer, Policy(3, 0.0, 10, 0.0, 0.5, 0)).chosen.tolist() == [0, 2, 1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 20), st.floats(5, 300)), min_size=2, max_size=8), st.integers(0, 99))
def test_a_fresh_item_is_drawn_as_often_as_a_draw_of_its_rate_is_the_highest(evidence: list[tuple[float, float]], seed: int) -> None:
    drawn = np.random.default_rng(seed).beta(*np.array(evidence).T, (20_000, len(evidence))).argmax(axis=1)
    assert np.abs(np.bincount(drawn, minlength=len(evidence)) / 20_000 - thompson([np.array(each) for each in evidence])).max() < 0.03


def test_what_was_shown_often_without_a_click_is_hardly_explored_any_more() -> None:
    evidence = np.array([[1.0, 500.0], [1.0, 20.0], [4.0, 40.0]])
    none, ones = np.zeros((3, 0, 4), np.int32), np.ones(3, np.uint8)
    offer = Offer(np.arange(3, dtype=np.int32), np.zeros(3), ones, ones, evidence, none, NONE, NONE)
    firsts = [compose(offer, Policy(1, 0.0, 3, 0.5, 0.0, seed)) for seed in range(4_000)]
    explored = np.bincount([slate.chosen[0] for slate in firsts if slate.why[0] == FRESH], minlength=3)
    assert explored[0] < 0.01 * explored.sum() < explored[1] < explored[2]


@settings(max_examples=60, deadline=None)
@given(offers(12), policies)
def test_the_chances_of_all_positions_are_those_of_many_slates(offer: Offer, policy: Policy) -> None:
    found = chances(offer, policy, 40)
    placed = len(compose(offer, policy).chosen)
    assert found.shape == (policy.k, len(offer.item))
    assert np.allclose(found[:placed].sum(axis=1), 1) or any(offer.caps)  # caps may end a slate early
    assert (found >= 0).all()
    assert not found[:, np.flatnonzero((offer.allowed == 0) | ~(offer.utility > -np.inf))].any()


def test_the_chances_are_the_frequencies() -> None:
    rng = np.random.default_rng(5)
    offer = Offer(
        np.arange(8, dtype=np.int32),
        rng.normal(size=8),
        np.ones(8, np.uint8),
        (np.arange(8) > 5).astype(np.uint8),
        np.full((8, 2), 2.0),
        np.zeros((8, 0, 4), np.int32),
        NONE,
        NONE,
    )
    policy = Policy(3, 0.7, 6, 0.2, 0.0, 1)
    counts = np.zeros((3, 8))
    for seed in range(4_000):
        counts[np.arange(3), compose(offer, policy._replace(seed=seed)).chosen] += 1
    assert np.abs(chances(offer, policy, 2_000) - counts / 4_000).max() < 0.03
