"""Staleness and releases in a real browser, against a real server: what the API says is what a person reads, and two acts change what is in charge."""

import re

import msgspec
import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from vernal.app import Workspace
from vernal.cli import main
from vernal.clock import SystemClock
from vernal.events.schema import Kind
from vernal.monitoring.watchman import Watchman
from vernal.rollout.experiments import Compared, Comparison, Comparisons, Point
from vernal.rollout.shares import changed
from vernal.serving.keys import Keys
from vernal.serving.traffic import Canary
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.village import START_US, village_events, village_items

DAY_US = DAY_S * US_PER_S
DAYS, BROKEN_US = 38, 4 * DAY_US
VILLAGE = """
[events]
default_type = "view"
[events.types.view]
weight = 0.2
[events.types.buy]
weight = 1.0
[items]
attributes = ["kind"]
[rollout]
mode = "off"
"""
WATCHING = ("/console/staleness", "/console/drift", "/console/releases", "/console/live", "/console/experiments")


@pytest.fixture(scope="module")
def two_releases(own_shop):
    """Names of two kept releases, the older one and the one in charge."""
    with Workspace.open(own_shop / "vernal.toml") as workspace:
        first = workspace.releases.champion()
    assert main(["train", "--config", str(own_shop / "vernal.toml")]) == 0
    with Workspace.open(own_shop / "vernal.toml") as workspace:
        return first, workspace.releases.champion()


def opened(tab, address, path, width=1200):
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(f"{address}{path}")
    expect(tab.locator("body[aria-busy]")).to_have_count(0)
    expect(tab.locator("#problem")).to_be_hidden()
    return tab


def let_in(page, folder):
    """Gives the key that the page asked for."""
    expect(page.locator("#problem")).to_contain_text("expected a key")
    page.get_by_label("API key").fill(Keys(folder / "data" / "keys.json", SystemClock()).add("test", ("serve", "admin")))
    page.get_by_label("API key").press("Tab")
    expect(page.locator("#problem")).to_be_hidden()


def test_staleness_says_what_is_in_charge_and_what_comes_next_and_why(tab, address, own_shop):
    page = opened(tab, address, "/console/staleness")
    with Workspace.open(own_shop / "vernal.toml") as workspace:
        expect(page.locator("#in-charge .big")).to_have_text(workspace.releases.champion())
    expect(page.locator("#mode")).to_contain_text("by itself")
    expect(page.locator("#in-charge")).to_contain_text("It knows")
    expect(page.locator("#next .hint")).not_to_be_empty()


def test_releases_stand_newest_first_with_what_the_gate_said(tab, address, own_shop, two_releases):
    page = opened(tab, address, "/console/releases")
    names = page.locator(".release").evaluate_all("list => list.map(li => li.dataset.release)")
    with Workspace.open(own_shop / "vernal.toml") as workspace:
        assert names == sorted(workspace.releases.names(), reverse=True)
    assert names.index(two_releases[1]) < names.index(two_releases[0])
    expect(page.locator(".release.charge h2")).to_have_text(two_releases[1])
    page.locator(".release.charge summary").click()
    assert page.locator(".release.charge tbody tr").count() > 3
    expect(page.locator(".release.charge")).to_contain_text("NDCG@10")


def test_a_rollback_and_a_promotion_are_asked_for_twice_and_done_with_keys_alone(tab, address, own_shop, two_releases):
    before, charge = two_releases
    page = opened(tab, address, "/console/releases")
    page.locator("#rollback").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#sure")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#sure")).to_be_hidden()
    expect(page.locator(".release.charge h2")).to_have_text(charge)
    page.keyboard.press("Enter")
    page.locator("#sure-yes").press("Enter")
    let_in(page, own_shop)
    page.locator("#rollback").press("Enter")
    page.locator("#reason").fill("worse on Tuesdays")
    page.locator("#sure-yes").press("Enter")
    expect(page.locator("#change")).to_contain_text(f"{charge} → {before}")
    expect(page.locator(".release.charge h2")).to_have_text(before)
    page.get_by_role("button", name=f"Promote {charge}").press("Enter")
    page.locator("#sure-yes").press("Enter")
    expect(page.locator("#change")).to_contain_text(f"{before} → {charge}")
    with Workspace.open(own_shop / "vernal.toml") as workspace:
        assert [promotion.reason for promotion in workspace.releases.promotions()][-2] == "worse on Tuesdays"
        assert workspace.releases.champion() == charge


def test_a_trial_is_seen_held_and_aborted_on_the_live_page(tab, address, own_shop, two_releases):
    old, new = two_releases
    with Workspace.open(own_shop / "vernal.toml") as workspace:
        canary = Canary(release=old, against=new, share=0.25, begun_at=workspace.clock.now(), reason="it was trained.")
        changed(workspace, "test", "on trial", lambda traffic: replace(traffic, canary=canary))
    page = opened(tab, address, "/console/live")
    expect(page.locator("#trial")).to_contain_text(f"{old}25 % of users meet it.")
    page.get_by_role("button", name="Hold").click()
    let_in(page, own_shop)
    page.get_by_role("button", name="Hold").click()
    expect(page.locator("#trial")).to_contain_text("held by a person")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Abort").click()
    expect(page.locator("#trial")).to_contain_text("nothing")
    expect(page.locator("#steps")).to_contain_text("aborted on the page")


