"""The API's documentation in a browser: readable by everybody, whatever their screen."""

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess
from tests.browser.conftest import Open
from tests.browser.watching import no_serious_faults, no_sideways_scroll

COLOURS = ("light", "dark")
WINDOWS = {"wide": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


def test_it_leads_to_an_operation(page: Page) -> None:
    page.goto("/schema")
    page.get_by_role("link", name="Run a task now").click()
    expect(page.get_by_role("heading", name="Run a task now")).to_be_in_viewport()
    form = page.get_by_role("table", name="Body of createTask").get_by_text("Fields of form")
    form.first.click()
    expect(page.get_by_text("An IANA time zone such as Europe/Berlin").first).to_be_visible()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("window", WINDOWS)
def test_everybody_can_read_it(
    service: ServiceProcess, open_page: Open, colour: str, window: str
) -> None:
    page, _ = open_page(service, color_scheme=colour, viewport=WINDOWS[window])
    page.goto("/schema")
    no_sideways_scroll(page)
    no_serious_faults(page)
