"""A real service in a process of its own, and a real browser that looks at it.

The browser lives for one module: while it does, Playwright runs an event loop in this thread,
where no test of another room could run its own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.acceptance.process import ServiceProcess
from tests.acceptance.warm import WarmService
from tests.browser.scene import ENVIRON
from tests.browser.watching import Watch, launch

LIMIT = 15_000
"""Milliseconds within which a page must be as expected: a busy machine may take its time."""

expect.set_options(timeout=LIMIT)

Start = Callable[..., ServiceProcess]
Open = Callable[..., tuple[Page, Watch]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a service with such variables."""
    with ExitStack() as stack:

        def run(**variables: str) -> ServiceProcess:
            folder = tmp_path / "tasks.d"
            folder.mkdir()
            environ = {
                **ENVIRON,
                **{f"TASKSERVICE_{name}": value for name, value in variables.items()},
            }
            url = f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}"
            return stack.enter_context(WarmService(url, folder, environ))

        yield run


@pytest.fixture
def service(start: Start) -> ServiceProcess:
    """A service without tokens and without tasks."""
    return start()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a window on a service, as a visitor who is new to it.

    At its end the test fails if a page complained of anything, or asked another host.
    """
    with ExitStack() as stack:
        watches: list[Watch] = []

        def run(service: ServiceProcess, **options: Any) -> tuple[Page, Watch]:
            address = str(service.http.base_url)
            usual: dict[str, Any] = {"locale": "en-GB", "timezone_id": "Europe/Berlin"}
            context = browser.new_context(base_url=address, **{**usual, **options})
            stack.callback(context.close)
            context.set_default_timeout(LIMIT)
            watches.append(watch := Watch(context, address))
            return context.new_page(), watch

        yield run
    faults = [fault for watch in watches for fault in watch.faults]
    assert not faults, "\n".join(faults)


@pytest.fixture
def page(service: ServiceProcess, open_page: Open) -> Page:
    """A window on `service`."""
    return open_page(service)[0]
