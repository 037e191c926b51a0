"""A real browser, and a real server of the bookshop for it."""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

BROWSER = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextmanager
def served(folder):
    """A server on a free port of this machine, by its address; it ends with the block."""
    words = [sys.executable, "-m", "vernal.cli", "serve", "--port", "0", "--workers", "1", "--config", str(folder / "vernal.toml")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield next(match[1] for line in server.stderr if (match := re.match(r"(http://\S+) answers", line)))
        finally:
            server.terminate()
            server.stderr.read()


@pytest.fixture(scope="session")
def serve():
    return served


@pytest.fixture(scope="module")
def own_shop(trained, tmp_path_factory):
    """The trained bookshop, of one file of tests alone: its server folds and watches; its keeper looks once, so it does not train in the middle of a test."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("own") / "shop")
    file = folder / "vernal.toml"
    file.write_text(f'{file.read_text()}\n[rollout]\nlook = "1h"\n')
    return folder


@pytest.fixture(scope="module")
def address(own_shop, serve):
    with serve(own_shop) as found:
        yield found


@pytest.fixture(scope="module")  # while it is open, nobody else can run an event loop in this thread
def browser():
    if BROWSER is None:
        pytest.skip("needs chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser):
    """An empty tab; anything the browser complains about fails the test."""
    tab = browser.new_page(reduced_motion="reduce")
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab
    tab.close()
    assert [text for text in complaints if "status of 40" not in text] == []  # what is refused is said on the page
