"""Laws of staleness: what age costs is recovered, incidents are counted as defined, jumps are told from noise at a known rate, the ledger survives a crash."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vernal.config import Rollout, Settings
from vernal.rollout.staleness import EXPONENT, Ledger, Prices, Score, Table, incidents, jumps, standing, trailing_mean
from vernal.terms import DAY_S, HOUR_S, US_PER_S

DAY = DAY_S * US_PER_S
START = 1_700_006_400_000_000
DAILY = Settings(rollout=Rollout(delta=0.1))


def aged(price: float, days: int = 40, every: int = 5, unit: int = DAY, level: float = -1.0, noise: float = 0.0, seed: int = 0) -> list[Score]:
    """A ledger of releases trained every few units, of which the newest four are asked; days differ, releases lose price x age^.75."""
    draw, out = np.random.default_rng(seed), []
    for day in range(1, days):
        hard = draw.normal(0, 0.1)
        newest = (day - 1) // every * every
        for trained in range(max(newest - 3 * every, 0), newest + 1, every):
            lost = price * max(day - trained - 1, 0) ** EXPONENT + draw.normal(0, noise)
            out.append(score(day, trained, level + hard - lost, trained == newest, unit))
    return out


def score(day: int, trained: int, quality: float, live: bool = True, unit: int = DAY, cases: int = 100) -> Score:
    return Score(unit=START + day * unit, release=f"r{trained:04d}", as_of=START + trained * unit, quality=quality, cases=cases, live=live)


@given(st.floats(0.001, 0.05), st.integers(2, 9), st.sampled_from([HOUR_S, DAY_S]))
def test_the_price_of_age_recovers_a_known_curve_whatever_days_are_like(price: float, every: int, unit_s: int) -> None:
    scores = aged(price, every=every, unit=unit_s * US_PER_S)
    found = Prices.of(Table.of(scores), unit_s * US_PER_S, 14)
    assert found.price[-1] == pytest.approx(price, rel=1e-6)
    assert found.usual[-1] == pytest.approx(price, rel=1e-6)


def test_a_price_known_badly_is_drawn_to_its_history_and_one_known_well_is_not() -> None:
    scores = aged(0.01, days=90, noise=0.02) + [replace(s, unit=s.unit + 90 * DAY, as_of=s.as_of + 90 * DAY, release=s.release + "b") for s in aged(0.04, 30)]
    found = Prices.of(Table.of(scores), DAY, 14)
    assert found.price[80] == pytest.approx(0.01, abs=0.004)
    assert found.price[-1] == pytest.approx(0.04, rel=0.1)
    few = Prices.of(Table.of(aged(0.01, days=90, noise=0.02) + aged(0.04, noise=0.5, seed=2)[:2]), DAY, 14)
    assert few.price[-1] == pytest.approx(few.usual[-1], rel=0.5)


def test_releases_that_do_not_know_what_came_since_say_nothing_of_what_age_costs() -> None:
    before = aged(0.01, days=60)
    jumped = [replace(s, quality=-s.quality - 2.0) if s.unit > START + 45 * DAY else s for s in before]  # who is older does better by chance
    found = Prices.of(Table.of(jumped), DAY, 14)
    assert found.price[-1] == found.usual[-1] > 0


@settings(max_examples=50)
@given(st.lists(st.floats(-0.2, 0.5), max_size=60), st.integers(1, 14), st.integers(0, 9))
def test_incidents_are_counted_exactly_as_defined(regret: list[float], window: int, tolerance: int) -> None:
    stale = [t >= window - 1 and np.mean(regret[t - window + 1 : t + 1]) > 0.1 + 1e-12 for t in range(len(regret))]
    runs, length = [], 0
    for t, above in enumerate([*stale, False]):
        if not above and length > tolerance:
            runs.append((t - length, t - 1))
        length = length + 1 if above else 0
    found = incidents(np.array(regret), window, 0.1 + 1e-12, tolerance)
    assert list(zip(found.first.tolist(), found.last.tolist(), strict=True)) == runs
    assert found.units == sum(b - a + 1 for a, b in runs)


def test_a_mean_leaves_out_what_is_unknown() -> None:
    assert trailing_mean(np.array([1.0, np.nan, 3.0, np.nan, np.nan]), 2)[:4].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert np.isnan(trailing_mean(np.array([np.nan, 1.0, np.nan, np.nan]), 2)[[0, 3]]).all()


@pytest.mark.parametrize("lag", [0.0, 0.5])
@pytest.mark.parametrize("heavy", [False, True])
def test_false_jumps_are_no_more_frequent_than_promised(lag: float, heavy: bool) -> None:
    draw, found = np.random.default_rng(3), 0
    for _ in range(20):
        shocks = draw.standard_t(5, 2_000) if heavy else draw.standard_normal(2_000)
        loss = shocks.copy()
        for t in range(1, 2_000):
            loss[t] += lag * loss[t - 1]
        found += len(jumps(loss, np.ones(2_000), 7))
    assert 20 * 2_000 / max(found, 1) >= 365


@pytest.mark.parametrize(("size", "most"), [(4.0, 2), (3.0, 4)])
def test_a_jump_of_several_sd_is_seen_within_days_and_once(size: float, most: int) -> None:
    draw, delays = np.random.default_rng(4), []
    for _ in range(100):
        loss = draw.standard_normal(110)
        loss[100:] += size
        found = jumps(loss, np.ones(110), 7)
        found = found[found >= 100]
        assert len(found) <= 2
        delays.append(int(found[0]) - 100 if len(found) else 10)
    assert np.quantile(delays, 0.9) <= most


def test_a_level_that_stays_is_the_new_usual_after_two_answers() -> None:
    loss = np.random.default_rng(5).standard_normal(300)
    loss[100:] += 5.0
    found = jumps(loss, np.ones(300), 7)
    assert len(found[found >= 100]) == 2
    assert found[found >= 100].max() <= 120


def test_a_unit_with_few_cases_raises_no_jump() -> None:
    loss = np.random.default_rng(6).standard_normal(100)
    loss[-1] = 12.0
    loss[-2] = 12.0
    weight = np.ones(100)
    assert len(jumps(loss, weight, 7))
    weight[-2:] = 0.02
    assert not len(jumps(loss, weight, 7))


@given(st.floats(0.002, 0.02), st.sampled_from([-2.0, 1.0]))
def test_predicted_regret_is_relative_to_a_fresh_release_for_losses_and_for_qualities(price: float, level: float) -> None:
    scores = [replace(s, quality=s.quality) for s in aged(price, level=level)]
    newest = max(s.as_of for s in scores)
    now = newest + 9 * DAY
    found = standing(scores, now, newest, DAY_S, DAILY)
    assert found.predicted_regret == pytest.approx(price * 8**EXPONENT / abs(level), rel=0.15)
    assert not standing(scores, newest + DAY, newest, DAY_S, DAILY).predicted_regret


def test_a_frozen_release_is_stale_and_then_an_incident() -> None:
    frozen = [score(day, 0, -1.0 - 0.02 * (day - 1) ** EXPONENT) for day in range(1, 60)]
    others = [score(day, day - 1, -1.0, live=False) for day in range(1, 60)]
    found = standing([*frozen, *others], START + 60 * DAY, START, DAY_S, DAILY)
    first = next(day for day in range(14, 60) if np.mean(0.02 * np.arange(day - 14, day) ** EXPONENT) > 0.1)
    assert found.stale
    assert (found.incidents.first.tolist(), found.incidents.last.tolist()) == ([first - 1], [58])
    assert len(standing(aged(0.02, days=60), START + 60 * DAY, START + 55 * DAY, DAY_S, DAILY).incidents.first) == 0


def test_a_jump_is_reported_until_its_follow_ups_are_over() -> None:
    draw = np.random.default_rng(7)
    scores = [score(day, day - 1, -1.0 - draw.normal(0, 0.02) - 0.2 * (day >= 40)) for day in range(1, 43)]
    at = START + 41 * DAY
    found = [standing([s for s in scores if s.unit + 2 * DAY <= now], now, now - DAY, DAY_S, DAILY).loss_jump for now in range(at, at + 14 * DAY, DAY)]
    assert found == sorted(found[:3]) + found[3:]
    assert sum(found) in (7, 8)
    assert not found[-1]


def test_an_empty_ledger_says_nothing() -> None:
    found = standing([], START, START, DAY_S, DAILY)
    assert (found.predicted_regret, found.price, found.loss_jump, found.stale, len(found.incidents.first)) == (0.0, 0.0, False, False, 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(-1, 1)), max_size=20))
def test_a_ledger_keeps_the_last_score_of_each_release_and_unit(drawn: list[tuple[int, int, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "rollout" / "ledger.jsonl")
        for day, trained, quality in drawn:
            ledger.put([score(day, trained, quality)])
        kept = {(day, trained): quality for day, trained, quality in drawn}
        assert {((s.unit - START) // DAY, (s.as_of - START) // DAY): s.quality for s in ledger.read()} == kept


@given(st.integers(1, 400))
def test_a_torn_last_line_costs_that_line_alone(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.jsonl")
        scores = [score(day, 0, -0.5) for day in range(4)]
        ledger.put(scores)
        text = ledger.path.read_bytes()
        ledger.path.write_bytes(text[: max(len(text) - cut, 0)])
        whole = ledger.read()
        assert whole == scores[: len(whole)]
        ledger.put([score(9, 0, -0.5)])
        assert ledger.read() == [*whole, score(9, 0, -0.5)]


def test_scores_of_another_metric_are_passed_over_and_stay(tmp_path: Path) -> None:
    one, other = Ledger(tmp_path / "scores.jsonl", "recall@20 per 86400 s"), Ledger(tmp_path / "scores.jsonl", "ndcg@10 per 86400 s")
    one.put([replace(score(1, 0, 0.3), measure=one.measure)])
    other.put([replace(score(1, 0, 0.1), measure=other.measure)])
    assert [each.quality for each in one.read()] == [0.3]
    assert [each.quality for each in other.read()] == [0.1]
    assert Ledger(one.path, "hr@20 per 3600 s").read() == []
