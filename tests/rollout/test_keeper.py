"""The keeper: what follows from each look, and what is left when it dies in the middle of one."""

import shutil

import msgspec
import numpy as np
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Monitoring
from vernal.events.schema import Event, Kind
from vernal.release import MANIFEST
from vernal.rollout import keeper as module
from vernal.rollout import trying
from vernal.rollout.acknowledging import Acknowledgement, ask
from vernal.rollout.certificate import FILE
from vernal.rollout.gate import judge, promote
from vernal.rollout.keeper import Ended, Keeper
from vernal.rollout.processes import trained
from vernal.rollout.staleness import Incidents, Standing
from vernal.serving.upkeep import read_upkeep
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.remade import inverted, remade
from vernal.testing.village import START_US, village_events, village_items, village_settings
from vernal.training.train import train

DAYS = 30
END_US = START_US + DAYS * DAY_S * US_PER_S


class Apprentice:
    """Hands that train at once: the release in charge again, with everything received so far in its lineage. Real training is slow and tested elsewhere."""

    def __init__(self, space):
        self.space, self.started, self.ended, self.running = space, [], None, False

    def start(self, reason):
        self.started.append(reason)
        self.ended = Ended(release=again(self.space))

    def finished(self):
        return self.ended


def again(space, change=lambda _: None):
    """The first release made over as of now, by default with nothing else changed."""

    def changed(content):
        content.lineage = msgspec.structs.replace(content.lineage, log_to=space.log.end(), as_of=space.clock.now())
        change(content)

    return remade(space.releases, space.releases.names()[0], changed)


class Told:
    """A tracking store that only remembers."""

    def __init__(self):
        self.runs = []

    def record(self, run):
        self.runs.append(run)


@pytest.fixture(scope="module")
def trained_village(villages):
    """A village of 30 days with a release in charge, to be copied."""
    village = villages(DAYS)
    name, _ = train(village, promote=False)
    judge(village, name.name)
    promote(village, name.name, "first")
    village.close()
    return village.root


class Shop(Workspace):
    """A copy of the village that goes on living."""

    def lives(self, days):
        """Time passes, with events at its beginning and at its end."""
        for share in (0.0, 1.0):
            self.clock.advance(seconds=share * days * DAY_S)
            now = self.clock.now()
            self.log.append(Kind.EVENTS, [Event(f"n{now}-{share}-{k}", "buy", f"person-{k}", "bread-0", now - 1) for k in range(5)])


@pytest.fixture
def shop(trained_village, tmp_path):
    """Its windows are weeks, of which it has too few for a watch: drift has its own tests."""
    shutil.copytree(trained_village, tmp_path / "shop")
    settings = msgspec.structs.replace(village_settings(), monitoring=Monitoring(window="7d"))
    with Shop(tmp_path / "shop", settings, ManualClock(END_US)) as opened:
        yield opened


def keeper_of(shop):
    return Keeper(shop, Apprentice(shop))


def rollout(shop, **changed):
    shop.settings = msgspec.structs.replace(shop.settings, rollout=msgspec.structs.replace(shop.settings.rollout, **changed))


def test_an_idle_shop_is_never_trained_again(shop):
    keeper = keeper_of(shop)
    for _ in range(5):
        shop.clock.advance(seconds=30 * DAY_S)
        assert keeper.tick().act == "wait"
    assert "Nothing was received" in keeper.tick().reason


def test_a_release_ages_from_the_first_event_it_does_not_know(shop):
    keeper = keeper_of(shop)
    shop.clock.advance(seconds=400 * DAY_S)  # an old log was imported, and nobody came for long
    shop.lives(days=0.1)
    assert keeper.tick().act == "wait"
    shop.lives(days=1.5)
    assert keeper.tick().act == "train"


