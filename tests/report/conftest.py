"""A real browser for the tests of the page: found on this machine, never downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect, sync_playwright
except ImportError as error:
    _LACKING = f"{error}: pip install playwright axe-playwright-python"
    Axe = expect = sync_playwright = None
else:
    _LACKING = ""
    expect.set_options(timeout=20_000)

from ctxshrink.report.page import page as report_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

Opener = Callable[..., Any]


def _missing(reason: str) -> NoReturn:
    """In CI the browser must be there; elsewhere its tests are skipped, and say why."""
    if os.environ.get("CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium. One a module: playwright keeps an event loop running, which async tests must not meet."""
    if sync_playwright is None:
        _missing(_LACKING)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, BROWSERS)), own if Path(own).exists() else None)
        if path is None:
            _missing(f"no browser was found: none of {', '.join(BROWSERS)} is on the PATH")
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Opener]:
    """Opens the page of some data and fails at the end when a script failed, or asked the network for anything."""
    pages: list[Any] = []
    wrong: list[str] = []

    def open_page(data: Mapping[str, Any], *, address: str = "", refusals: bool = False, **options: Any) -> Any:
        file = tmp_path / f"report{len(pages)}.html"
        file.write_text(report_page(data), encoding="utf-8")
        page = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | options))
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        if not refusals:  # what the policy refuses is an error on the console
            page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        own = file.as_uri()
        page.on("request", lambda request: wrong.append(request.url) if not allowed(request.url, own) else None)
        page.goto(own + address)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not wrong


def allowed(url: str, own: str) -> bool:
    """The page itself, and pictures that stand in it."""
    return url.split("#")[0] == own or url.startswith("data:")
