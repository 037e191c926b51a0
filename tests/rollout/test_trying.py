"""A release on trial in a shop with users: shadow, steps, promotion or rollback, whoever dies when."""

import shutil

import msgspec
import numpy as np
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Monitoring
from vernal.errors import RequestError
from vernal.events.schema import Event, Kind, Slate
from vernal.rollout import trying as module
from vernal.rollout.gate import judge, promote
from vernal.rollout.keeper import Keeper
from vernal.rollout.shares import changed, changes_of, traffic_of
from vernal.rollout.trying import Trying, abort, hold, read_look, steps_of
from vernal.serving.traffic import CANARY, CHAMPION, Split
from vernal.serving.upkeep import read_upkeep
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.remade import remade
from vernal.testing.village import START_US, village_settings
from vernal.training.train import train

DAYS = 30
END_US = START_US + DAYS * DAY_S * US_PER_S
SHOWN = 10


@pytest.fixture(scope="module")
def village(villages):
    """A village with a release in charge and another that the gate has passed, to be copied."""
    village = villages(DAYS)
    first, _ = train(village, promote=False)
    judge(village, first.name)
    promote(village, first.name, "first")
    second = remade(village.releases, first.name, lambda _: None)
    assert judge(village, second).verdict == "passed"
    village.close()
    return village.root


class Shop(Workspace):
    """A copy of the village whose users are answered on paper: slates as workers would log them, and clicks at a rate for each arm."""

    def serve(self, users=400, rates=None, arm_of=None, **about):
        """Everybody is answered once, and clicks or does not."""
        rates, traffic, now = rates or {}, traffic_of(self), self.clock.now()
        split, rng = Split(traffic), np.random.default_rng(now % 2**32)
        release = {CHAMPION: self.releases.champion(), CANARY: traffic.canary.release if traffic.canary else ""}
        slates = []
        for number in range(users):
            arm = (arm_of or split.arm)(f"user-{now}-{number}")
            if arm in release:
                slates.append(self.slate(f"r{now}-{number}", f"user-{now}-{number}", arm, release[arm], **about.get(arm, {})))
        self.log.append(Kind.SLATES, slates)
        shown = [(slate, place) for slate in slates for place in np.flatnonzero(rng.random(SHOWN) < rates.get(slate.arm, 0.1))]
        self.log.append(Kind.EVENTS, [Event(f"{s.rec_id}-{p}", "buy", s.user, s.items[p], now, rec_id=s.rec_id) for s, p in shown])
        self.clock.advance(seconds=20)

    def slate(self, rec_id, user, arm, release, rung="full", took_us=900):
        items = [f"bread-{place}" for place in range(SHOWN)]
        ones = np.ones(SHOWN, np.float32).tobytes()
        return Slate(
            rec_id=rec_id, time=self.clock.now(), user=user, scenario="home", arm=arm, release=release, rung=rung, request=b'{"user": "x"}', seed=1,
            user_offset=0, item_offset=0, hop=0, items=items, item_numbers=np.arange(SHOWN, dtype=np.uint32).tobytes(), propensities=ones,
            scores=np.zeros(SHOWN, np.float32).tobytes(), features=b"", took_us=took_us, segment="bread",
        )  # fmt: skip


@pytest.fixture
def shop(village, tmp_path):
    shutil.copytree(village, tmp_path / "shop")
    settings = msgspec.structs.replace(village_settings(), monitoring=Monitoring(window="7d"))
    rollout = msgspec.structs.replace(settings.rollout, canary_steps=[0.1, 0.5], canary_step="20s", canary_for="6min", holdout=0.0)
    with Shop(tmp_path / "shop", msgspec.structs.replace(settings, rollout=rollout), ManualClock(END_US)) as opened:
        opened.serve()
        yield opened


def begun(shop):
    """The second release on trial."""
    trying = Trying(shop)
    first, second = shop.releases.names()
    trying.begin(second, first, "it was trained.")
    return trying


def lived(shop, trying, most=400, **about):
    """The shop goes on until the trial is over."""
    for _ in range(most):
        if trying.look() is None:
            return
        shop.serve(**about)
    raise AssertionError(read_look(shop.data).verdict)


def acts(shop):
    return [(step.act, step.share) for step in steps_of(shop.data).all()]


def test_a_release_as_good_goes_through_every_step_and_is_promoted(shop):
    trying = begun(shop)
    lived(shop, trying)
    assert acts(shop) == [("begin", 0.0), ("widen", 0.1), ("widen", 0.5), ("promote", 1.0)]
    assert (shop.releases.champion(), traffic_of(shop).canary) == (shop.releases.names()[1], None)
    assert "Tried on users" in shop.releases.last_promotion().reason


def test_a_release_with_fewer_clicks_is_rolled_back_with_the_reason(shop):
    trying, before = begun(shop), shop.releases.champion()
    lived(shop, trying, rates={CANARY: 0.02})
    assert (acts(shop)[-1], shop.releases.champion(), traffic_of(shop).canary) == (("roll back", 0.0), before, None)
    assert "clicks per item shown" in steps_of(shop.data).all()[-1].reason


@pytest.mark.parametrize("trouble", [{"rung": "trending"}, {"took_us": 10**6}])
def test_a_release_that_falls_or_is_late_is_rolled_back_whatever_its_clicks(shop, trouble):
    trying = begun(shop)
    lived(shop, trying, **{CANARY: trouble})
    assert acts(shop)[-1] == ("roll back", 0.0)


def test_a_canary_that_answers_nobody_is_rolled_back(shop):
    trying = begun(shop)
    lived(shop, trying, arm_of=lambda _: CHAMPION)
    assert (acts(shop)[-1][0], "silent" in steps_of(shop.data).all()[-1].reason) == ("roll back", True)


