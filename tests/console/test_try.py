"""The try-it page in a real browser, against a real server."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def page(tab, address):
    """The page open for reader-1."""
    tab.goto(f"{address}/#user=reader-1")
    expect(tab.locator("#slate .item")).to_have_count(10)
    return tab


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


def test_typing_searches_as_the_user_and_shows_the_parts_of_each_score(page):
    word = page.locator("#slate .item .title").first.inner_text().split()[-1]
    page.locator("#q").press_sequentially(f"book {word[:-1]}", delay=5)  # as typed: the last word is not whole yet
    page.locator("#q").press_sequentially(word[-1])
    expect(page.locator("#slate-title")).to_have_text(f"“book {word}” for reader-1")
    first = page.locator("#slate .item").first
    expect(first.locator(".title mark").first).to_be_visible()
    expect(first.locator(".parts .lexical")).not_to_have_text("–")
    expect(first.locator(".sources")).to_contain_text("lexical")
    expect(page.locator("#ahead option")).not_to_have_count(0)
    page.locator("#q").fill("")
    expect(page.locator("#slate-title")).to_have_text("The slate of reader-1")
    expect(page.locator("#slate .item .parts").first).to_be_hidden()


def test_a_search_that_finds_nothing_says_so(page):
    page.locator("#q").fill("qqqqzzzz")
    expect(page.locator("#slate .item")).to_have_count(0)
    expect(page.locator("#notes")).to_contain_text("nothing matches")


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
