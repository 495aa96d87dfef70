"""Debian's chromium without a screen, driven by Playwright."""

import shutil

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def show(browser):
    """A function that opens an address and returns the tab and what went wrong in it."""
    contexts = []

    def opened(address, **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        tab, faults = context.new_page(), []
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda sent: faults.append(sent.url) if sent.url.startswith(("http", "ws")) else None)
        tab.goto(address)
        return tab, faults

    yield opened
    for context in contexts:
        context.close()