def test_a_shop_without_traffic_promotes_at_once_and_says_so(shop):
    shop.clock.advance(seconds=2 * 3_600)
    lived(shop, begun(shop))
    assert acts(shop) == [("begin", 0.0), ("promote", 1.0)]
    assert "no traffic" in shop.releases.last_promotion().reason


class Busy:
    """Hands that are at a training already."""

    running = True

    def finished(self):
        return None


def test_how_a_trial_stands_is_told_to_those_who_scrape(shop):
    keeper = Keeper(shop, Busy())
    keeper.tick()
    keeper.trying = begun(shop)
    while traffic_of(shop).canary.share < 0.5:
        keeper.attend()
        shop.serve()
    keeper.attend()
    upkeep = read_upkeep(shop.data)
    assert (upkeep.canary_acts, -1 < upkeep.canary_low < 0.5) == ({"begin": 1, "widen": 2}, True)
    abort(shop, "ada", "enough")
    keeper.attend()
    upkeep = read_upkeep(shop.data)
    assert (upkeep.canary_acts["roll back"], upkeep.canary_low) == (1, None)


def test_a_step_begun_by_a_clock_that_ran_ahead_counts_from_when_it_came_back(shop):
    trying = Trying(shop)
    shop.clock.advance(seconds=100 * DAY_S)
    first, second = shop.releases.names()
    trying.begin(second, first, "it was trained.")
    shop.clock.advance(seconds=-100 * DAY_S)
    trying.look()
    assert traffic_of(shop).canary.step_at == shop.clock.now()
    assert "had run ahead" in changes_of(shop.data).all()[-1].reason
    lived(shop, trying, rates={CHAMPION: 0.3, CANARY: 0.3})
    assert acts(shop)[-1] == ("promote", 1.0)


def test_a_held_canary_stays_where_it_is_until_it_is_let_go(shop):
    trying = begun(shop)
    hold(shop, "ada", "a sale is on", held=True)
    for _ in range(20):
        trying.look()
        shop.serve()
    assert (traffic_of(shop).canary.share, read_look(shop.data).verdict.reason) == (0.0, "held by a person")
    hold(shop, "ada", "it is over", held=False)
    lived(shop, trying)
    assert acts(shop)[-1] == ("promote", 1.0)


def test_an_aborted_canary_is_gone_with_who_and_why(shop):
    trying = begun(shop)
    canary = abort(shop, "ada", "not on a Friday")
    assert trying.look() is None
    last = steps_of(shop.data).all()[-1]
    assert (last.release, last.act, last.by, last.reason) == (canary.release, "roll back", "ada", "not on a Friday")
    with pytest.raises(RequestError, match="on trial"):
        abort(shop, "ada", "again")


def test_propose_takes_no_step_and_says_what_it_would_do(shop):
    trying = begun(shop)
    shop.settings = msgspec.structs.replace(shop.settings, rollout=msgspec.structs.replace(shop.settings.rollout, mode="propose"))
    shop.clock.advance(seconds=3_600)
    look = trying.look()
    assert (look.verdict.act, "it would widen" in look.verdict.reason, traffic_of(shop).canary.share) == ("wait", True, 0.0)


def test_nothing_is_widened_while_alarms_hold(shop):
    trying = begun(shop)
    shop.clock.advance(seconds=3_600)
    assert "held by an alarm: prices" in trying.look(("prices are missing",)).verdict.reason


def test_a_rollback_by_hand_meanwhile_ends_the_trial(shop):
    trying = begun(shop)
    shop.releases.promote(remade(shop.releases, shop.releases.names()[0], lambda _: None), "by hand")
    trying.look()
    assert ("is in charge meanwhile" in steps_of(shop.data).all()[-1].reason, traffic_of(shop).canary) == (True, None)


def test_a_release_that_knows_less_than_the_one_in_charge_is_refused_before_anybody_sees_it(shop):
    def older(content):
        content.lineage = msgspec.structs.replace(content.lineage, log_to=content.lineage.log_to - 1)

    first, trying = shop.releases.names()[0], Trying(shop)
    trying.begin(remade(shop.releases, first, older), first, "somebody deployed the wrong one.")
    trying.look()
    assert (acts(shop)[-1], "it is stale" in steps_of(shop.data).all()[-1].reason) == (("roll back", 0.0), True)


class Killed(BaseException):
    """What kill -9 looks like from within."""


@pytest.mark.parametrize("rates", [{}, {CANARY: 0.02}])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_keeper_killed_before_or_after_any_write_ends_the_trial_the_same_way(shop, monkeypatch, rates, at):
    writes = 0

    def dying(do):
        def done(*args, **named):
            nonlocal writes
            writes += 1
            if writes == at:
                raise Killed
            result = do(*args, **named)
            writes += 1
            if writes == at:
                raise Killed
            return result

        return done

    for name in ("changed", "promote"):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    try:
        lived(shop, begun(shop), rates=rates)
    except Killed:
        monkeypatch.undo()
        if traffic_of(shop).canary is None and len(acts(shop)) == 1:
            return  # killed before the trial began: whoever settles its training begins it
        lived(shop, Trying(shop), rates=rates)
    first, second = shop.releases.names()
    assert (shop.releases.champion(), traffic_of(shop).canary) == (first if rates else second, None)
    assert acts(shop)[-1][0] == ("roll back" if rates else "promote")


def test_every_change_of_the_traffic_is_kept_with_who_and_why(shop):
    trying = begun(shop)
    lived(shop, trying)
    kept = changes_of(shop.data).all()
    assert [each.number for each in kept] == [1, 2, 3, 4]
    assert {each.by for each in kept} == {"the keeper"}
    assert changed(shop, "ada", "nothing", lambda traffic: traffic).number == 4
