"""Take pictures of the console's pages: `python -m tests.browser.screenshots DIRECTORY`.

Each is called PAGE-WINDOW-COLOUR.png, for example `tasks-phone-dark.png`; a page with two
thousand tasks has `many` in front, one in Chinese `zh`. `--only 'tasks-*'` takes some of them,
and `--whole` the pages to their end instead of what a window shows.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from fnmatch import fnmatch
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.process import ServiceProcess
from tests.acceptance.warm import WarmService
from tests.browser.scene import ENVIRON, fill
from tests.browser.watching import launch

TOP = Path(__file__).parents[2]

COLOURS = ("light", "dark")
WINDOWS = {"wide": (1280, 700), "phone": (390, 844)}
PAGES = {
    "tasks": "/",
    "task": "/tasks/daily-report",
    "conflict": "/tasks/invoice-export",
    "execution": "/tasks/import-orders/executions/{execution}",
    "timeline": "/timeline",
    "sync": "/folder",
    "api": "/schema",
}
MANY = ("tasks", "timeline", "sync")
CHINESE = ("tasks", "task", "conflict", "timeline", "sync")
SETTLED = 1500
"""Milliseconds after which a page that lives has heard of everything once."""


def main() -> None:
    """Take them all, or those that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--only", metavar="PATTERN", nargs="+", default=["*"])
    parser.add_argument("--whole", action="store_true", help="the pages to their end")
    asked = parser.parse_args()
    asked.directory.mkdir(parents=True, exist_ok=True)

    def wanted(name: str) -> Path | None:
        found = any(fnmatch(name, pattern) for pattern in asked.only)
        return asked.directory / f"{name}.png" if found else None

    with sync_playwright() as playwright:
        browser = launch(playwright)
        for many in (False, True):
            shots = [shot for shot in every(many=many) if wanted(shot[0])]
            if shots:
                with example(tasks=2000 if many else 10) as service:
                    for name, *how in shots:
                        take(browser, service, wanted(name), *how, whole=asked.whole)
        browser.close()


def every(*, many: bool) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, address, language, window and colour of each picture."""
    for language in ("en", "zh"):
        pages = MANY if many else (CHINESE if language == "zh" else tuple(PAGES))
        for page in pages:
            for window in WINDOWS:
                for colour in COLOURS:
                    words = ["many"] * many + ["zh"] * (language == "zh") + [page, window, colour]
                    yield "-".join(words), PAGES[page], language, window, colour


@contextmanager
def example(*, tasks: int) -> Iterator[ServiceProcess]:
    """A service with so many tasks, and something to see of everything."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = place / "taskservice.db"
        environ = {
            **ENVIRON,
            "PYTHONPATH": str(TOP),
            "TASKSERVICE_TIMEZONE": "Europe/Berlin",
            "TASKSERVICE_TASKS_DIR": "tasks.d",
        }
        folder = place / "tasks.d"
        folder.mkdir()
        service = WarmService(f"sqlite+aiosqlite:///{database}", folder, environ)
        with chdir(place):  # the pages say where the tasks are: not in which temporary folder
            stack.enter_context(service)
        fill(service, database, tasks=tasks)
        yield service


def running(service: ServiceProcess) -> str:
    """The id of the execution that goes on."""
    found: str = service.get("/task-manage/import-orders/logs", size=1)["items"][0]["id"]
    return found


def take(
    browser: Browser,
    service: ServiceProcess,
    file: Path | None,
    address: str,
    language: str,
    window: str,
    colour: str,
    *,
    whole: bool,
) -> None:
    """Take one picture."""
    width, height = WINDOWS[window]
    page = browser.new_page(
        base_url=str(service.http.base_url),
        viewport={"width": width, "height": height},
        color_scheme="dark" if colour == "dark" else "light",
        locale="zh-CN" if language == "zh" else "en-GB",
        timezone_id="Europe/Berlin",
    )
    page.goto(address.format(execution=running(service)))
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=file, full_page=whole)
    page.close()


if __name__ == "__main__":
    main()
