"""A browser, and pages that must have nothing to complain of."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

BLOCKING = ("serious", "critical")
ABORTED = "net::ERR_ABORTED"


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, without a window. `make test` installs it where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "there is no Chromium: `apt-get install chromium`"
    return playwright.chromium.launch(executable_path=program)


class Watch:
    """What went wrong in the pages of a context, and which requests left the service's host."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.faults: list[str] = []
        self._host = urlsplit(address).netloc
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_failure)
        context.on("console", self._on_message)
        context.on("weberror", lambda fault: self.faults.append(f"page: {fault.error}"))

    def _on_request(self, request: Request) -> None:
        place = urlsplit(request.url)
        if place.netloc != self._host and place.scheme not in ("data", "blob"):
            self.faults.append(f"left the host: {request.url}")

    def _on_failure(self, request: Request) -> None:
        # The browser itself breaks off what a page that is left was waiting for: no failure.
        if request.failure != ABORTED:
            self.faults.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _on_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            place = message.location["url"]
            self.faults.append(f"console: {message.text} ({place})")

    @contextmanager
    def expecting(self, pattern: str) -> Iterator[None]:
        """Where something must be complained of: exactly that, and nothing else."""
        before = len(self.faults)
        yield
        new = self.faults[before:]
        assert new and all(re.search(pattern, fault) for fault in new), new
        del self.faults[before:]


def no_serious_faults(page: Page) -> None:
    """Assert that axe-core finds nothing on the page that keeps people from using it."""
    found = Axe().run(page).response["violations"]
    assert not (
        told := [
            f"{fault['id']} ({fault['impact']}): {node['target']} {node['failureSummary']}"
            for fault in found
            if fault["impact"] in BLOCKING
            for node in fault["nodes"]
        ]
    ), "\n".join([page.url, *told])


def no_sideways_scroll(page: Page) -> None:
    """Assert that the page is no wider than its window."""
    wide, window = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window, f"{page.url} is {wide} px wide in a window of {window} px"
