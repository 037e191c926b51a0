"""The pages need nothing from outside and forbid everything they do not need."""

import json
import re

import pytest

from vernal.clock import ManualClock
from vernal.config import parse
from vernal.console.about import about, active_users
from vernal.console.pages import POLICY, SCREENS, pages
from vernal.console.routes import console_routes
from vernal.engines.sqlite import SqliteLog
from vernal.events.schema import Event, Kind
from vernal.monitoring.coordinates import SHARES
from vernal.rollout.routes import rollout_routes
from vernal.serving.worker import ROUTES

ALL = {path: page.content.decode() for path, page in pages().items()}


def test_every_page_comes_with_the_strict_policy():
    for page in pages().values():
        headers = dict(page.headers)
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY


def test_no_page_names_another_host():
    assert [found for text in ALL.values() for found in re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", text)] == []


@pytest.mark.parametrize("path", SCREENS)
def test_the_html_has_no_inline_script_or_style(path):
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)|javascript:", ALL[path]) == []


@pytest.mark.parametrize("path", SCREENS)
def test_everything_the_html_asks_for_is_served(path):
    asked = re.findall(r'(?:src|href)="(/[^"#]*)"', ALL[path])
    served = pages().keys() | {route.path for route in ROUTES} | {route.path for route in rollout_routes(None)}
    assert set(asked) - served == set()


@pytest.mark.parametrize("path", SCREENS)
def test_every_page_leads_to_every_other_and_says_which_it_is(path):
    links = dict(re.findall(r'<a href="([^"]+)"( aria-current="page")?>', ALL[path].split("<nav")[1].split("</nav>")[0]))
    assert links.keys() == SCREENS.keys()
    assert [to for to, current in links.items() if current] == [path]


@pytest.mark.parametrize("path", [path for path in ALL if path.endswith(".js")])
def test_answers_reach_the_pages_as_text_only(path):
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", ALL[path]) == []
    assert set(re.findall(r'from "([^"]+)"', ALL[path])) <= pages().keys()


def test_the_drift_page_knows_which_statistics_are_shares():
    assert set(json.loads(re.search(r"SHARES = (\[.*\]);", ALL["/console/drift.js"])[1])) == SHARES


@pytest.mark.parametrize("path", SCREENS)
def test_every_control_has_a_name(path):
    controls = re.findall(r'<(?:input|select) id="([\w-]+)"', ALL[path])
    assert controls
    assert all(f'for="{control}"' in ALL[path] for control in controls)


def test_pages_are_open_and_names_of_users_are_not():
    scopes = {route.path: route.scope for route in console_routes()}
    assert scopes["/"] is None
    assert scopes["/console/about.json"] == "serve"


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "log.db", ManualClock())
    yield log
    log.close()


def append(log, users):
    log.append(Kind.EVENTS, [Event(f"e{i}", "view", user, "a", 0) for i, user in enumerate(users)])


def test_the_most_active_of_the_newest_events_are_suggested(log):
    append(log, ["old"] * 5 + ["ada", "bob", "ada"])
    assert active_users(log, look_back=3) == ["ada", "bob"]


def test_an_empty_log_suggests_nobody(log):
    assert active_users(log) == []


def test_what_says_most_about_taste_is_offered_first(log):
    settings = parse({"events": {"types": {"view": {"weight": 1}, "purchase": {"weight": 10}}}, "scenarios": {"cart": {}}})
    told = about(settings, log)
    assert told.event_types == ["purchase", "view"]
    assert told.scenarios == ["home", "cart"]
