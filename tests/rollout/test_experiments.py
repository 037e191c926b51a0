"""Experiments and the holdout: who is in them, what is found, what is refused."""

import numpy as np
import pytest
from msgspec.structs import replace

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.errors import ConfigError, ReleaseError, RequestError
from vernal.events.schema import Event, Kind, Slate
from vernal.rollout import experiments as module
from vernal.rollout.experiments import Asked, Comparing, parsed, read_comparisons, result, start, stop
from vernal.rollout.shares import traffic_of
from vernal.serving.traffic import CHAMPION, HOLDOUT, Split, Variant
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.village import START_US, village_settings

SHOWN = 10
TWO = [Variant(name="as-is"), Variant(name="bold", settings={"scenarios.home.temperature": 0.5})]


class Shop(Workspace):
    """A shop that answers on paper and whose users click at a rate for each arm."""

    def serve(self, users, rates, arm_of=None):
        split, rng, now = Split(replace(traffic_of(self), holdout=self.settings.rollout.holdout)), np.random.default_rng(users), self.clock.now()
        slates = [self.slate(f"r{now}-{n}", f"u{n}", (arm_of or split.arm)(f"u{n}")) for n in range(users)]
        self.log.append(Kind.SLATES, slates)
        shown = [(slate, place) for slate in slates for place in np.flatnonzero(rng.random(SHOWN) < rates.get(slate.arm, 0.1))]
        self.log.append(Kind.EVENTS, [Event(f"{s.rec_id}-{p}", "buy", s.user, s.items[p], now, rec_id=s.rec_id) for s, p in shown])
        self.clock.advance(seconds=60)

    def slate(self, rec_id, user, arm):
        ones, numbers = np.ones(SHOWN, np.float32).tobytes(), np.arange(SHOWN, dtype=np.uint32).tobytes()
        return Slate(
            rec_id=rec_id, time=self.clock.now(), user=user, scenario="home", arm=arm, release="r1", rung="full", request=b"{}", seed=1, user_offset=0,
            item_offset=0, hop=0, items=[f"i{place}" for place in range(SHOWN)], item_numbers=numbers, propensities=ones, scores=ones, features=b"",
        )  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    with Shop(tmp_path, village_settings(), ManualClock(START_US)) as opened:
        yield opened


def test_an_experiment_finds_the_better_arm_with_an_interval_around_the_truth(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO, share=0.9))
    shop.serve(4_000, {"taste/bold": 0.2})
    first, bold = result(shop, "taste").arms
    assert (first.arm, first.value, bold.arm) == ("taste/as-is", None, "taste/bold")
    assert 0 < bold.low < 1.0 < bold.high
    assert "taste/bold is better than taste/as-is" in result(shop, "taste").sentence


def test_arms_that_are_alike_are_not_told_apart(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO))
    shop.serve(2_000, {})
    bold = result(shop, "taste").arms[1]
    assert bold.low < 0 < bold.high
    assert "not yet told from" in result(shop, "taste").sentence


def test_an_experiment_without_traffic_says_so(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO))
    assert result(shop, "taste").sentence == "No traffic yet."


def test_an_arm_that_never_answers_makes_every_figure_worthless_and_is_said(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO))
    split = Split(traffic_of(shop))
    shop.serve(800, {}, lambda user: CHAMPION if split.arm(user) == "taste/bold" else split.arm(user))
    found = result(shop, "taste")
    assert ("no figure means anything" in found.odd, found.sentence) == (True, found.odd)


def test_what_was_found_is_kept_when_an_experiment_is_stopped(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO))
    shop.serve(500, {})
    last = stop(shop, "ada", "taste")
    shop.serve(500, {})
    assert (result(shop, "taste"), traffic_of(shop).experiments) == (last, ())
    with pytest.raises(RequestError, match="taste"):
        stop(shop, "ada", "taste")


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        (Asked(name="Taste!", variants=TWO), RequestError, "small letters"),
        (Asked(name="taste", variants=[TWO[0], TWO[0]]), RequestError, "name of its own"),
        (Asked(name="taste", variants=[TWO[0], Variant(name="other")]), RequestError, "differ"),
        (Asked(name="taste", variants=[TWO[0], Variant(name="other", settings={"serving.port": 1})]), RequestError, "setting of a scenario"),
        (Asked(name="taste", variants=[TWO[0], Variant(name="other", settings={"scenarios.home.temprature": 1})]), ConfigError, "temperature"),
        (Asked(name="taste", variants=[TWO[0], Variant(name="other", release="r9999-none")]), ReleaseError, "r9999-none"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused_with_the_reason(shop, asked, error, says):
    with pytest.raises(error, match=says):
        start(shop, "ada", asked)
    assert traffic_of(shop).experiments == ()


def test_a_name_is_taken_while_its_experiment_runs(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO))
    with pytest.raises(RequestError, match="no running experiment"):
        start(shop, "bob", Asked(name="taste", variants=TWO))


def test_uplift_over_the_holdout_covers_the_truth_and_narrows(shop):
    rollout = replace(shop.settings.rollout, holdout=0.1)
    shop.settings = replace(shop.settings, rollout=rollout)
    comparing = Comparing(shop)
    for _ in range(6):
        shop.serve(3_000, {HOLDOUT: 0.1, CHAMPION: 0.15})
        comparing.step(shop.clock.now())
    [found] = read_comparisons(shop.data)
    holdout, champion = found.arms
    assert (holdout.arm, champion.arm, holdout.users < champion.users) == (HOLDOUT, CHAMPION, True)
    assert champion.low < 0.5 < champion.high
    widths = [point.high - point.low for point in champion.past if point.low is not None and point.high is not None]
    assert len(widths) >= 3
    assert widths[-1] < widths[0]


