"""The timeline: its marks lead to executions, its search to tasks."""

from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess, wait_for
from tests.browser.scene import declare, task


def test_a_mark_leads_to_its_execution(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    execution = service.send("POST", "/task-manage/greeting/trigger", 202)
    page.goto("/timeline")
    lane = page.get_by_role("listitem").filter(has_text="1 ran")
    mark = lane.locator(f"a[href$='{execution['id']}']")
    # An execution that took no time is still seen, and can be hit. The page may draw it anew while
    # it is measured, and then there is no box.
    box = wait_for("the mark is drawn", mark.locator("rect").bounding_box)
    assert box["height"] > 8
    mark.locator("rect").dispatch_event("click")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Execution")


def test_tasks_are_searched(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(), "other.yaml": task(name="Farewell")})
    page.goto("/timeline")
    expect(page.locator(".lane")).to_have_count(2)
    page.get_by_role("searchbox").fill("greet")
    page.keyboard.press("Enter")
    expect(page.locator(".lane")).to_have_count(1)
    assert "q=greet" in page.url
