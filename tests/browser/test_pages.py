"""Every page, for everybody: light and dark, wide and on a phone, in both languages."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.acceptance.process import ServiceProcess
from tests.browser.conftest import Open
from tests.browser.screenshots import COLOURS, PAGES, WINDOWS, example, running
from tests.browser.watching import no_serious_faults, no_sideways_scroll


@pytest.fixture(scope="module")
def full() -> Iterator[ServiceProcess]:
    """A service with something of everything."""
    with example(tasks=10) as service:
        yield service


# Each colour and each window on every page, not each with each.
@pytest.mark.parametrize(("colour", "window"), list(zip(COLOURS, WINDOWS, strict=True)))
@pytest.mark.parametrize("name", PAGES)
def test_it_has_no_serious_fault(
    full: ServiceProcess, open_page: Open, name: str, colour: str, window: str
) -> None:
    width, height = WINDOWS[window]
    options: dict[str, Any] = {"viewport": {"width": width, "height": height}}
    page, _ = open_page(full, color_scheme=colour, **options)
    page.goto(PAGES[name].format(execution=running(full)))
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    no_serious_faults(page)
    no_sideways_scroll(page)


@pytest.mark.parametrize("name", PAGES)
def test_in_chinese_it_has_none_either(full: ServiceProcess, open_page: Open, name: str) -> None:
    page, _ = open_page(full, locale="zh-CN", viewport={"width": 390, "height": 844})
    page.goto(PAGES[name].format(execution=running(full)))
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    no_serious_faults(page)
    no_sideways_scroll(page)
