"""What is asked of the rollout over HTTP and by `vernal status`."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.errors import GateError, RequestError
from vernal.events.schema import Event, Kind
from vernal.release import Lineage
from vernal.rollout.keeper import Ended, Keeper
from vernal.rollout.routes import rollout_routes
from vernal.rollout.shares import changed
from vernal.rollout.status import Status
from vernal.serving.routes import Call
from vernal.serving.traffic import Canary
from vernal.terms import DAY_S
from vernal.testing.village import START_US, village_settings


class Idle:
    """Hands that never get anything done."""

    running = False

    def start(self, reason):
        pass

    def finished(self):
        return Ended(problem="too little")


@pytest.fixture
def space(tmp_path):
    with Workspace(tmp_path, village_settings(), ManualClock(START_US)) as opened:
        yield opened


@pytest.fixture
def ask(space):
    """Calls a route of the space and returns what it answered."""
    routes = {route.name: route for route in rollout_routes(space)}

    def asked(name, body=None):
        call = Call(name, (), b"", {}, 0.0)
        call.body = msgspec.json.encode(body)
        return msgspec.json.decode(asyncio.run(routes[name].act(None, call)).body)

    return asked


def release(space):
    """A release with nothing in it."""
    lineage = Lineage(log_from=1, log_to=space.log.end(), as_of=space.clock.now(), config="", plan="", code="", seed=0)
    draft = space.releases.draft()
    draft.put_json("model", {})
    return space.releases.commit(draft, lineage, {}).name


def test_before_anything_was_decided_the_status_says_so(ask):
    status = msgspec.convert(ask("GET /v1/status"), Status)
    assert (status.in_charge, status.looked, status.decisions, status.trainings, status.mode) == (None, "", [], [], "automatic")


def test_the_status_tells_the_release_its_age_the_next_training_and_what_was_done(ask, space):
    name = release(space)
    space.releases.promote(name, "first")
    space.log.append(Kind.EVENTS, [Event("e1", "buy", "ada", "bread", START_US)])
    space.clock.advance(seconds=2 * DAY_S)
    Keeper(space, Idle()).tick()
    status = msgspec.convert(ask("GET /v1/status"), Status)
    assert (status.in_charge.name, status.in_charge.reason, status.in_charge.age_s) == (name, "first", 2 * DAY_S)
    assert (status.decisions[0].act, status.trainings[0].outcome, status.trainings[0].note) == ("train", "failed", "too little")
    assert status.next_training > status.at


def test_what_nobody_judged_is_not_put_in_charge(ask, space):
    name = release(space)
    with pytest.raises(GateError):
        ask("POST /v1/promote", {"release": name})
    assert space.releases.champion() is None


@pytest.mark.parametrize("body", [{}, {"release": 5}, {"release": "r0001", "path": "/"}, [1]])
def test_a_body_of_another_form_is_refused(ask, body):
    with pytest.raises(RequestError):
        ask("POST /v1/promote", body)


def test_without_a_standing_alarm_there_is_nothing_to_acknowledge(ask, space):
    assert ask("POST /v1/acknowledge", {"by": "ada"}) == {"standing": 0}
    assert not (space.data / "monitoring" / "asked").exists()


def test_before_anything_was_watched_the_drift_report_is_empty(ask):
    report = ask("GET /v1/drift")
    assert (report["alarms"], report["streams"], report["spent"]) == ([], [], 0.0)


def test_what_is_on_trial_is_told_held_and_aborted(ask, space):
    assert ask("GET /v1/canary") == {"canary": None, "look": None, "steps": []}
    changed(space, "test", "on trial", lambda traffic: replace(traffic, canary=Canary(release="r2", against="r1", share=0.25)))
    assert ask("GET /v1/status")["on_trial"].startswith("r2, met by 25 % of users")
    assert ask("POST /v1/canary/hold", {})["held"]
    assert not ask("POST /v1/canary/hold", {"held": False, "reason": "go on"})["held"]
    assert ask("POST /v1/canary/abort", {"reason": "enough"})["release"] == "r2"
    assert [(step["act"], step["reason"]) for step in ask("GET /v1/canary")["steps"]] == [("roll back", "enough")]
    with pytest.raises(RequestError, match="on trial"):
        ask("POST /v1/canary/abort", {})


def test_experiments_are_begun_and_told(ask):
    variants = [{"name": "as-is"}, {"name": "bold", "settings": {"scenarios.home.temperature": 0.5}}]
    assert ask("POST /v1/experiments", {"name": "taste", "variants": variants})["share"] == 0.5
    assert ask("GET /v1/experiments") == {"running": [], "stopped": []}
    with pytest.raises(RequestError, match="two of them"):
        ask("POST /v1/experiments", {"name": "mix", "variants": [*variants, {"name": "more", "settings": {"scenarios.home.n": 3}}], "interleaved": True})
