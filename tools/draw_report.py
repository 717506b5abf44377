"""Draw docs/report.png and docs/report-listing.png: the report of a run on the emulator, as Chromium shows it.

The pictures show the real page. Draw them again with `make report-picture` when the page changes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1120
LISTING = "#pair-reduce_sum .listing:has(.cuda)"
LINE = "sum += (((a.x"
"""The line of that listing that the pointer is on."""


def page(folder):
    """The page of every pair, written into `folder`."""
    command = shutil.which("ptxbench", path=os.fspath(Path(sys.executable).parent))
    for arguments in (["run", "--backend", "emulator"], ["report"]):
        done = subprocess.run([command, *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
    return folder / "report.html"


def draw(path):
    """Both pictures of the page at `path`."""
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        sys.exit(f"No browser: none of {', '.join(BROWSERS)} is on PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": 720}, color_scheme="light")
        tab.goto(path.as_uri())
        tab.screenshot(path=DOCS / "report.png")
        tab.set_viewport_size({"width": WIDTH, "height": 480})
        tab.locator(LISTING).evaluate("each => { each.open = true }")
        cell = tab.locator(f"{LISTING} td", has_text=LINE).first
        # Near the top of the listing, and the listing at the top of the window.
        cell.evaluate("each => { each.closest('.scroll').scrollTop = each.offsetTop - 160 }")
        tab.locator(LISTING).evaluate("each => each.scrollIntoView({behavior: 'instant'})")
        cell.hover()
        tab.screenshot(path=DOCS / "report-listing.png")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw(page(Path(folder)))
    print(f"Wrote {DOCS / 'report.png'} and {DOCS / 'report-listing.png'}")
