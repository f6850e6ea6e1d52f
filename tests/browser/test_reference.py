"""The API's documentation in a browser."""

from playwright.sync_api import Page, expect


def test_it_leads_to_an_operation(page: Page) -> None:
    page.goto("/schema")
    page.get_by_role("link", name="Run a task now").click()
    expect(page.get_by_role("heading", name="Run a task now")).to_be_in_viewport()
    form = page.get_by_role("table", name="Body of createTask").get_by_text("Fields of form")
    form.first.click()
    expect(page.get_by_text("An IANA time zone such as Europe/Berlin").first).to_be_visible()
