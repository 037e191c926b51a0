"""The try-it page in a real browser, against a real server."""

import re
import shutil
import subprocess
import sys

import pytest

BROWSER = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

if BROWSER is None:
    pytest.skip("needs chromium", allow_module_level=True)
from playwright.sync_api import expect, sync_playwright  # noqa: E402


@pytest.fixture(scope="module")
def address(trained):
    """A server on a free port of this machine; it ends with the module."""
    words = [sys.executable, "-m", "vernal.cli", "serve", "--port", "0", "--workers", "1", "--config", str(trained / "vernal.toml")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            found = next(match[1] for line in server.stderr if (match := re.match(r"(http://\S+) answers", line)))
            yield found
        finally:
            server.terminate()
            server.stderr.read()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page open for reader-1; anything the browser complains about fails the test."""
    page = browser.new_page(reduced_motion="reduce")
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/#user=reader-1")
    expect(page.locator("#slate .item")).to_have_count(10)
    yield page
    page.close()
    assert [text for text in complaints if "status of 400" not in text] == []


def items(page):
    return page.locator("#slate .item").evaluate_all("list => list.map(li => li.dataset.item)")


def test_a_slate_shows_titles_sources_and_reasons(page):
    first = page.locator("#slate .item").first
    expect(first.locator(".title")).to_contain_text("A book of")
    assert first.locator(".source").count() >= 1
    expect(first.locator(".why")).to_contain_text("chose recently")
    expect(page.locator("#release")).to_contain_text("r0")


def test_users_are_suggested_and_can_be_chosen(page):
    chosen = page.locator("#suggestions button").nth(2)
    name = chosen.inner_text()
    chosen.click()
    expect(page.locator("#slate-title")).to_have_text(f"The slate of {name}")
    expect(chosen).to_have_attribute("aria-pressed", "true")


def test_a_click_is_an_event_and_the_slate_reacts(page):
    before = items(page)
    page.locator("#slate .item .act").first.click()
    expect(page.locator("#trail li")).to_have_count(1)
    expect(page.locator("#trail small")).to_contain_text("in their features")
    expect(page.locator("#change")).to_contain_text("left")
    assert before[0] not in items(page)  # views are not repeated here: what was clicked leaves
    expect(page.locator("#left")).to_contain_text("A book of")


def test_somebody_new_gets_a_slate_too(page):
    page.locator("#user").fill("nobody-yet")
    page.keyboard.press("Enter")
    expect(page.locator("#slate-title")).to_have_text("The slate of nobody-yet")
    assert len(items(page)) == 10


def test_a_refusal_is_shown_in_the_words_of_the_server(page):
    page.evaluate("document.getElementById('n').removeAttribute('max')")
    page.locator("#n").fill("501")
    page.locator("#n").blur()
    expect(page.locator("#problem")).to_contain_text("500")
    page.locator("#n").fill("10")
    page.locator("#n").blur()
    expect(page.locator("#problem")).to_be_hidden()


def test_the_page_is_usable_on_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
