"""A real server with simulated people: a release that passed the gate is tried on them and put in charge by itself, a bad one goes; both with the reason."""

import threading
from typing import Any

import pytest

from vernal.app import Workspace
from vernal.cli.drilling import CLOCK, drill_command, drilled
from vernal.clock import SharedClock
from vernal.replay.drills import Course, Drill, Shop, lived, looked, planted, toml_of, world_of
from vernal.replay.simulator import World
from vernal.rollout.gate import judge
from vernal.rollout.shares import traffic_of
from vernal.rollout.trying import Trying
from vernal.serving.supervisor import Supervisor
from vernal.terms import US_PER_S
from vernal.testing.remade import inverted, remade
from vernal.training.train import train

DRILL = Drill("a trial", release=inverted, course=Course(before=8, calm=1, trouble=1, after=1, people=600, requests=1_200))
STEP_US, PEOPLE = 1_800 * US_PER_S, 50  # of one look after another; requests in it
MOST = 40  # looks that a trial may take


class Shopping:
    """What people and the keeper do in a server whose clock goes on by half an hour at a time."""

    def __init__(self, shop: Shop, space: Workspace, world: World) -> None:
        self.shop, self.space, self.world = shop, space, world
        self.met: list[str] = []  # what /v1/status said of the release on trial, at every look
        self.arms: list[str] = []

    def look(self) -> None:
        begin = self.shop.clock.now()
        asked = self.world.requests(begin, begin + STEP_US, PEOPLE)
        self.arms += [self.shop.ask(user, at)[2] for user, at in zip(asked.user.tolist(), asked.at.tolist(), strict=True)]
        self.shop.arrive(begin + STEP_US)
        self.shop.clock.move(begin + STEP_US)
        looked(self.space.data, begin + STEP_US)
        self.met.append(self.shop.call("GET", "/v1/status")["on_trial"])

    def until_over(self) -> dict[str, Any]:
        """How a trial ended, as the page and `/v1/status` say."""
        for _ in range(MOST):
            if traffic_of(self.space).canary is None:
                return {**self.shop.call("GET", "/v1/canary"), "status": self.shop.call("GET", "/v1/status")}
            self.look()
        raise AssertionError(self.shop.call("GET", "/v1/canary"))

    def both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        self.look()
        self.look()
        first = self.space.releases.champion() or ""
        good = remade(self.space.releases, first, lambda _: None)
        assert judge(self.space, good).verdict == "passed"
        Trying(self.space).begin(good, first, "It was trained.")
        promoted = self.until_over()
        planted(self.space, inverted)
        return promoted, self.until_over()


@pytest.fixture(scope="module")
def went(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shopping, dict[str, Any], dict[str, Any]]:
    """One server, one release that is as good as the one in charge, and then one that ranks the worst first."""
    file = tmp_path_factory.mktemp("trial") / "vernal.toml"
    file.write_text(toml_of(DRILL).replace("[0.05, 0.25, 0.5]", "[0.2]"), encoding="utf-8")
    world, made, failed = world_of(DRILL, 3), [], []
    with drilled(file, world.begin) as space:
        clock = SharedClock(file.with_name(CLOCK))
        lived(space, clock, world, DRILL.course)
        train(space)

        def shopped(supervisor: Supervisor) -> None:
            shop = Shop(supervisor.host, supervisor.port, clock, world)
            shopping = Shopping(shop, space, world)
            try:
                made.append((shopping, *shopping.both()))
            except BaseException as error:  # told below, by the test's own thread
                failed.append(error)
            finally:
                shop.connection.close()
                supervisor.stop()

        server = Supervisor(space, lambda role, index: drill_command(file, role, index), "127.0.0.1", 0, 1, lambda _: None)
        server.run(lambda ready: threading.Thread(target=shopped, args=(ready,)).start())
    if failed:
        raise failed[0]
    return made[0]


def test_a_release_that_passed_the_gate_goes_through_shadow_and_steps_and_is_put_in_charge_with_the_reason(went) -> None:
    shopping, promoted, _ = went
    steps = promoted["steps"]
    assert [(step["act"], step["share"]) for step in steps] == [("begin", 0.0), ("widen", 0.2), ("promote", 1.0)]
    assert "answers that nobody saw" in steps[1]["reason"]
    in_charge = promoted["status"]["in_charge"]
    assert (in_charge["name"], promoted["canary"]) == (steps[0]["release"], None)
    assert f"Tried on users: {steps[-1]['reason']}" in in_charge["reason"]
    assert any("met by 20 % of users" in met for met in shopping.met)
    assert 0 < shopping.arms.count("canary") < 0.5 * len(shopping.arms)


def test_a_release_that_ranks_the_worst_first_is_rolled_back_with_the_reason_and_the_one_in_charge_never_leaves(went) -> None:
    shopping, promoted, gone = went
    begin, last = gone["steps"][-2:]
    assert (begin["act"], last["act"], last["release"]) == ("begin", "roll back", begin["release"])
    assert "refused before anybody saw it" in last["reason"]
    assert gone["look"]["verdict"]["reason"] == last["reason"]
    assert gone["status"]["in_charge"]["name"] == promoted["status"]["in_charge"]["name"]
    assert gone["status"]["on_trial"] == ""
    assert shopping.shop.failed == 0