def test_new_events_are_trained_on_at_the_cadence_judged_and_put_in_charge(shop):
    keeper, before = keeper_of(shop), shop.releases.champion()
    shop.lives(days=0.5)
    assert (keeper.tick().act, shop.releases.champion()) == ("wait", before)
    shop.lives(days=1.5)
    decision = keeper.tick()
    assert (decision.act, shop.releases.champion() != before) == ("train", True)
    last = keeper.trainings[-1]
    assert (last.outcome, last.reason, last.release) == ("promoted", decision.reason, shop.releases.champion())
    assert shop.releases.last_promotion().reason.startswith(decision.reason)
    assert "no traffic to try it on" in last.note
    upkeep = read_upkeep(shop.data)
    assert (upkeep.trainings, upkeep.canary_acts, upkeep.canary_low) == ({"promoted": 1}, {"begin": 1, "promote": 1}, None)


def test_a_kept_release_of_a_newer_version_stops_neither_looks_nor_the_gate(shop):
    keeper, other = keeper_of(shop), again(shop)
    file = shop.releases.root / other / MANIFEST
    file.write_bytes(file.read_bytes().replace(b'"format": 1', b'"format": 9'))
    shop.lives(days=2)
    assert keeper.tick().act == "train"
    assert (keeper.trainings[-1].outcome, shop.releases.champion()) == ("promoted", keeper.trainings[-1].release)


def test_incidents_that_were_counted_stay_counted_and_only_new_ones_are_added(shop):
    units, counted = np.arange(1, 101) * DAY_S * US_PER_S, []
    for first, last in (([], []), ([10, 30], [15, 35]), ([30], [36]), ([10, 20, 33], [12, 25, 36]), ([50], [55]), ([], [])):
        keeper = keeper_of(shop)
        found = Incidents(np.array(first, np.int64), np.array(last, np.int64))
        keeper.standing = lambda _, found=found: Standing(0.0, 0.0, False, np.zeros(100), False, found, units)
        keeper.tick()
        counted.append(read_upkeep(shop.data).incidents)
    assert counted == [0, 2, 2, 2, 3, 3]


def test_every_training_that_ended_is_told_to_the_tracker_once(shop):
    told = Told()
    keeper = Keeper(shop, Apprentice(shop), told)
    shop.lives(days=2)
    decision = keeper.tick()
    keeper.tick()
    [run] = told.runs
    assert (run.release, run.outcome, run.tags["reason"]) == (shop.releases.champion(), "promoted", decision.reason)
    assert run.certificate["verdict"] == "passed"
    assert run.metrics["gate.latency"] > 0


def test_propose_says_what_it_would_do_and_does_nothing(shop):
    rollout(shop, mode="propose")
    keeper, before = keeper_of(shop), shop.releases.names()
    shop.lives(days=2)
    assert keeper.tick().act == "propose"
    assert (shop.releases.names(), keeper.hands.started) == (before, [])


def test_a_refused_release_is_kept_out_with_its_reason(shop):
    keeper, before = keeper_of(shop), shop.releases.champion()
    keeper.hands.start = lambda _: setattr(keeper.hands, "ended", Ended(release=again(shop, inverted)))
    shop.lives(days=2)
    keeper.tick()
    last = keeper.trainings[-1]
    assert (last.outcome, "released bytes" in last.note, shop.releases.champion()) == ("refused", True, before)


def test_a_training_that_fails_keeps_its_reason_and_is_tried_again_after_the_pause(shop):
    keeper, before = keeper_of(shop), shop.releases.champion()
    keeper.hands.start = lambda reason: (keeper.hands.started.append(reason), setattr(keeper.hands, "ended", Ended(problem="three rows")))
    shop.lives(days=2)
    keeper.tick()
    assert (keeper.trainings[-1].outcome, keeper.trainings[-1].note, shop.releases.champion()) == ("failed", "three rows", before)
    assert keeper.tick().act == "wait"
    shop.lives(days=0.3)
    keeper.tick()
    assert len(keeper.hands.started) == 2