def test_a_comparison_is_drawn_as_its_interval_narrows(tab, address, own_shop):
    past = [Point("2026-01-01T00:00:00Z", 10**k, 0.1, 0.1 - 1 / k, 0.1 + 1 / k) for k in range(3, 7)]
    arms = [
        Compared(arm="holdout", users=10, shown=100, clicks=5, rate=0.05),
        Compared(arm="champion", users=90, shown=900, clicks=60, rate=0.067, value=0.1, low=-0.07, high=0.27, past=past),
    ]
    found = Comparison(name="holdout", since="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z", arms=arms, sentence="not yet told from", left_out="")
    (own_shop / "data" / "rollout").mkdir(exist_ok=True)
    (own_shop / "data" / "rollout" / "comparisons.json").write_bytes(msgspec.json.encode(Comparisons([found])))
    page = opened(tab, address, "/console/experiments")
    expect(page.locator("[data-experiment=holdout]")).to_contain_text("+10 % [-7 %, +27 %]")
    expect(page.get_by_role("img", name="champion: the interval narrowed to +10 % [-7 %, +27 %]")).to_be_visible()
    expect(opened(tab, address, "/console/live").locator("#uplift")).to_contain_text("between -7 % and +27 %")


@pytest.mark.parametrize("path", WATCHING)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_in_both_schemes(tab, address, path, scheme):
    tab.emulate_media(color_scheme=scheme)
    page = opened(tab, address, path, width=400)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper, ink = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert (brightness(paper) > brightness(ink)) == (scheme == "light")


def brightness(colour):
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_everything_that_acts_is_reached_with_the_tab_key(tab, address, two_releases):
    page = opened(tab, address, "/console/releases")
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"Skip to the page", "Drift", "rollback", "Promote"} <= reached
    assert len(two_releases) == 2


@pytest.fixture(scope="module")
def village(tmp_path_factory, serve):
    """The address of a village whose users and items were swapped four days ago, and what its watchman said."""
    folder = tmp_path_factory.mktemp("village")
    (folder / "vernal.toml").write_text(VILLAGE)
    items = village_items()
    events = village_events(items, n_users=60, days=DAYS, per_day=500)
    with Workspace.open(folder / "vernal.toml") as workspace:
        later = workspace.clock.now() // DAY_US * DAY_US - (START_US // DAY_US * DAY_US + DAYS * DAY_US)
        arrivals = [event.time + later for event in events]
        workspace.log.append(Kind.ITEMS, items, [arrivals[0]] * len(items))
        workspace.log.append(Kind.EVENTS, [lived(event, later, arrivals[-1] - BROKEN_US) for event in events], arrivals)
        watchman = Watchman(workspace, workspace.data / "monitoring")
        watchman.step(arrivals[-1] - 2 * BROKEN_US)
        watchman.step(workspace.clock.now())
        report = watchman.report()
    with serve(folder) as found:
        yield found, report, folder


def lived(event, later, broken_at):
    """The event in our days; its fields are swapped after something broke."""
    moved = msgspec.structs.replace(event, time=event.time + later)
    return msgspec.structs.replace(moved, user=event.item, item=event.user) if moved.time >= broken_at else moved


def test_drift_says_what_how_big_since_when_and_shows_it(tab, village):
    address, report, _ = village
    page = opened(tab, address, "/console/drift")
    assert report.holds
    expect(page.locator(".alarm")).to_have_count(len(report.alarms))
    first = page.locator(".alarm.P1").first
    expect(first).to_contain_text(report.alarms[0].sentence)
    expect(first.locator(".effect")).to_contain_text("→")
    user = page.locator(".alarm").filter(has=page.get_by_role("heading", name="view.user", exact=True)).first
    expect(user.locator("svg.histogram")).to_have_attribute("aria-label", re.compile("now against reference.*never seen before"))
    windows = len(report.streams[0].strip)
    assert page.locator("#evidence tr").first.locator("td").count() == windows
    assert page.locator("#evidence td.e4").count() > 0
    assert page.locator("#columns li").count() == sum(bool(column.now) for stream in report.streams for column in stream.columns)


def test_what_stands_is_acknowledged_with_a_name_and_a_key(tab, village):
    address, report, folder = village
    page = opened(tab, address, "/console/drift")
    acknowledge(page)
    let_in(page, folder)
    acknowledge(page)
    standing = sum(not alarm.acknowledged for alarm in report.alarms)
    expect(page.locator("#done")).to_contain_text(f"{standing} alarms are acknowledged")


def acknowledge(page):
    page.locator("#acknowledge").press("Enter")
    page.locator("#by").fill("ada")
    page.locator("#note").fill("the exporter is mended")
    page.get_by_role("button", name="Acknowledge", exact=True).press("Enter")
