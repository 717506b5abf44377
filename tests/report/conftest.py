"""The browser that shows pages."""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
"""Chromium as root, without its own network requests."""


@pytest.fixture(scope="module")
def chromium():
    """An installed Chromium under Playwright; without one, tests that need it are skipped."""
    path = next((located for name in BROWSERS if (located := shutil.which(name))), None)
    if path is None:
        reason = f"No browser: none of {', '.join(BROWSERS)} is on PATH (Debian, Ubuntu: apt install chromium)."
        if os.environ.get("PTXBENCH_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()