def test_while_a_training_runs_no_other_begins(shop):
    keeper = keeper_of(shop)
    keeper.hands.start = lambda reason: (keeper.hands.started.append(reason), setattr(keeper.hands, "running", True))
    shop.lives(days=2)
    keeper.tick()
    shop.lives(days=2)
    assert keeper.tick().act == "wait"
    assert (len(keeper.hands.started), keeper.trainings[-1].outcome) == (1, "running")


class Killed(BaseException):
    """The process is gone."""


STEPS = ("noted", "write", "start", "judge", "promote", "tell")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_keeper_killed_at_any_step_goes_on_from_its_files(shop, monkeypatch, step, after):
    keeper = keeper_of(shop)
    hands = keeper.hands
    owner = {"start": hands, "judge": module, "promote": trying}.get(step, keeper)
    whole = getattr(owner, step)

    def dies(*args, **kwargs):
        if after:
            whole(*args, **kwargs)
        raise Killed

    shop.lives(days=2)
    with monkeypatch.context() as once:
        once.setattr(owner, step, dies)
        with pytest.raises(Killed):
            keeper.tick()
    following = Keeper(shop, hands)
    following.tick()
    shop.lives(days=0.3)
    following.tick()
    assert [training.outcome for training in following.trainings][-1] == "promoted"
    assert shop.releases.champion() == following.trainings[-1].release
    assert len(shop.releases.names()) <= 3
    assert sum(training.outcome == "running" for training in following.trainings) == 0


def test_a_release_that_kills_whoever_judges_it_is_given_up(shop, monkeypatch):
    keeper = keeper_of(shop)
    monkeypatch.setattr(module, "judge", lambda *_: (_ for _ in ()).throw(Killed()))
    shop.lives(days=2)
    for _ in range(2):
        with pytest.raises(Killed):
            keeper.tick()
        keeper = Keeper(shop, keeper.hands)
    keeper.tick()
    assert keeper.trainings[-1].outcome == "failed"
    assert "judged" in keeper.trainings[-1].note


def test_a_clock_that_jumps_back_is_said_and_trains_again_after_the_cadence(shop):
    keeper = keeper_of(shop)
    shop.clock.advance(seconds=400 * DAY_S)
    keeper.tick()
    shop.lives(days=2)
    assert keeper.tick().act == "train"
    shop.clock.advance(seconds=-401 * DAY_S)  # it had run ahead
    shop.lives(days=0.1)
    assert "The clock went back" in keeper.tick().reason
    keeper = Keeper(shop, keeper.hands)
    shop.lives(days=0.5)
    assert keeper.tick().act == "wait"
    shop.lives(days=2)
    assert keeper.tick().act == "train"


def test_somebody_elses_promotion_while_a_release_is_judged_stands(shop, monkeypatch):
    keeper, first = keeper_of(shop), shop.releases.champion()
    other = again(shop)
    judged = module.judge

    def meanwhile(*args, **kwargs):
        certificate = judged(*args, **kwargs)
        judge(shop, other)
        promote(shop, other, "a person")
        return certificate

    monkeypatch.setattr(module, "judge", meanwhile)
    shop.lives(days=2)
    keeper.tick()
    assert shop.releases.champion() == other != first
    assert keeper.trainings[-1].outcome == "failed"


class Judging(Apprentice):
    """Hands that have the gate judge what they made."""

    def start(self, reason):
        super().start(reason)
        judge(self.space, self.ended.release)


def judgements(monkeypatch):
    """Releases that the keeper itself has judged from now on."""
    found = []
    monkeypatch.setattr(module, "judge", lambda space, name, holds: (found.append((name, holds)), judge(space, name, holds))[1])
    return found


def test_what_the_trainer_has_had_judged_is_not_judged_again(shop, monkeypatch):
    keeper, judged = Keeper(shop, Judging(shop)), judgements(monkeypatch)
    shop.lives(days=2)
    keeper.tick()
    assert keeper.trainings[-1].outcome == "promoted"
    assert shop.releases.champion() == keeper.trainings[-1].release
    assert not judged


