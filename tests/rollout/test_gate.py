"""The gate lets honest releases through and bad ones not, with its reason; promotion and serving obey it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Aggregate, View
from vernal.errors import GateError, ReleaseError
from vernal.events.schema import Kind
from vernal.features.walk import Walk
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.release import Release
from vernal.rollout.certificate import FILE, Certificate, Keys
from vernal.rollout.gate import certificate_of, judge, promote
from vernal.rollout.keeper import Keeper
from vernal.serving.answers import slate_record
from vernal.serving.champion import Champion
from vernal.serving.meters import Layout, Meter, Meters
from vernal.terms import US_PER_S
from vernal.testing import remade
from vernal.testing.remade import Content
from vernal.testing.village import village_settings
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

WORLD: dict[str, int] = {"n_items": 150, "n_users": 80, "per_day": 200}


class Shop:
    """A village with a release in charge, and a challenger trained two days later."""

    def __init__(self, villages: Callable[..., Any]) -> None:
        keep = village_settings()
        self.space = villages(30, msgspec.structs.replace(keep, training=msgspec.structs.replace(keep.training, keep=100)), **WORLD)
        self.first = train(self.space, promote=False)[0].name
        self.opening = judge(self.space, self.first)
        promote(self.space, self.first, "first")
        self.space.live(2)
        self.next = train(self.space, promote=False)[0].name
        self.verdict = judge(self.space, self.next)

    def judged(self, change: Callable[[Content], object]) -> Certificate:
        return judge(self.space, remade.remade(self.space.releases, self.next, change))


@pytest.fixture(scope="module")
def shop(villages: Callable[..., Any]) -> Shop:
    return Shop(villages)


def refused_by(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.refusals}


def check(certificate: Certificate, name: str) -> Any:
    return next(check for check in certificate.checks if check.name == name)


def test_a_first_release_is_judged_against_the_best_list(shop: Shop) -> None:
    assert (shop.opening.verdict, shop.opening.against) == ("passed", "")
    assert "best list" in check(shop.opening, "temporal backtest").sentence
    assert check(shop.opening, "memory").verdict == "not available"


def test_an_honest_retrain_passes_and_is_no_worse_by_construction(shop: Shop) -> None:
    assert (shop.verdict.verdict, shop.verdict.against) == ("passed", shop.first)
    assert "by construction" in check(shop.verdict, "temporal backtest").sentence


def test_a_certificate_names_the_manifest_the_data_and_every_figure(shop: Shop) -> None:
    assert (shop.verdict.lineage, len(shop.verdict.data)) == (shop.space.releases.manifest(shop.next).lineage, 64)
    assert all(found.figure is not None and found.sentence for found in shop.verdict.checks if found.verdict != "not available")
    assert certificate_of(shop.space, shop.next) == shop.verdict


def test_every_slice_with_enough_requests_is_looked_at(shop: Shop) -> None:
    names = {found.name for found in shop.verdict.checks if found.name.startswith("slice ")}
    assert {"slice kind = bread", "slice kind = cheese", "slice kind = wine"} <= names


def test_the_order_turned_round_is_refused(shop: Shop) -> None:
    assert "released bytes" in refused_by(shop.judged(remade.inverted))


@pytest.mark.parametrize("seed", range(3))
def test_an_order_that_has_nothing_to_do_with_what_was_learnt_is_refused(shop: Shop, seed: int) -> None:
    assert "released bytes" in refused_by(shop.judged(lambda content: remade.shuffled(content, seed)))


def test_scores_that_are_no_numbers_are_refused(shop: Shop) -> None:
    found = shop.judged(lambda content: remade.not_a_number(content, 0))
    assert "finite scores" in refused_by(found)
    assert "ranker_leaf" in check(found, "finite scores").sentence


def test_a_release_many_times_as_slow_is_refused_for_that_alone(shop: Shop) -> None:
    assert refused_by(shop.judged(lambda content: remade.slowed(content, 4_000))) == {"latency"}


def other_version(content: Content) -> None:
    content.lineage = msgspec.structs.replace(content.lineage, code="0.0.1")


def other_names(content: Content) -> None:
    content.texts["ranker"]["names"][0] = "something else"


def other_shape(content: Content) -> None:
    content.arrays["ranker_leaf"] = content.arrays["ranker_leaf"][:, :-1]


def other_numbers(content: Content) -> None:
    content.texts["static"] = [[item, number + 1] for item, number in content.texts["static"]]


def from_the_future(content: Content) -> None:
    content.lineage = msgspec.structs.replace(content.lineage, log_to=10**9)


@pytest.mark.parametrize("change", [other_version, other_names, other_shape, other_numbers, from_the_future])
def test_what_this_version_and_log_cannot_serve_is_refused_before_it_is_asked(shop: Shop, change: Callable[[Content], None]) -> None:
    found = shop.judged(change)
    assert refused_by(found) == {"integrity"}
    assert "finite scores" not in {each.name for each in found.checks}


def test_a_release_of_another_feature_plan_is_refused(shop: Shop) -> None:
    views = {"item-count": View(entity="item", count=Aggregate(window="1d"))}
    with Workspace(shop.space.root, msgspec.structs.replace(shop.space.settings, features=views), shop.space.clock) as changed:
        other = train(changed, promote=False)[0].name
    assert "feature plan" in check(judge(shop.space, other), "integrity").sentence


def test_a_release_made_before_the_one_in_charge_is_refused(shop: Shop) -> None:
    def older(content: Content) -> None:
        content.lineage = msgspec.structs.replace(content.lineage, as_of=content.lineage.as_of - 20 * 86_400 * US_PER_S)

    assert "rollback" in check(shop.judged(older), "integrity").sentence


def test_a_flipped_byte_is_refused(shop: Shop) -> None:
    name = remade.remade(shop.space.releases, shop.next, lambda _: None)
    file = shop.space.releases.root / name / "ranker_leaf.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "sha256" in check(judge(shop.space, name), "integrity").sentence


def test_an_open_alarm_about_the_data_holds_promotion(shop: Shop) -> None:
    name = remade.remade(shop.space.releases, shop.next, lambda _: None)
    found = judge(shop.space, name, ["prices are 100 times what they were since Monday"])
    assert refused_by(found) == {"data quality"}
    assert "prices" in found.reason


def test_an_alarm_raised_since_the_verdict_keeps_a_passed_release_from_being_put_in_charge(shop: Shop) -> None:
    name, before = remade.remade(shop.space.releases, shop.next, lambda _: None), shop.space.releases.champion()
    assert judge(shop.space, name).verdict == "passed"
    with pytest.raises(GateError, match="prices"):
        promote(shop.space, name, "asked for", holds=["prices are 100 times what they were since Monday"])
    assert shop.space.releases.champion() == before


def test_changed_settings_are_compared_with_the_old_ones_fitted_on_the_same_data(shop: Shop) -> None:
    shallow = shop.space.with_training(trees=10)
    with Workspace(shop.space.root, shallow, shop.space.clock) as changed:
        name = train(changed, promote=False)[0].name
        found = judge(changed, name)
    backtest = check(found, "temporal backtest")
    assert "settings fitted on the same data" in backtest.sentence
    assert backtest.low <= backtest.figure <= backtest.high


def test_one_fitted_before_the_stretch_is_asked_as_it_stands(villages: Callable[..., Any]) -> None:
    space = villages(25, **WORLD)
    for _ in range(2):
        name = train(space, promote=False)[0].name
        found = judge(space, name)
        promote(space, name, "test")
        space.live(8)
    assert "has not seen them either" in check(found, "temporal backtest").sentence
    assert found.verdict == "passed"


def test_too_little_history_passes_on_what_can_be_said(villages: Callable[..., Any]) -> None:
    space = villages(1, per_day=5)
    name = train(space, promote=False)[0].name
    found = judge(space, name)
    assert (found.verdict, check(found, "temporal backtest").verdict) == ("passed", "not available")


def test_served_features_that_differ_from_the_log_are_refused(villages: Callable[..., Any]) -> None:
    space = villages(30)
    name = train(space)[0].name
    snapshot, now = Snapshot.of(space), space.clock.now()
    walk = Walk(space.plan, space.settings, snapshot.history, snapshot.catalogue)
    walk.to(now)
    request = Request(user="person-1")
    user = walk.user(snapshot.history.users.index("person-1"), now)
    recommender = Recommender(Parts.of(space.releases.open(name), space.plan), space.plan, space.settings)
    honest = slate_record(recommender.recommend(request, user, walk.live, now, 1), request, "honest", now, 1)
    space.log.append(Kind.SLATES, [honest])
    challenger, keeper = train(space, promote=False)[0].name, Keeper(space, Nobody())
    assert keeper.skewed() is None
    assert check(judge(space, challenger), "skew audit").verdict == "passed"
    assert keeper.skewed() == 0
    skewed = msgspec.structs.replace(honest, rec_id="skewed", features=bytes(reversed(honest.features)))
    space.log.append(Kind.SLATES, [skewed])
    assert "skew audit" in refused_by(judge(space, challenger))
    assert keeper.skewed() > 0


class Nobody:
    """Hands of a keeper that is only asked."""

    running = False

    def start(self, reason: str) -> None:
        raise AssertionError(reason)

    def finished(self) -> None:
        return None


def test_looking_again_at_a_release_that_has_served_does_not_take_it_out_of_service(shop: Shop) -> None:
    assert judge(shop.space, shop.first, ["an alarm"]).verdict == "refused"
    certificate = certificate_of(shop.space, shop.first)
    assert certificate is not None
    assert certificate.verdict == "passed"
    assert shop.space.releases.admit(shop.first).name == shop.first


def test_promotion_refuses_what_was_refused_and_what_nobody_judged(shop: Shop) -> None:
    bad = shop.judged(remade.inverted).release
    with pytest.raises(GateError, match="released bytes"):
        promote(shop.space, bad, "test")
    unjudged = remade.remade(shop.space.releases, shop.next, lambda _: None)
    with pytest.raises(GateError, match="no certificate"):
        promote(shop.space, unjudged, "test")
    assert shop.space.releases.champion() == shop.first


def test_in_spite_of_the_gate_a_release_serves_and_the_reason_stays_signed(villages: Callable[..., Any]) -> None:
    space = villages(30, **WORLD)
    first = train(space, promote=False)[0].name
    judge(space, first)
    promote(space, first, "first")
    bad = remade.remade(space.releases, first, remade.inverted)
    judge(space, bad)
    promotion = promote(space, bad, "test", by="ada", in_spite="an experiment")
    certificate = certificate_of(space, bad)
    assert certificate is not None
    assert (certificate.verdict, certificate.by, "an experiment" in certificate.reason) == ("overridden", "ada", True)
    assert "an experiment" in promotion.reason
    assert space.releases.admit(bad).name == bad


def test_a_verdict_against_another_release_than_the_one_in_charge_does_not_count(villages: Callable[..., Any]) -> None:
    space = villages(30)
    names = [train(space, promote=False)[0].name for _ in range(3)]
    judge(space, names[0])
    promote(space, names[0], "first")
    for name in names[1:]:
        judge(space, name)
    promote(space, names[1], "second")
    with pytest.raises(GateError, match="in charge now"):
        promote(space, names[2], "third")


def test_of_two_that_promote_at_once_one_wins_and_the_other_is_told(shop: Shop) -> None:
    space, before = shop.space, len(list(shop.space.releases.promotions()))
    names = [remade.remade(space.releases, shop.next, lambda _: None) for _ in range(6)]
    for name in names:
        judge(space, name)
    with ThreadPoolExecutor(len(names)) as pool:
        outcomes = [task.exception() for task in [pool.submit(promote, space, name, "race") for name in names]]
    assert [error for error in outcomes if error is not None and not isinstance(error, ReleaseError)] == []
    assert outcomes.count(None) == 1
    assert len(list(space.releases.promotions())) == before + 1
    space.releases.promote(shop.first, "back")


def test_a_server_answers_on_with_the_old_release_when_a_certificate_does_not_hold(shop: Shop, tmp_path: Any) -> None:
    meters = Meters(tmp_path / "meters", "api-0", Layout([Meter("vernal_release_swaps_total", ""), Meter("vernal_release_failures_total", "")]))
    champion: Champion[str] = Champion(shop.space.releases, lambda release: release.name if isinstance(release, Release) else "", meters)
    assert champion.current == shop.first
    edited = remade.remade(shop.space.releases, shop.next, lambda _: None)
    judge(shop.space, edited)
    file = shop.space.releases.root / edited / FILE
    file.write_bytes(file.read_bytes().replace(b'"the gate"', b'"somebody"'))
    shop.space.releases.promote(edited, "by force")
    assert not champion.look()
    assert (champion.current, "signature" in champion.problem) == (shop.first, True)
    shop.space.releases.promote(shop.first, "back")


def test_an_unknown_release_is_an_error(shop: Shop) -> None:
    with pytest.raises(ReleaseError, match="kept release"):
        judge(shop.space, "r9999-none")


def test_a_key_of_the_gate_is_made_once(shop: Shop) -> None:
    assert shop.opening.key == shop.verdict.key
    assert isinstance(shop.space.clock, ManualClock)
    assert Keys(shop.space.data / "keys").public is not None