def test_a_holdout_that_never_answers_is_said(shop):
    shop.settings = replace(shop.settings, rollout=replace(shop.settings.rollout, holdout=0.1))
    comparing = Comparing(shop)
    shop.serve(300, {}, lambda _: CHAMPION)
    [found] = comparing.step(shop.clock.now())
    assert ("the holdout answered nobody" in found.odd, found.sentence) == (True, found.odd)


def test_what_a_comparison_leaves_out_is_said(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO, share=0.9))
    shop.serve(50, {}, lambda _: "taste/as-is")
    slate, now = shop.slate("odd", "u-odd", "taste/bold"), shop.clock.now()
    ahead = replace(slate, rec_id="ahead", user="u-ahead", time=now + 3_600 * US_PER_S)
    two = replace(slate, rec_id="two", arm="taste/as-is")
    shop.log.append(Kind.SLATES, [replace(slate, propensities=np.full(SHOWN, 1.5, np.float32).tobytes()), two, ahead])
    shop.log.append(Kind.EVENTS, [Event("none", "buy", "u-odd", "i0", now, rec_id="nothing"), Event("other", "buy", "u-odd", "elsewhere", now, rec_id="odd")])
    shop.clock.advance(seconds=3 * DAY_S)
    shop.log.append(Kind.EVENTS, [Event("late", "buy", "u-odd", "i0", now, rec_id="odd")])
    assert result(shop, "taste").left_out == (
        "1 rewards of slates that are unknown or of no arm compared, 1 late rewards, 1 rewards of items not shown, 1 slates of users in two arms, "
        "1 slates with impossible propensities, 1 slates of workers whose clocks are apart"
    )


def test_a_keeper_that_starts_again_finds_what_it_had_found(shop):
    start(shop, "ada", Asked(name="taste", variants=TWO))
    comparing = Comparing(shop)
    shop.serve(300, {})
    comparing.step(shop.clock.now())
    shop.serve(300, {})
    now = shop.clock.now()
    went_on, again = comparing.step(now), Comparing(shop).step(now)
    assert [[replace(arm, past=[]) for arm in each.arms] for each in went_on] == [[replace(arm, past=[]) for arm in each.arms] for each in again]


def test_a_keeper_that_starts_again_goes_on_from_what_was_kept_unless_it_is_damaged(shop, monkeypatch):
    monkeypatch.setattr(module, "KEPT_EVERY", 100)
    shop.settings = replace(shop.settings, rollout=replace(shop.settings.rollout, holdout=0.1))
    start(shop, "ada", Asked(name="taste", variants=TWO))
    comparing = Comparing(shop)
    shop.serve(300, {})
    comparing.step(shop.clock.now())
    files = sorted((shop.data / "rollout" / "counted").iterdir())
    shop.serve(300, {})
    now = shop.clock.now()
    restarted, went_on = Comparing(shop), figures(comparing.step(now))
    monkeypatch.setattr(module, "offset_at", None)  # nothing is looked for in the log again
    assert (len(files), figures(restarted.step(now))) == (2, went_on)
    monkeypatch.undo()
    for file in files:
        file.write_bytes(file.read_bytes()[:-1])
    assert figures(Comparing(shop).step(now)) == went_on
    stop(shop, "ada", "taste")
    comparing.step(now)
    assert [file.exists() for file in files] == [True, False]


def figures(found):
    return {each.name: [replace(arm, past=[]) for arm in each.arms] for each in found}


def test_an_interleaved_experiment_credits_the_team_whose_item_was_clicked(shop):
    start(shop, "ada", Asked(name="mix", variants=TWO, interleaved=True))
    split, teams, now = Split(traffic_of(shop)), bytes([0, 1] * (SHOWN // 2)), shop.clock.now()
    users = [f"u{n}" for n in range(800) if split.arm(f"u{n}") == "mix/interleaved"]
    slates = [replace(shop.slate(f"r{user}", user, "mix/interleaved"), teams=teams) for user in users]
    shop.log.append(Kind.SLATES, slates)
    shop.log.append(Kind.EVENTS, [Event(f"{s.rec_id}-{p}", "buy", s.user, s.items[p], now, rec_id=s.rec_id) for s in slates for p in (1, 2, 3)])
    first, second = result(shop, "mix").arms
    assert (first.arm, first.clicks, second.arm, second.clicks) == ("mix/as-is", len(users), "mix/bold", 2 * len(users))
    assert (first.shown, second.shown, second.low > 0) == (5 * len(users), 5 * len(users), True)
    with pytest.raises(RequestError, match="two of them"):
        start(shop, "ada", Asked(name="three", variants=[*TWO, Variant(name="more", settings={"scenarios.home.temperature": 1.0})], interleaved=True))


def test_variants_are_read_as_they_are_written_on_a_command_line():
    assert parsed("") == ("", {})
    assert parsed("r0002-abc") == ("r0002-abc", {})
    assert parsed("r0002-abc,scenarios.home.temperature=0.5,scenarios.home.caps={}") == (
        "r0002-abc",
        {"scenarios.home.temperature": 0.5, "scenarios.home.caps": {}},
    )