def test_an_alarm_that_the_trainer_could_not_know_of_has_its_release_judged_with_it(shop, monkeypatch):
    keeper, judged, alarm = Keeper(shop, Judging(shop)), judgements(monkeypatch), ("since noon prices are a hundred times what they were",)
    shop.lives(days=2)
    monkeypatch.setattr(keeper, "holds", lambda: alarm if keeper.hands.started else ())
    keeper.tick()
    assert judged == [(keeper.hands.ended.release, alarm)]
    assert keeper.trainings[-1].outcome == "refused"


def test_a_damaged_certificate_is_made_again(shop, monkeypatch):
    keeper, judged = Keeper(shop, Judging(shop)), judgements(monkeypatch)
    shop.lives(days=2)
    begin = keeper.hands.start

    def start(reason):
        begin(reason)
        file = shop.releases.root / keeper.hands.ended.release / FILE
        file.write_bytes(file.read_bytes().replace(b"passed", b"PASSED"))

    keeper.hands.start = start
    keeper.tick()
    assert judged == [(keeper.hands.ended.release, ())]
    assert keeper.trainings[-1].outcome == "promoted"


def test_an_acknowledgement_is_done_once_and_before_anything_new_is_judged(shop):
    keeper = keeper_of(shop)
    ask(keeper.watchman.folder, Acknowledgement(by="ada"), shop.clock.now())
    keeper.tick()
    assert not list((keeper.watchman.folder / "asked").iterdir())


def test_a_decision_that_stays_the_same_is_not_written_down_again_and_again(shop):
    keeper = keeper_of(shop)
    for _ in range(20):
        keeper.tick()
        shop.clock.advance(seconds=1)
    assert len(keeper.decisions.all()) == 1


def few(*kinds):
    """Events of one person about one item."""
    return [Event(f"f{k}", kind, "person-0", "bread-0", START_US + k * US_PER_S) for k, kind in enumerate(kinds)]


POOR = {"three rows": few("buy", "buy", "buy"), "one class": few(*["buy"] * 200), "labels that never arrive": few(*["glance"] * 200), "nothing": []}


@pytest.mark.parametrize("rows", POOR.values(), ids=POOR)
def test_a_poor_log_is_refused_or_survived_with_its_reason(tmp_path, rows):
    with Shop(tmp_path, village_settings(), ManualClock(START_US + DAY_S * US_PER_S)) as shop:
        shop.log.append(Kind.EVENTS, rows, [event.time for event in rows])
        keeper = keeper_of(shop)
        keeper.hands.start = lambda _: setattr(keeper.hands, "ended", trained(shop))
        for _ in range(3):
            assert keeper.tick().reason
            shop.clock.advance(seconds=DAY_S)
        assert keeper.trainings
        assert all(training.outcome == "promoted" or training.note for training in keeper.trainings)
        assert {training.release for training in keeper.trainings if training.outcome == "promoted"} == {shop.releases.champion()} - {None}


def test_day_after_day_the_village_is_watched_scored_and_trained(trained_village, tmp_path):
    shutil.copytree(trained_village, tmp_path / "shop")
    events = [event for event in village_events(village_items(), days=90) if event.time >= END_US]
    with Shop(tmp_path / "shop", village_settings(), ManualClock(END_US)) as shop:
        keeper, at = keeper_of(shop), END_US
        for _ in range(5):
            keeper.tick()
            shop.clock.advance(seconds=DAY_S)
            now = shop.clock.now()
            new = [event for event in events if at <= event.time < now]
            shop.log.append(Kind.EVENTS, new, [event.time for event in new])
            at = now
        keeper.tick()
        assert {training.outcome for training in keeper.trainings} == {"promoted"}
        assert len(keeper.trainings) >= 3
        assert {score.release for score in keeper.rescoring.scores if score.live} >= {shop.releases.names()[0]}
        assert keeper.watchman.state.next == keeper.watchman.window_of(shop.clock.now())
        upkeep = read_upkeep(shop.data)
        assert (upkeep.predicted_regret is not None, upkeep.held) == (True, False)
